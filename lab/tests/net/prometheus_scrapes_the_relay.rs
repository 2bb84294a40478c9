//! A real Prometheus scrapes a running relay, and answers the queries that the scaling controller and the alerts make.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::tree::{API, Tree};
use crate::common::{eventually, lab_for};
use lab::relay::Mode;
use lab::topology::CONTROL;
use lab::{Lab, Prometheus, RedisConfig, Source, SourceConfig, Topology};

const RATE: u64 = 4_000;
const CHILDREN: usize = 2;
/// Every query filters by these two.
const RELAY: &str = r#"tree_id="tree-1",node_id="relay-1""#;

modes!(queries_and_alerts_work: in_tc_mode = Tc);

fn queries_and_alerts_work(mode: Mode) {
    let lab = lab_for("prom", mode);
    let topology = Topology::nic_per_child(&lab, CHILDREN).unwrap();
    let tree = Tree::grow_with(&lab, topology, mode, CHILDREN, RedisConfig::default(), |config| {
        config.with(&["--api", "0.0.0.0:7071"]).env("API_TOKEN", "for-changes-only")
    });
    let sinks = [tree.bench.sink(&[0]), tree.bench.sink(&[1])];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(tree.bench.flows(), RATE)).unwrap();
    sinks.iter().for_each(|sink| tree.bench.wait_packets(sink, 2, 100));
    promtool_finds_nothing_to_complain_about(&lab, &tree.get("/metrics").body);
    // The relay's end of its wire to the control host.
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: media-tree-relay\n  static_configs:\n  - targets: \
         ['10.0.201.1:{}']\n",
        API.1
    );
    let prometheus = Prometheus::start(&lab, CONTROL, &configuration, &[]).unwrap();
    let query = |expression: &str| -> Vec<f64> {
        prometheus.query(expression).unwrap().iter().map(|sample| sample.value).collect()
    };

    let destinations =
        |kind: &str| format!(r#"media_tree_relay_destinations_count{{{RELAY},stream_type="{kind}"}}"#);
    eventually("the relay is scraped", || !query(&destinations("audio")).is_empty());
    for kind in ["audio", "video"] {
        assert_eq!(query(&destinations(kind)), [CHILDREN as f64], "{kind}");
    }
    for kind in ["audio", "video"] {
        let rate = format!(
            r#"rate(media_tree_relay_rtp_packets_forwarded_total{{{RELAY},stream_type="{kind}"}}[5s])"#
        );
        // Half of the packets are audio. Each is counted once, however many children it goes to.
        let wanted = (RATE / 2) as f64;
        eventually(
            &format!("{rate} is about {wanted}"),
            || matches!(query(&rate)[..], [rate] if (wanted * 0.8..wanted * 1.2).contains(&rate)),
        );
    }
    // Nothing of ours without both labels.
    let unlabelled = r#"{__name__=~"media_tree_.*",node_id=""} or {__name__=~"media_tree_.*",tree_id=""}"#;
    assert_eq!(query(unlabelled), [] as [f64; 0]);
    assert!(!query(&format!("media_tree_relay_forwarder_state{{{RELAY}}} == 3")).is_empty());

    // The alert ForwarderPipelineDown: silent while all is well, and not when the interface is down.
    let alert = "media_tree_relay_forwarder_state < 3";
    assert_eq!(query(alert), [] as [f64; 0]);
    lab.set_link("relay-1", "eth0", false).unwrap();
    eventually("the alert fires", || !query(alert).is_empty());
    lab.set_link("relay-1", "eth0", true).unwrap();
    eventually("the alert ends", || query(alert).is_empty());
    drop(source);
}

/// `promtool check metrics` wants help, type and names as they should be.
fn promtool_finds_nothing_to_complain_about(lab: &Lab, metrics: &str) {
    assert!(metrics.contains("# TYPE media_tree_relay_rtp_packets_forwarded_total counter"), "{metrics}");
    let file = lab.directory().join("metrics");
    fs::write(&file, metrics).unwrap();
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::from(fs::File::open(&file).unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    // docs/contract.md, *Metrics*, has this name, and everybody's queries.
    let settled = "media_tree_relay_destinations_count non-histogram and non-summary metrics should not have";
    let complaints: Vec<&str> = said.lines().filter(|line| !line.starts_with(settled)).collect();
    assert!(complaints.is_empty() && matches!(checked.status.code(), Some(0 | 3)), "{said}\n{metrics}");
}
