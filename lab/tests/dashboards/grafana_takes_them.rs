//! Grafana's own types, as it publishes them for programs, have room for our dashboards, and for nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::monitoring::panels::dashboards;
use lab::relay::workspace;

/// Grafana's types of the version in `lab/grafana/package-lock.json`.
fn grafana_takes(files: &[PathBuf]) -> Result<(), String> {
    let folder = workspace().join("lab/grafana");
    assert!(folder.join("node_modules").is_dir(), "no types of Grafana: `cargo xtask setup` fetches them");
    let output = Command::new("node").arg(folder.join("check.mjs")).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn grafana_s_own_types_take_them() {
    grafana_takes(&dashboards().unwrap()).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn grafana_s_own_types_refuse_others() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        fs::read_to_string(workspace().join("deploy/monitoring/grafana/dashboards/tree.json")).unwrap();
    let changes = [
        (r#""legendFormat""#, r#""legend""#),
        (r#""drawStyle": "line""#, r#""drawStyle": "curve""#),
        (r#""schemaVersion": 39,"#, ""),
    ];
    let wrong = changes.map(|(from, to)| {
        let file = folder.path().join(format!("{}.json", to.len()));
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replace(from, to)).unwrap();
        file
    });
    let said = grafana_takes(&wrong).unwrap_err();
    for file in &wrong {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name), "{name} is taken: {said}");
    }
}
