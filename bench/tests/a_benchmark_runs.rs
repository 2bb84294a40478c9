//! The harness of `cargo xtask bench`: everybody can be measured, the relay's copies are complete at full load, and tables,
//! plots and raw figures come out. How fast anybody is is not asserted.

use std::fs;
use std::process::Command;

use serde_json::Value;

const OURS: [&str; 3] = ["xdp", "tc", "userspace"];

#[test]
fn everybody_is_measured_and_the_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("benchmarks.md");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md"), &page).unwrap();
    let before = fs::read_to_string(&page).unwrap();

    let throttling = || fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").unwrap();
    let throttled = throttling();

    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["fanout", "latency", "growth", "--quick", "--write"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(throttling(), throttled, "the machine is left as it was");

    let raw = fs::read_to_string(folder.path().join("benchmarks/raw.json")).unwrap();
    let raw: Value = serde_json::from_str(&raw).unwrap();
    let rows = raw["fanout"].as_array().unwrap();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        assert!(row["failed"].is_null(), "{row}");
        assert!(row["costs"][0]["ns_per_copy"].as_f64().unwrap() > 10.0, "{row}");
    }
    for row in rows.iter().filter(|row| OURS.contains(&row["who"].as_str().unwrap())) {
        // With one CPU for everything nothing overflows, so whatever is missing the relay has lost.
        let cost = &row["costs"][0];
        assert!(cost["packets"].as_u64().unwrap() > 100, "{row}");
        assert_eq!((cost["lost"].as_u64(), cost["late"].as_u64()), (Some(0), Some(0)), "{row}");
    }
    let latency = raw["latency"].as_array().unwrap();
    assert!(latency.iter().all(|row| row["p50_ns"].as_u64().unwrap() > 0), "{latency:?}");
    for who in OURS {
        assert!(latency.iter().any(|row| row["who"] == who), "{who} in {latency:?}");
    }

    let after = fs::read_to_string(&page).unwrap();
    assert!(after.contains("### Goals") && after.contains("| relay, xdp |"), "{after}");
    let head = |text: &str| text.split("<!-- generated").next().unwrap().to_owned();
    assert_eq!(head(&after), head(&before), "what is written by hand stays");
    for plot in ["cost.svg", "rate.svg", "latency.svg", "growth.svg"] {
        let plot = fs::read_to_string(folder.path().join("benchmarks").join(plot)).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("relay, xdp"));
    }
}
