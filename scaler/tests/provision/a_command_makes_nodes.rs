use std::os::unix::fs::PermissionsExt;

use super::*;

const HOOK: &str = r#"#!/bin/sh
# Nodes are files; the outline in deploy/ does the same with a cloud's.
cd "$(dirname "$0")/nodes" || exit 1
wanted=$(cat)
name=$(printf %s "$wanted" | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')
case $1 in
make) printf %s "$wanted" > "$name" ;;
destroy) rm -f "$name" ;;
list)
    printf '{'
    for node in *; do
        [ -f "$node" ] || continue
        grep -q '"start":true' "$node" && runs=true || runs=false
        printf '%s"%s":{"role":"egress","running":%s,"created":7}' "$comma" "$node" "$runs"
        comma=,
    done
    printf '}' ;;
esac
"#;

fn hook(place: &Place, text: &str, more: &str) -> Backend {
    let path = place.path().join("provision.sh");
    let _ = std::fs::create_dir(place.path().join("nodes"));
    // A file that is open for writing cannot be executed, not even if it is another process that has it open.
    std::fs::write(place.path().join("new"), text).unwrap();
    std::fs::rename(place.path().join("new"), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Backend::read(&format!("backend = 'command'\n[command]\ncommand = ['sh', '{}']\n{more}", path.display()))
        .unwrap()
}

#[tokio::test]
async fn a_command_makes_nodes() {
    let place = Place::new();
    let backend = hook(&place, HOOK, "");
    assert_eq!(backend.name(), "command");
    for (name, start) in [("egress-1", true), ("egress-2", false), ("egress-1", true)] {
        backend.make(&egress(name), start).await.unwrap();
    }
    assert_eq!(
        [running(&backend, "egress-1").await, running(&backend, "egress-2").await],
        [Some(true), Some(false)]
    );
    assert_eq!(
        place.said("nodes/egress-1"),
        [r#"{"name":"egress-1","parent":"relay-1","role":"egress","start":true,"tree":"tree-1","zone":""}"#]
    );
    destroyed(&backend, "egress-1").await;
    destroyed(&backend, "egress-1").await;
    assert_eq!(running(&backend, "egress-1").await, None);
}

#[tokio::test]
async fn a_command_says_whether_to_ask_again() {
    let place = Place::new();
    for (text, why, again) in [
        ("echo no quota >&2; exit 75", "no quota (exit status: 75)", true),
        ("echo what a zone >&2; exit 1", "what a zone (exit status: 1)", false),
        ("exit 3", "it said nothing (exit status: 3)", false),
        ("echo [1]", "what it printed is no list of nodes", false),
    ] {
        let trouble = hook(&place, text, "").list("tree-1").await.unwrap_err();
        assert!(trouble.why.contains(why) && trouble.again == again, "{text}: {trouble:?}");
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let place = Place::new();
    let text = format!("sleep 600 & echo $! >> {}/child; wait", place.path().display());
    let backend = hook(&place, &text, "within = 1.0");
    let trouble = backend.make(&egress("egress-1"), true).await.unwrap_err();
    assert!(trouble.again && trouble.why.contains("did not end within 1 s"), "{trouble}");
    let child = place.said("child").remove(0);
    until(|| async { (!Path::new(&format!("/proc/{child}/fd/0")).exists()).then_some(()) }).await;
}

/// A cloud of files: its machines are folders.
const CLOUD: &str = r#"
cd "$(dirname "$0")/nodes" || exit 1
case $1 in
exists) [ -d "$2" ] ;;
create) mkdir "$2" && printf '%s\n%s\n' "$3" "$4" > "$2/labels" ;;
start) : > "$2/running" ;;
stop) rm -f "$2/running" ;;
is-stopped) [ ! -e "$2/running" ] ;;
delete) rm -r "$2" ;;
list)
    for machine in *; do
        [ -d "$machine" ] || continue
        role=$(sed -n 's/.*role=\([a-z]*\).*/\1/p' "$machine/labels")
        [ -e "$machine/running" ] && runs=true || runs=false
        echo "$machine $role $runs 7 a"
    done ;;
esac
"#;

#[tokio::test]
#[ignore = "needs jq: cargo xtask test scaler"]
async fn the_outline_makes_machines_of_any_cloud() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("nodes")).unwrap();
    std::fs::write(place.path().join("cloud"), CLOUD).unwrap();
    let outline = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/provision.sh");
    let backend = Backend::read(&format!(
        "backend = 'command'\n[command]\ncommand = ['env', 'CLOUD=sh {}/cloud', '{outline}']\n",
        place.path().display()
    ));
    let backend = backend.unwrap();
    assert_eq!(backend.list("tree-1").await.unwrap().len(), 0);
    for start in [false, true, true] {
        backend.make(&egress("egress-1"), start).await.unwrap();
        assert_eq!(running(&backend, "egress-1").await, Some(start));
    }
    let machine = backend.list("tree-1").await.unwrap().remove("egress-1").unwrap();
    assert_eq!((machine.role, machine.created, machine.zone.as_str()), (NodeType::Egress, 7, "a"));
    destroyed(&backend, "egress-1").await;
    destroyed(&backend, "egress-1").await;
    assert_eq!(running(&backend, "egress-1").await, None);
}
