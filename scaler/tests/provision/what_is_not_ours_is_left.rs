use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn a_list_of_others_is_not_believed() {
    let place = Place::new();
    let listed = r#"{"egress-1":{"role":"egress","running":true,"created":7},
        "injection-1":{"role":"injection","running":true,"created":7},
        "../../x":{"role":"egress","running":true,"created":7},
        "-rf":{"role":"relay","running":true,"created":7}}"#;
    std::fs::write(place.path().join("list"), listed).unwrap();
    let script = place.path().join("list").display().to_string();
    let backend =
        Backend::read(&format!("backend = 'command'\n[command]\ncommand = ['sh', '-c', 'cat {script}']\n"));
    let machines = backend.unwrap().list("tree-1").await.unwrap();
    assert_eq!(machines.into_keys().collect::<Vec<_>>(), ["egress-1"]);
}

#[tokio::test]
async fn a_folder_that_others_can_write_says_nothing_of_processes() {
    let place = Place::new();
    let backend = place.processes("exec sleep 60", "");
    backend.make(&egress("egress-1"), true).await.unwrap();
    let state = place.path().join("state");
    let mode = |mode| std::fs::set_permissions(&state, PermissionsExt::from_mode(mode)).unwrap();
    for open in [0o777, 0o720] {
        mode(open);
        let trouble = backend.destroy("tree-1", "egress-1").await.unwrap_err();
        assert!(!trouble.again && trouble.why.contains("chmod 700"), "{trouble}");
    }
    mode(0o700);
    destroyed(&backend, "egress-1").await;
}

#[tokio::test]
async fn a_tree_can_be_called_lock() {
    let place = Place::new();
    let backend = place.processes("exec sleep 60", "");
    let spec = Spec { tree: "lock".to_owned(), ..egress("egress-1") };
    backend.make(&spec, false).await.unwrap();
    assert_eq!(backend.list("lock").await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_node_calls_its_zone_is_no_path() {
    let place = Place::new();
    let text = format!(
        "backend = 'process'\n[process]\nstate = '{0}/state'\n[process.egress]\ncommand = ['touch', '{0}/in-{{zone}}']\n",
        place.path().display()
    );
    let backend = Backend::read(&text).unwrap();
    let spec = Spec { zone: "/../../escaped".to_owned(), ..egress("egress-1") };
    let trouble = backend.make(&spec, true).await.unwrap_err();
    assert!(!trouble.again && trouble.why.contains("/../../escaped"), "{trouble}");
}
