//! Nodes as containers of a real engine that has the image `media-tree/relay`: `cargo xtask test scaler` sees to that.
#![cfg(feature = "docker")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::time::{Duration, Instant};

use node::record::NodeType;
use scaler::provision::{Backend, Provisioner, Spec, Trouble};

/// A tree of this run's own, and a back end of containers that do so.
fn containers(script: &str, more: &str) -> (String, Backend) {
    let tree = format!("tree-{}-{:x}", std::process::id(), script.len());
    let backend = Backend::read(&format!(
        "backend = 'docker'\n[docker]\nnetwork = 'host'\nports = '41000-41099'\n{more}\n[docker.egress]\nimage = 'media-tree/relay'\n\
         entrypoint = ['sh']\ncommand = ['-c', '''{script}''']\nenvironment = {{ API_PORT = '{{port}}' }}\n"
    ));
    (tree, backend.unwrap())
}

fn egress(tree: &str, name: &str) -> Spec {
    let (name, tree, parent) = (name.to_owned(), tree.to_owned(), "relay-1".to_owned());
    Spec { name, role: NodeType::Egress, tree, parent, zone: "a".to_owned() }
}

async fn destroyed(backend: &Backend, tree: &str, name: &str) {
    let began = Instant::now();
    while let Err(trouble) = backend.destroy(tree, name).await {
        assert!(trouble.again && began.elapsed() < Duration::from_secs(60), "{trouble}");
    }
}

async fn running(backend: &Backend, tree: &str, name: &str) -> Option<bool> {
    backend.list(tree).await.unwrap().get(name).map(|machine| machine.running)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an engine: cargo xtask test scaler"]
async fn a_container_is_made_once_and_told_to_end_once() {
    // Who is told twice ends at once.
    let script = "trap \"trap exit TERM; sleep 3 & wait; exit\" TERM; while :; do sleep 0.1; done";
    let (tree, backend) = containers(script, "");
    let name = "egress-9";
    backend.make(&egress(&tree, name), false).await.unwrap();
    assert_eq!(running(&backend, &tree, name).await, Some(false));
    let asked: Vec<_> = (0..4)
        .map(|_| {
            let (backend, spec) = (containers(script, "").1, egress(&tree, name));
            tokio::spawn(async move { backend.make(&spec, true).await })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(running(&backend, &tree, name).await, Some(true));
    // Another scaler finds it, and goes on with ending it.
    let again = containers(script, "").1;
    let began = Instant::now();
    let trouble = again.destroy(&tree, name).await.unwrap_err();
    assert!(trouble.again && trouble.why.contains("is killed after 130 s"), "{trouble}");
    assert!(again.make(&egress(&tree, name), true).await.is_err_and(|trouble| trouble.again));
    destroyed(&backend, &tree, name).await;
    assert!(began.elapsed() > Duration::from_secs(3), "it was told twice");
    destroyed(&backend, &tree, name).await;
    assert_eq!(running(&backend, &tree, name).await, None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an engine: cargo xtask test scaler"]
async fn one_that_does_not_end_is_killed() {
    let (tree, backend) =
        containers("trap \"\" TERM; while :; do sleep 0.1; done # deaf", "end-within = 1.0");
    backend.make(&egress(&tree, "egress-9"), true).await.unwrap();
    destroyed(&backend, &tree, "egress-9").await;
    assert_eq!(backend.list(&tree).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an engine: cargo xtask test scaler"]
async fn one_that_ends_at_once_says_why() {
    let (tree, backend) =
        containers("echo $NODE_ID $TREE_ID $ZONE cannot use port $API_PORT >&2; exit 64", "");
    let trouble = backend.make(&egress(&tree, "egress-9"), true).await.unwrap_err();
    assert!(
        !trouble.again && trouble.why.contains(&format!("egress-9 {tree} a cannot use port 410")),
        "{trouble}"
    );
    destroyed(&backend, &tree, "egress-9").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an engine: cargo xtask test scaler"]
async fn an_image_that_is_not_there_is_named() {
    let backend = Backend::read(
        "backend = 'docker'\n[docker]\nnetwork = 'host'\n[docker.egress]\nimage = 'media-tree/no-such-image'\n",
    );
    let backend = backend.unwrap();
    let Err(Trouble { why, again }) = backend.make(&egress("tree-none", "egress-9"), true).await else {
        panic!("it was made");
    };
    assert!(!again && why.contains("media-tree/no-such-image"), "{why}");
    destroyed(&backend, "tree-none", "egress-9").await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_asked_again() {
    let backend = Backend::read(
        "backend = 'docker'\n[docker]\nhost = 'unix:///no/such/socket'\nnetwork = 'host'\n[docker.egress]\nimage = 'x'\n",
    );
    let trouble = backend.unwrap().list("tree-1").await.unwrap_err();
    assert!(trouble.again && trouble.why.starts_with("the engine cannot be asked"), "{trouble}");
}
