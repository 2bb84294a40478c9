//! Who carries a session is read once for all that ask, and known while Redis is away.

use std::sync::Arc;
use std::time::Instant;

use node::directory::{Carriers, Directory, Particulars};
use node::record::{NodeType, Registration};
use node::tree::Tree;

use crate::common::*;

async fn egress(server: &Server, id: &str) -> Tree {
    let node = Recorder::default();
    *node.particulars.lock().unwrap() = Particulars { max_viewers: 300, ..Particulars::default() };
    let registration = Registration { id: id.to_owned(), node_type: NodeType::Egress, ..registration() };
    let tree = Tree::start(config(server), registration, Arc::new(node));
    settled(&tree).await;
    tree
}

fn names(carriers: &Carriers) -> Vec<&str> {
    carriers.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_directory_says_who_carries_a_session() {
    let mut server = Server::start("").await;
    let trees = [egress(&server, "egress-1").await, egress(&server, "egress-2").await];
    // One that is dead, and one that is no egress.
    server
        .run(r#"HSET directory:tree-1 egress-3 {"type":"egress","url":"http://a","status":"active"}"#)
        .await;
    server.run(r#"HSET directory:tree-1 relay-1 {"type":"relay","url":"http://b","status":"active"}"#).await;
    server.run("SET node:relay-1 there").await;
    server
        .run("SADD mountpoints:active egress-1:show egress-2:show egress-3:show relay-1:show egress-2:more")
        .await;

    for session in ["show", "more"] {
        server.run(&format!("HSET session:{session} treeId tree-1")).await;
    }
    let directory = Directory::new(config(&server).redis, "tree-1");
    let asking = (0..100).map(|_| {
        let directory = directory.clone();
        tokio::spawn(async move { directory.carriers("show").await.unwrap() })
    });
    for asked in asking.collect::<Vec<_>>() {
        let carriers = asked.await.unwrap();
        assert_eq!(names(&carriers), ["egress-1", "egress-2"]);
        assert!(carriers["egress-1"].has_room());
    }
    assert_eq!(names(&directory.carriers("more").await.unwrap()), ["egress-2"]);
    assert!(directory.carriers("none").await.unwrap().is_empty());
    assert!(directory.carriers("no name").await.unwrap().is_empty());
    assert_eq!(directory.nodes().await.unwrap().entries.len(), 4);
    assert_eq!(directory.nodes().await.unwrap().alive.len(), 3);
    let stats = server.text("INFO commandstats").await.unwrap();
    assert!(stats.contains("cmdstat_sismember:calls=4,"), "two sessions, two egresses: {stats}");

    server.kill();
    let began = Instant::now();
    while directory.carriers("show").await.is_ok() && began.elapsed() < ms(1500) {
        tokio::time::sleep(ms(100)).await;
    }
    assert_eq!(names(&directory.carriers("show").await.unwrap()), ["egress-1", "egress-2"]);
    let why = directory.carriers("other").await.unwrap_err();
    assert!(why.contains("Redis") || why.contains("127.0.0.1"), "{why}");
    drop(trees);
}

#[tokio::test]
async fn names_that_strangers_make_up_cost_one_command_however_many_egresses_there_are() {
    let server = Server::start("").await;
    for egress in 0..200 {
        let entry = r#"{"type":"egress","url":"http://a","status":"active","maxViewers":300}"#;
        server.run(&format!("HSET directory:tree-1 egress-{egress} {entry}")).await;
        server.run(&format!("SET node:egress-{egress} there")).await;
    }
    let directory = Directory::new(config(&server).redis, "tree-1");
    let asking = (0..100).map(|name| {
        let directory = directory.clone();
        tokio::spawn(async move { directory.carriers(&format!("made-up-{name}")).await.unwrap() })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert!(asked.await.unwrap().is_empty());
    }
    let stats = server.text("INFO commandstats").await.unwrap();
    assert!(!stats.contains("cmdstat_sismember"), "200 egresses are asked of nobody's names: {stats}");
}
