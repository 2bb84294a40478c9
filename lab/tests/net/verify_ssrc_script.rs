//! `scripts/verify-ssrc.sh` says which SSRCs arrive somewhere, as people do by hand with tcpdump.

use std::process::{Command, Output};
use std::time::Duration;

use lab::relay::script;
use lab::{Flow, Lab, Sink, Source, SourceConfig, Topology};

const PORT: u16 = 5004;

fn verify(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(script("verify-ssrc.sh")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Two streams each over IPv4 and IPv6 from injection-1 to relay-1.
fn two_streams(prefix: &str) -> (Lab, Sink, Source) {
    let lab = Lab::new(prefix).unwrap();
    let topology = Topology::one_nic(&lab, 0).unwrap();
    let (v4, v6) = (topology.relay.v4(PORT), topology.relay.v6(PORT));
    let sink = Sink::bind(&lab, "relay-1", vec![v4, v6]).unwrap();
    let flows = vec![Flow::video(8888, v4), Flow::video(0xdead_beef, v4), Flow::video(4_000_000_001, v6)];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, 300)).unwrap();
    // The first IPv6 packet may wait a second for its neighbour.
    assert!(sink.wait_until(Duration::from_secs(10), |flows| flows.len() == 3));
    (lab, sink, source)
}

#[test]
fn an_ssrc_that_arrives_is_found_decimal_or_hexadecimal_over_ipv4_or_ipv6() {
    let (lab, _sink, _source) = two_streams("t-verify-");
    let ns = lab.full_name("relay-1");
    for (wanted, line) in [
        ("8888", "ok: SSRC 8888 (0x000022b8)"),
        ("0xDEADBEEF", "ok: SSRC 3735928559 (0xdeadbeef)"),
        ("4000000001", "ok: SSRC 4000000001 (0xee6b2801)"),
    ] {
        let (code, stdout, stderr) = verify(&[&ns, "eth0", "5004", wanted, "1"]);
        assert_eq!(code, Some(0), "{wanted}: {stdout}{stderr}");
        assert!(stdout.contains(line), "{wanted}: {stdout}");
        // What else arrives is listed too.
        for ssrc in ["8888", "3735928559", "4000000001"] {
            assert!(stdout.lines().any(|line| line.contains(&format!("SSRC {ssrc} "))), "{wanted}: {stdout}");
        }
    }
}

#[test]
fn an_ssrc_that_does_not_arrive_is_reported_with_those_that_do() {
    let (lab, _sink, _source) = two_streams("t-verifyno-");
    let (code, stdout, _) = verify(&[&lab.full_name("relay-1"), "eth0", "5004", "7777", "1"]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("SSRC 8888 ") && stdout.contains("not seen: SSRC 7777"), "{stdout}");
    let (code, stdout, _) = verify(&[&lab.full_name("relay-1"), "eth0", "5002", "8888", "1"]);
    assert_eq!(code, Some(1), "another port: {stdout}");
}

#[test]
fn bad_arguments_are_a_usage_error() {
    let cases: [&[&str]; 8] = [
        &[],
        &["local", "lo", "5004"],
        &["local", "lo", "0", "8888"],
        &["local", "lo", "70000", "8888"],
        &["local", "lo", "5004", "0xgg"],
        &["local", "lo", "5004", "4294967296"],
        &["local", "lo", "5004", "8888", "soon"],
        &["local", "lo", "5004", "8888", "1", "more"],
    ];
    for arguments in cases {
        let (code, _, stderr) = verify(arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_interface_that_is_not_there_is_neither_seen_nor_unseen() {
    let (code, stdout, stderr) = verify(&["local", "nosuch0", "5004", "8888", "1"]);
    assert_eq!(code, Some(2), "{stdout}{stderr}");
    assert!(stderr.contains("nosuch0"), "{stderr}");
}

#[test]
fn a_missing_tcpdump_is_said_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    for program in
        ["bash", "sh", "awk", "sed", "cat", "ip", "timeout", "mktemp", "rm", "grep", "tr", "sort", "printf"]
    {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(program))
            .find(|file| file.exists());
        if let Some(file) = found {
            std::os::unix::fs::symlink(file, folder.path().join(program)).unwrap();
        }
    }
    let output = Command::new(script("verify-ssrc.sh"))
        .args(["local", "lo", "5004", "8888", "1"])
        .env("PATH", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("apt-get install tcpdump"), "{stderr}");
}
