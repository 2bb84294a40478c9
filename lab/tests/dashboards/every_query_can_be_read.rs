//! promtool reads every query of every panel.

use std::fs;
use std::process::Command;

use super::all;

#[test]
fn every_query_can_be_read() {
    let mut rules = "groups:\n- name: panels\n  rules:\n".to_owned();
    let mut count = 0;
    for panel in all() {
        for query in &panel.queries {
            count += 1;
            let text = serde_json::to_string(&query.promql("1m")).unwrap();
            rules += &format!("  - record: panel:{count}\n    expr: {text}\n");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yml");
    fs::write(&file, &rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&format!("{count} rules found")), "{said}\n{rules}");
}
