//! `bpftool map dump pinned` shows keys and values with their names, through BTF.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Bench, VIDEO_SSRC, lab_for};
use lab::relay::Mode;
use lab::{Source, SourceConfig, Topology};

modes!(maps_are_readable_without_our_tools: in_xdp_mode = Xdp, in_tc_mode = Tc);

/// ROOT/INTERFACE/vN, the only version there is.
fn pins(bench: &Bench) -> PathBuf {
    let versions: Vec<_> = fs::read_dir(bench.cli().pin_root().join("eth0")).unwrap().flatten().collect();
    assert_eq!(versions.len(), 1, "{versions:?}");
    versions[0].path()
}

fn dump(bench: &Bench, map: &str) -> String {
    let output =
        Command::new("bpftool").args(["map", "dump", "pinned"]).arg(pins(bench).join(map)).output().unwrap();
    assert!(output.status.success(), "{map}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn maps_are_readable_without_our_tools(mode: Mode) {
    let lab = lab_for("dump", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let sink = bench.sink(&[0]);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 1_000)).unwrap();
    bench.wait_packets(&sink, 2, 10);
    let names: [(&str, &[&str]); 8] = [
        ("CHILDREN", &["destination_mac", "source_mac", "ports", "ifindex", "counter"]),
        ("CHILD_INFO", &["name", "host"]),
        ("CHILD_STATS", &["packets", "bytes", "errors"]),
        ("STREAMS", &["ssrc", "port", "packets"]),
        ("LISTENERS", &["address", "mac", "kind"]),
        ("RELAY", &["version", "mode", "generation"]),
        ("INSTANCES", &["first", "count"]),
        ("TOTALS", &["packets", "bytes", "rtcp_packets"]),
    ];
    for (map, fields) in names {
        let text = dump(&bench, map);
        for field in fields {
            assert!(text.contains(&format!("\"{field}\"")), "{map} has no {field}: {:.600}", text);
        }
    }
    let streams: String = dump(&bench, "STREAMS").split_whitespace().collect();
    assert!(streams.contains(&format!("\"ssrc\":{VIDEO_SSRC}")), "{streams}");
}
