//! `relay-ctl capture` writes what goes out, with its SSRC filter, also where tcpdump at the relay sees nothing.

use std::process::Command;

use crate::common;
use crate::common::{AUDIO_SSRC, Bench, VIDEO_SSRC, lab_for};
use lab::relay::{Mode, relay_ctl};
use lab::{Source, SourceConfig, Tcpdump, Topology};

modes!(tcpdump_reads_the_capture_of_one_stream: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_capture_can_be_piped_into_tcpdump: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_capture_does_not_harm_the_media: in_xdp_mode = Xdp, in_tc_mode = Tc);

const RATE: u64 = 1_000;

/// The lines of `tcpdump -r`, with a filter.
fn read(file: &str, filter: &str) -> Vec<String> {
    let output = Command::new("tcpdump").args(["-n", "-q", "-r", file, filter]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn tcpdump_reads_the_capture_of_one_stream(mode: Mode) {
    let lab = lab_for("tap", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 2);
    let sink = bench.sink(&[0, 1]);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    bench.wait_packets(&sink, 4, 10);
    let at_the_relay = Tcpdump::start(&lab, "relay-1", "eth1", "udp").unwrap();

    let file = lab.directory().join("video.pcap").to_string_lossy().into_owned();
    let ssrc = VIDEO_SSRC.to_string();
    bench.cli().ok(&["capture", "--ssrc", &ssrc, "--count", "90", "--seconds", "10", "-w", &file]).unwrap();
    assert_eq!(read(&file, "").len(), 90);
    // RTP's SSRC is at bytes 8 to 11 of the UDP payload.
    assert_eq!(read(&file, &format!("udp[16:4] = {VIDEO_SSRC}")).len(), 90);
    for child in &bench.topology.children {
        let copies = read(&file, &format!("src {} and dst {}", child.relay.v4, child.endpoint.v4)).len();
        assert!(copies >= 25, "about a third are copies to {}, not {copies} of 90", child.endpoint.v4);
    }
    let seen = at_the_relay.stop().unwrap().packets().unwrap();
    assert!(if mode == Mode::Xdp { seen == 0 } else { seen > 0 }, "tcpdump at the relay saw {seen} packets");
}

fn a_capture_can_be_piped_into_tcpdump(mode: Mode) {
    let lab = lab_for("pipe", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
    let pipe = format!(
        "{} capture --port 5002 --count 20 --seconds 10 -w - | tcpdump -n -r - udp port 5002 2>/dev/null",
        relay_ctl().display()
    );
    let text = lab.run("relay-1", &["sh", "-c", &pipe]).unwrap();
    assert_eq!(text.lines().count(), 20, "{text}");
}

fn a_capture_does_not_harm_the_media(mode: Mode) {
    let lab = lab_for("harmless", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 4).unwrap(), mode, 4);
    let sink = bench.sink(&[0, 1, 2, 3]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), 10_000)).unwrap();
    bench.wait_packets(&sink, 8, 100);
    let file = lab.directory().join("all.pcap").to_string_lossy().into_owned();
    bench.cli().ok(&["capture", "--seconds", "1", "-w", &file]).unwrap();
    bench.wait_more(&sink, 100);
    let sent = source.stop();
    bench.wait_packets(&sink, 8, sent.packets[&AUDIO_SSRC].min(sent.packets[&VIDEO_SSRC]));
    assert!(sink.wait_quiet(common::QUIET, common::TIMEOUT));
    bench.assert_all_of("every child", &sink.stop(), &sent);
    assert!(read(&file, "").len() > 1_000, "what the ring could hold was captured");
}
