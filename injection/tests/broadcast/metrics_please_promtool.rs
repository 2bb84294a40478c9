use std::fs::File;
use std::io::Write;
use std::process::Command;

use crate::common::Scene;

/// The name is that of docs/contract.md, *Metrics*, and older than the rule that `_count` belongs to histograms.
const KNOWN: &str = "media_tree_injection_children_count non-histogram and non-summary metrics should not have \"_count\" suffix";

#[test]
fn test() {
    let scene = Scene::start("promtool");
    scene.create("s1");
    scene.child();
    scene.publisher("s1", "vp8");
    let text = scene.ask_with("GET", "/metrics", &[], "").body;
    assert!(text.contains("media_tree_injection_publishers{"), "{text}");
    let path = scene.lab.directory().join("metrics");
    File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    let said = Command::new("promtool").args(["check", "metrics"]).stdin(File::open(&path).unwrap()).output();
    let said = said.expect("promtool is not installed: run `cargo xtask setup`");
    let said = String::from_utf8(said.stderr).unwrap();
    let complaints: Vec<&str> = said.lines().filter(|line| !line.is_empty() && *line != KNOWN).collect();
    assert!(complaints.is_empty(), "{complaints:?}\n{text}");
}
