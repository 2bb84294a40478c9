//! The harness of `cargo xtask bench viewers`: viewers come to the native server, and figures come out. What they are is not asserted.

use std::fs;
use std::process::Command;

use lab::node::program;
use serde_json::Value;

const VIEWERS: u64 = 10;

#[test]
fn test() {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.json");
    let buffers = || fs::read_to_string("/proc/sys/net/core/rmem_default").unwrap();
    let before = buffers();
    let output = Command::new(program("bench").unwrap())
        .args(["viewers", "--quick", "--only", "native", "--viewers", &VIEWERS.to_string(), "--json"])
        .arg(&samples)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(buffers(), before, "the machine is left as it was");
    let samples: Value = serde_json::from_str(&fs::read_to_string(&samples).unwrap()).unwrap();
    let sample = &samples["samples"][0];
    assert_eq!(
        (sample["server"].as_str(), sample["watching"].as_u64()),
        (Some("native"), Some(VIEWERS)),
        "{said}"
    );
    assert!(sample["packets"].as_u64().unwrap() > 1000, "{sample}");
    for figure in ["us_a_packet", "cores", "longest_gap_ms", "joins_a_second"] {
        assert!(sample[figure].as_f64().unwrap() > 0.0, "{figure}: {sample}");
    }
    assert!(said.contains("| egress --server native | 10 |"), "{said}");
}
