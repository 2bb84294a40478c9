//! What deploy/monitoring has is taken by the programs that it is for, and every rule does what it says. Needs no root.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lab::relay::workspace;
use serde_json::Value;

/// What promtool gives discovery; it takes all of it.
const DISCOVERY: &str = "2s";

fn folder() -> PathBuf {
    workspace().join("deploy/monitoring")
}

fn text(file: &str) -> String {
    let path = workspace().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of a folder, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == ending)).collect();
    files.sort();
    files
}

fn run(program: &str, within: &Path, arguments: &[&str], files: &[PathBuf]) -> Output {
    let output = Command::new(program).current_dir(within).args(arguments).args(files).output();
    output.unwrap_or_else(|error| panic!("{program} does not run ({error}); run `cargo xtask setup`"))
}

fn takes(program: &str, within: &Path, arguments: &[&str], files: &[PathBuf]) {
    let output = run(program, within, arguments, files);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// The folder as it is on a machine, with this as its only list of targets.
fn installed(list: &str) -> tempfile::TempDir {
    let there = tempfile::tempdir().unwrap();
    for part in ["rules", "targets"] {
        fs::create_dir(there.path().join(part)).unwrap();
    }
    for path in files(&folder(), "yml").into_iter().chain(files(&folder().join("rules"), "yml")) {
        fs::copy(&path, there.path().join(path.strip_prefix(folder()).unwrap())).unwrap();
    }
    fs::write(there.path().join("targets/list.yml"), list).unwrap();
    there
}

/// What is really asked by a job: addresses with their labels.
fn asked(there: &Path, configuration: &str, job: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let timeout = format!("--timeout={DISCOVERY}");
    let output = run("promtool", there, &["check", "service-discovery", &timeout, configuration, job], &[]);
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let labels = |target: &Value| -> Option<BTreeMap<String, String>> {
        let labels = target["labels"].as_object()?;
        Some(labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect())
    };
    let found = found.as_array().unwrap().iter().filter_map(labels);
    found.filter_map(|labels| Some((labels.get("__address__")?.clone(), labels))).collect()
}

#[track_caller]
fn is(target: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(target.get(*name).map(String::as_str), Some(*value), "{name}: {target:?}");
    }
}

#[test]
fn prometheus_takes_configuration_and_rules() {
    let there = installed(&text("deploy/monitoring/compose-targets.yml"));
    takes("promtool", there.path(), &["check", "config", "prometheus.yml"], &[]);
    takes(
        "promtool",
        there.path(),
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &files(&folder().join("rules"), "yml"),
    );
    let broken = there.path().join("rules/broken.yml");
    fs::write(&broken, "groups: [{name: a, rules: [{alert: A, expr: 'rate(a)'}]}]").unwrap();
    assert!(!run("promtool", there.path(), &["check", "config", "prometheus.yml"], &[]).status.success());
}

#[test]
fn rules_say_what_they_should_and_nothing_else() {
    takes("promtool", &folder().join("tests"), &["test", "rules"], &files(&folder().join("tests"), "yml"));
}

#[test]
fn a_list_without_redis_names_nodes_by_their_addresses() {
    let there = installed(&text("deploy/monitoring/compose-targets.yml"));
    let nodes = asked(there.path(), "prometheus.yml", "media-tree");
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["egress-1:7073", "injection-1:7070", "relay-1:7071"]);
    let relay =
        [("job", "media-tree-relay"), ("tree_id", "tree-1"), ("node_id", "relay-1"), ("node_type", "relay")];
    is(&nodes["relay-1:7071"], &relay);
    is(&nodes["egress-1:7073"], &[("node_type", "egress"), ("__metrics_path__", "/metrics")]);
    let machines = asked(there.path(), "prometheus.yml", "node-exporter");
    assert_eq!(machines.len(), 3);
    is(&machines["relay-1:9100"], &[&relay[1..], &[("job", "node-exporter")]].concat());
}

#[test]
fn a_list_of_ours_is_taken_as_it_is() {
    let list = r#"[
        {"targets": ["10.0.0.5:7071"], "labels": {"job": "media-tree-relay", "tree_id": "t", "node_id": "west", "node_type": "relay"}},
        {"targets": ["10.0.0.5:9100"], "labels": {"job": "node-exporter", "tree_id": "t", "node_id": "west", "node_type": "relay"}}
    ]"#;
    let there = installed(list);
    let nodes = asked(there.path(), "prometheus.yml", "media-tree");
    let machines = asked(there.path(), "prometheus.yml", "node-exporter");
    assert_eq!((nodes.len(), machines.len()), (1, 1));
    let west = [("tree_id", "t"), ("node_id", "west"), ("node_type", "relay")];
    is(&nodes["10.0.0.5:7071"], &[&west[..], &[("job", "media-tree-relay")]].concat());
    is(&machines["10.0.0.5:9100"], &[&west[..], &[("job", "node-exporter")]].concat());
}

#[test]
fn scalers_of_a_list_are_asked_and_are_no_nodes() {
    let list = "- {targets: ['10.0.0.3:7078'], labels: {job: scaler}}\n";
    let there = installed(list);
    let scalers = asked(there.path(), "prometheus.yml", "scaler");
    assert_eq!(scalers.keys().collect::<Vec<_>>(), ["10.0.0.3:7078"]);
    is(&scalers["10.0.0.3:7078"], &[("job", "scaler"), ("__metrics_path__", "/metrics")]);
    // What the scaler says of each tree is to be kept.
    assert!(!scalers["10.0.0.3:7078"].contains_key("tree_id"), "{scalers:?}");
    for others in ["media-tree", "node-exporter"] {
        assert!(asked(there.path(), "prometheus.yml", others).is_empty(), "{others}");
    }
}

/// Debian's Prometheus is built without Kubernetes: what it would find there is put into a list, and all else is as it is.
#[test]
fn pods_are_named_by_their_labels() {
    let found = r#"[{"targets": ["10.1.0.7:7073"], "labels": {
        "__meta_kubernetes_pod_name": "egress-3", "__meta_kubernetes_pod_phase": "Running", "__meta_kubernetes_pod_host_ip": "192.0.2.9",
        "__meta_kubernetes_pod_container_port_name": "http", "__meta_kubernetes_pod_label_app_kubernetes_io_component": "egress",
        "__meta_kubernetes_pod_label_media_tree_tree_id": "tree-1"}},
      {"targets": ["10.1.0.7:7075"], "labels": {
        "__meta_kubernetes_pod_name": "egress-3", "__meta_kubernetes_pod_phase": "Running", "__meta_kubernetes_pod_container_port_name": "media"}},
      {"targets": ["10.1.0.8:7073"], "labels": {
        "__meta_kubernetes_pod_name": "egress-4", "__meta_kubernetes_pod_phase": "Failed", "__meta_kubernetes_pod_container_port_name": "http"}},
      {"targets": ["10.1.0.9:7078"], "labels": {
        "__meta_kubernetes_pod_name": "live-scaler-7", "__meta_kubernetes_pod_phase": "Running", "__meta_kubernetes_pod_host_ip": "192.0.2.8",
        "__meta_kubernetes_pod_container_port_name": "http", "__meta_kubernetes_pod_label_app_kubernetes_io_component": "scaler",
        "__meta_kubernetes_pod_label_media_tree_tree_id": "tree-1"}}]"#;
    let there = installed(found);
    let kubernetes = text("deploy/monitoring/kubernetes.yml");
    let discovery = "kubernetes_sd_configs: &pods\n      - role: pod\n        selectors: \
                     [{role: pod, label: app.kubernetes.io/part-of=media-tree}]\n";
    assert!(
        kubernetes.contains(discovery) && kubernetes.contains("kubernetes_sd_configs: *pods"),
        "{kubernetes}"
    );
    let listed = kubernetes
        .replace(discovery, "file_sd_configs: &pods\n      - files: [targets/list.yml]\n")
        .replace("kubernetes_sd_configs", "file_sd_configs");
    fs::write(there.path().join("kubernetes.yml"), listed).unwrap();
    takes("promtool", there.path(), &["check", "config", "kubernetes.yml"], &[]);
    let nodes = asked(there.path(), "kubernetes.yml", "media-tree");
    let machines = asked(there.path(), "kubernetes.yml", "node-exporter");
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["10.1.0.7:7073", "10.1.0.9:7078"]);
    is(&nodes["10.1.0.9:7078"], &[("job", "scaler"), ("tree_id", "tree-1"), ("node_id", "live-scaler-7")]);
    assert_eq!(machines.keys().collect::<Vec<_>>(), ["192.0.2.9:9100"]);
    let pod = [("tree_id", "tree-1"), ("node_id", "egress-3"), ("node_type", "egress")];
    is(&nodes["10.1.0.7:7073"], &[&pod[..], &[("job", "media-tree-egress")]].concat());
    is(&machines["192.0.2.9:9100"], &[&pod[..], &[("job", "node-exporter")]].concat());
}

#[test]
fn alertmanager_takes_its_configuration_and_tells_people() {
    takes("amtool", &folder(), &["check-config", "alertmanager.yml"], &[]);
    for (labels, wanted) in [
        (&["alertname=NodeDown", "severity=critical"][..], "operators"),
        (&["alertname=OrphanMountpoints", "severity=info"], "operators"),
        (&["alertname=AboveIsDown", "severity=none"], "nobody"),
    ] {
        let test = ["config", "routes", "test", "--config.file=alertmanager.yml"];
        let output = run("amtool", &folder(), &[&test, labels].concat(), &[]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), wanted, "{labels:?}");
    }
}

/// The words after this at the beginnings of lines.
fn after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim_start().strip_prefix(mark))
}

fn all(part: &str) -> String {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    files(&folder().join(part), "yml").into_iter().map(read).collect()
}

#[test]
fn every_alert_is_tested_both_ways_and_explained() {
    let (rules, tests) = (all("rules"), all("tests"));
    let documents = text("docs/monitoring.md");
    let alerts: BTreeSet<&str> = after(&rules, "- alert: ").collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        let silent = format!("{{alertname: {alert}, eval_time: ");
        let is_silent = tests.lines().any(|line| line.contains(&silent) && line.contains("exp_alerts: []"));
        assert!(is_silent, "{alert}: no test in which it does not fire");
        let fires = format!("- alertname: {alert}\n");
        assert!(tests.contains(&fires), "{alert}: no test in which it fires");
        assert!(documents.contains(&format!("\n### {alert}\n")), "{alert} is not in docs/monitoring.md");
        let anchor = format!(
            "runbook_url: \"{{{{ $externalLabels.documents }}}}docs/monitoring.md#{}\"\n",
            alert.to_lowercase()
        );
        assert!(rules.contains(&anchor), "{alert}: {anchor}");
    }
    let (_, section) = documents.split_once("\n## Alerts\n").unwrap();
    let explained = after(section.split("\n## ").next().unwrap(), "### ");
    let unknown: Vec<&str> = explained.filter(|name| !alerts.contains(name)).collect();
    assert!(unknown.is_empty(), "docs/monitoring.md explains alerts that there are not: {unknown:?}");
    for record in after(&rules, "- record: ") {
        assert!(
            tests.contains(record) || rules.matches(record).count() > 1,
            "{record} is neither tested nor used"
        );
    }
}

/// Whatever a rule asks for, a node has: docs/contract.md is held to the nodes by their own tests.
#[test]
fn every_series_that_a_rule_asks_for_is_in_the_contract() {
    let contract = text("docs/contract.md");
    let known: BTreeSet<&str> =
        after(&contract, "| `media_tree_").filter_map(|line| line.split('`').next()).collect();
    let rules = all("rules");
    let mut asked = 0;
    for rest in rules.split("media_tree_").skip(1) {
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_(|)".contains(c))).unwrap_or(rest.len());
        for name in spelled_out(&rest[..end]) {
            asked += 1;
            assert!(known.contains(name.trim_end_matches(')')), "no node has media_tree_{name}");
        }
    }
    assert!(asked > 30, "{asked}");
}

/// `(a|b)_c` is two names.
fn spelled_out(name: &str) -> Vec<String> {
    let Some((choice, rest)) = name.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
        return vec![name.split(['(', '|']).next().unwrap_or_default().to_owned()];
    };
    choice.split('|').map(|one| format!("{one}{rest}")).collect()
}
