//! deploy/helm/media-tree: Helm renders it, Kubernetes' own schemas take every object of it, and each pod has the rights, names and settings that it
//! needs and no others. Needs no root and no cluster.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use lab::relay::workspace;
use serde_json::Value;

/// The oldest that has what the chart uses, and the newest whose schemas are there.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];
/// What can be chosen.
const CHOICES: [&[&str]; 4] = [
    &[],
    &["egress.server=janus", "egress.maxViewers=200", "redis.existingSecret=redis"],
    &["egress.scaling=keda", "monitoring.enabled=true", "monitoring.labels.release=prometheus"],
    &["egress.scaling=scaler", "injection.settings.RTMP=0.0.0.0:1935", "imagePullSecrets[0].name=registry"],
];

fn tool(name: &str) -> Command {
    let path = workspace().join("target/kubernetes/bin").join(name);
    assert!(path.exists(), "{} is not there; `cargo xtask setup` fetches it", path.display());
    Command::new(path)
}

fn chart() -> PathBuf {
    workspace().join("deploy/helm/media-tree")
}

fn helm(values: &[&str]) -> Output {
    let mut helm = tool("helm");
    helm.args(["template", "live"]).arg(chart()).args(["--namespace", "media", "--kube-version", "1.33.0"]);
    for value in values {
        helm.args(["--set", value]);
    }
    helm.output().unwrap()
}

fn rendered(values: &[&str]) -> String {
    let output = helm(values);
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command with that on its standard input.
fn given(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// YAML documents as JSON.
fn read(yaml: &str) -> Vec<Value> {
    let reads = "import sys, json, yaml; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d]))";
    let output = given(tool("python").args(["-c", reads]), yaml);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn objects(values: &[&str]) -> Vec<Value> {
    read(&rendered(values))
}

/// Objects of operators are none of Kubernetes'.
fn is_operators(object: &Value) -> bool {
    matches!(object["kind"].as_str(), Some("PodMonitor" | "ScaledObject"))
}

/// What is wrong with objects in the eyes of a version of Kubernetes.
fn refused(objects: &[Value], version: &str) -> Option<String> {
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    let mut check = tool("kubernetes-validate");
    let output = given(check.args(["--strict", "-k", version, "/dev/stdin"]), &text.join("\n---\n"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let unknown = said.contains("WARN");
    (!output.status.success() || unknown).then(|| said.into_owned())
}

/// Pods that are made by objects: kind of the object, component, and the pod's own part.
fn pods(objects: &[Value]) -> Vec<(String, Value)> {
    let templates = objects.iter().map(|object| (object, &object["spec"]["template"]));
    let pods = templates.filter(|(_, template)| template["spec"]["containers"].is_array());
    pods.map(|(object, template)| (object["kind"].as_str().unwrap().to_owned(), template.clone())).collect()
}

fn containers(pod: &Value) -> Vec<&Value> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten().collect()
}

fn component(pod: &Value) -> &str {
    pod["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap()
}

#[test]
fn helm_finds_nothing_wrong_with_it() {
    let output = tool("helm").args(["lint", "--strict"]).arg(chart()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn kubernetes_takes_every_object() {
    for values in CHOICES {
        let (operators, ours): (Vec<_>, Vec<_>) = objects(values).into_iter().partition(is_operators);
        assert!(ours.len() >= 7, "{ours:?}");
        for version in VERSIONS {
            assert_eq!(refused(&ours, version), None, "{values:?} {version}");
        }
        if operators.is_empty() {
            continue;
        }
        let folder = workspace().join("lab/kubernetes");
        assert!(
            folder.join("node_modules").is_dir(),
            "no schemas of operators; `cargo xtask setup` fetches them"
        );
        let text = Value::from(operators).to_string();
        let output = given(Command::new("node").arg("check.mjs").current_dir(folder), &text);
        assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn kubernetes_refuses_what_it_does_not_know() {
    let mut objects = objects(&[]);
    objects.retain(|object| object["kind"] == "DaemonSet");
    objects[0]["spec"]["template"]["spec"]["hostNetwrok"] = true.into();
    assert!(refused(&objects, VERSIONS[1]).unwrap().contains("hostNetwrok"));
}

#[test]
fn values_that_cannot_be_are_refused_before_anything_is_made() {
    for (value, named) in [
        ("redis.url=redis://user:secret@redis:6379", "redis.url"),
        ("egress.server=ngnix", "egress.server"),
        ("egress.replicas=0", "egress.replicas"),
        ("egress.maxViewer=300", "maxViewer"),
        ("relay.interface=", "relay.interface"),
        ("relay.settings.rtp-address=10.0.0.1", "settings"),
        ("existingSecret=", "existingSecret"),
    ] {
        let output = helm(&[value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(named), "{value}: {said}");
    }
}

#[test]
fn nobody_has_more_rights_than_it_needs() {
    for values in CHOICES {
        for (kind, pod) in pods(&objects(values)) {
            for container in containers(&pod) {
                let (name, rights) = (&container["name"], &container["securityContext"]);
                assert_eq!(rights["allowPrivilegeEscalation"], false, "{kind} {name}");
                assert_eq!(rights["readOnlyRootFilesystem"], true, "{kind} {name}");
                assert!(rights["privileged"].is_null(), "{kind} {name}");
                assert_eq!(rights["capabilities"]["drop"], Value::from(vec!["ALL"]), "{kind} {name}");
                let added = &rights["capabilities"]["add"];
                if name == "relay" {
                    // Those with which lab/tests/net/the_rights_of_the_service_are_enough.rs attaches.
                    assert_eq!(*added, Value::from(vec!["BPF", "NET_ADMIN", "PERFMON"]));
                } else {
                    assert!(added.is_null() && rights["runAsNonRoot"] == true, "{kind} {name}: {rights}");
                }
            }
            let paths: Vec<&Value> = pod["spec"]["volumes"].as_array().into_iter().flatten().collect();
            let of_host: Vec<&&Value> =
                paths.iter().filter(|volume| volume["hostPath"].is_object()).collect();
            assert_eq!(of_host.len(), usize::from(component(&pod) == "relay"), "{kind}");
        }
    }
}

/// What the scaling controller is told of the nodes that it makes: the same pods, and a policy that it takes.
#[test]
fn the_scaling_controller_takes_what_it_is_told() {
    let values = ["egress.scaling=scaler", "egress.replicas=3", "scaler.settings.limits.maximum=40"];
    let all = objects(&values);
    let told = all.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let file = |name: &str| told["data"][name].as_str().unwrap();
    scaler::provision::Backend::read(file("provision.toml")).unwrap_or_else(|why| panic!("{why}"));
    let policy = scaler::config::Policy::read(file("policy.toml")).unwrap_or_else(|why| panic!("{why}"));
    let limits = policy.of("tree-1", None).unwrap().limits;
    assert_eq!((limits.baseline, limits.maximum), (3, 40));
    // On a machine of the DaemonSet its relay would wait for the ports for ever.
    let relays = pods(&all).into_iter().find(|(kind, _)| kind == "DaemonSet").unwrap().1;
    let taken: Vec<&String> = relays["spec"]["nodeSelector"].as_object().unwrap().keys().collect();
    let (_, relay) = file("provision.toml").split_once("[kubernetes.relay.spec.nodeSelector]\n").unwrap();
    let selector = relay.trim_start().lines().next().unwrap();
    assert_eq!(selector, r#""media-tree/relay-slot" = "true""#);
    assert!(!taken.iter().any(|label| selector.contains(&format!("{label}\""))), "{taken:?} {selector}");
    let account = all.iter().find(|object| object["kind"] == "Role").unwrap();
    assert_eq!(account["rules"][0]["resources"], Value::from(vec!["pods"]));
}

/// A variable that no node knows would change nothing, silently.
#[test]
fn every_variable_is_a_setting() {
    let page = fs::read_to_string(workspace().join("docs/settings.md")).unwrap();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for word in page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
    {
        let name = word.to_uppercase().replace('-', "_");
        // A secret can be had from the variable itself.
        known.extend(name.strip_suffix("_FILE").map(str::to_owned));
        known.insert(name);
    }
    let not_ours = ["NODE_IP", "XDG_CACHE_HOME"];
    for values in CHOICES {
        for (kind, pod) in pods(&objects(values)) {
            for container in containers(&pod).into_iter().filter(|one| one["name"] != "janus") {
                for variable in container["env"].as_array().unwrap() {
                    let name = variable["name"].as_str().unwrap();
                    assert!(known.contains(name) || not_ours.contains(&name), "{kind}: {name} is no setting");
                }
            }
        }
    }
}

/// `$(NAME)` in a variable is replaced only by one that stands before it.
#[test]
fn variables_stand_behind_those_that_they_name() {
    for (kind, pod) in pods(&objects(&[])) {
        for container in containers(&pod) {
            let mut before = BTreeSet::new();
            for variable in container["env"].as_array().unwrap() {
                let value = variable["value"].as_str().unwrap_or_default();
                for named in value.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                    assert!(before.contains(named), "{kind}: {value} stands before {named}");
                }
                before.insert(variable["name"].as_str().unwrap());
            }
        }
    }
}

#[test]
fn a_pod_that_ends_has_time_for_its_viewers_and_is_no_longer_asked() {
    let all = objects(&["egress.drainLimit=300", "egress.server=janus"]);
    let pods = pods(&all);
    let (_, egress) = pods.iter().find(|(_, pod)| component(pod) == "egress").unwrap();
    assert!(egress["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() > 300);
    let node = &egress["spec"]["containers"][0];
    let limit = node["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "DRAIN_LIMIT");
    assert_eq!(limit.unwrap()["value"], "300");
    assert_eq!(node["readinessProbe"]["httpGet"]["path"], "/readyz");
    // What has to be there until the egress has ended starts before it and ends after it.
    let beside: Vec<&Value> = egress["spec"]["initContainers"].as_array().unwrap().iter().collect();
    assert_eq!(beside.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["janus", "place"]);
    assert!(beside.iter().all(|one| one["restartPolicy"] == "Always"));
}

#[test]
fn two_of_a_kind_never_meet_on_one_machine() {
    for (kind, pod) in pods(&objects(&[])) {
        assert_eq!(pod["spec"]["hostNetwork"], true, "{kind}");
        // On the machine's own network, a declared port is taken there, and a second pod that wants it goes elsewhere.
        let ports: Vec<&Value> =
            containers(&pod).iter().flat_map(|one| one["ports"].as_array().into_iter().flatten()).collect();
        assert!(ports.iter().any(|port| port["name"] == "http"), "{kind}");
        assert!(ports.iter().any(|port| port["protocol"] == "UDP"), "{kind}");
        assert!(!pod["spec"]["nodeSelector"].as_object().unwrap().is_empty(), "{kind}");
    }
}

/// Prometheus finds pods by these, with the operator and without.
#[test]
fn prometheus_finds_every_pod() {
    let all = objects(&["monitoring.enabled=true", "egress.scaling=scaler"]);
    let without = fs::read_to_string(workspace().join("deploy/monitoring/kubernetes.yml")).unwrap();
    let without = read(&without).remove(0);
    let job = &without["scrape_configs"][0];
    for (kind, pod) in pods(&all) {
        let labels = &pod["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/part-of"], "media-tree", "{kind}");
        assert_eq!(labels["media-tree/tree-id"], "tree-1", "{kind}");
        assert!(["injection", "relay", "egress", "scaler"].contains(&component(&pod)), "{kind}");
        let mut ports =
            containers(&pod).into_iter().flat_map(|one| one["ports"].as_array().into_iter().flatten());
        assert!(ports.any(|port| port["name"] == "http"), "{kind}");
    }
    // The same rules, in the operator's spelling: camelCase instead of snake_case.
    let monitor = all.iter().find(|object| object["kind"] == "PodMonitor").unwrap();
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let rules = |list: &Value| -> BTreeSet<String> {
        let of = |rule: &Value| {
            let text = rule.to_string();
            text.replace("source_labels", "sourceLabels").replace("target_label", "targetLabel")
        };
        list.as_array().unwrap().iter().map(of).collect()
    };
    let mut wanted = rules(&job["relabel_configs"]);
    // The operator does this one itself.
    wanted.retain(|rule| !rule.contains("container_port_name"));
    assert_eq!(rules(&endpoint["relabelings"]), wanted);
    assert_eq!(rules(&endpoint["metricRelabelings"]), rules(&job["metric_relabel_configs"]));
}
