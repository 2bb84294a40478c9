//! tcpdump at the receiver finds no bad checksum, whoever computed it: the sender, the relay, or nobody.

use crate::common::{Bench, TIMEOUT, VIDEO_SSRC, lab_for, v4_argument, v6_argument};
use lab::relay::{Mode, RelayConfig, VIDEO};
use lab::{Flow, Limit, Sink, Source, SourceConfig, Tcpdump, Topology};

const PACKETS: usize = 300;

modes!(of_ipv4_media_with_offloaded_checksums);
modes!(of_ipv4_media_with_full_checksums);
modes!(of_ipv6_media_with_offloaded_checksums);
modes!(of_ipv6_media_with_full_checksums);
// A socket cannot know that the checksum of what it received was 0, so not in userspace mode.
modes!(of_ipv4_media_without_checksums_which_stay_absent: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn of_ipv4_media_with_offloaded_checksums(mode: Mode) {
    let lines = capture("c4off", mode, false, true, true);
    assert_eq!(count(&lines, "[udp sum ok]"), 2 * PACKETS);
}

fn of_ipv4_media_with_full_checksums(mode: Mode) {
    assert_eq!(count(&capture("c4full", mode, false, false, true), "[udp sum ok]"), 2 * PACKETS);
}

fn of_ipv6_media_with_offloaded_checksums(mode: Mode) {
    assert_eq!(count(&capture("c6off", mode, true, true, true), "[udp sum ok]"), 2 * PACKETS);
}

fn of_ipv6_media_with_full_checksums(mode: Mode) {
    assert_eq!(count(&capture("c6full", mode, true, false, true), "[udp sum ok]"), 2 * PACKETS);
}

fn of_ipv4_media_without_checksums_which_stay_absent(mode: Mode) {
    assert_eq!(count(&capture("c4none", mode, false, true, false), "[no cksum]"), 2 * PACKETS);
}

fn count(lines: &[String], what: &str) -> usize {
    lines.iter().filter(|line| line.contains(what)).count()
}

/// What tcpdump says, verbosely, of the packets that two children received.
fn capture(test: &str, mode: Mode, v6: bool, offloaded: bool, checksum: bool) -> Vec<String> {
    let lab = lab_for(test, mode);
    let topology = Topology::one_nic(&lab, 2).unwrap();
    lab.set_feature("injection-1", "eth0", "tx", offloaded).unwrap();
    // veth would carry a checksum left to hardware as far as the receiver, where tcpdump takes it for a bad one. Off, the
    // relay's kernel completes it as any real NIC would; what was left for hardware must have been right for that.
    lab.set_feature("relay-1", "eth1", "tx", false).unwrap();
    let argument = if v6 { v6_argument } else { v4_argument };
    let children = (0..2).map(|index| argument(&topology, index)).collect();
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children));
    let address = |endpoint: &lab::Endpoint| if v6 { endpoint.v6(VIDEO) } else { endpoint.v4(VIDEO) };
    let addresses = bench.topology.children.iter().map(|child| address(&child.endpoint)).collect();
    let sink = Sink::bind(&lab, "egress", addresses).unwrap();
    let capture = Tcpdump::start(&lab, "egress", "eth0", "udp port 5004").unwrap();

    let flows = vec![Flow::video(VIDEO_SSRC, address(&bench.topology.relay))];
    let mut config = SourceConfig::new(flows, 2_000).limit(Limit::Packets(PACKETS as u64));
    config.udp_checksum = checksum;
    // An odd length, so that the last byte is summed alone.
    config.packet_length = 201;
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.wait_packets(&sink, 2, PACKETS as u64);
    bench.assert_complete("both children", &sink.stop(), PACKETS as u64);

    let file = capture.stop().unwrap();
    let lines = file.lines().unwrap();
    assert_eq!(file.packets().unwrap(), 2 * PACKETS, "{:#?}", &lines[..lines.len().min(6)]);
    assert_eq!(file.bad_checksums().unwrap(), 0, "{:#?}", &lines[..lines.len().min(6)]);
    let stats = lab.udp_stats("egress").unwrap();
    assert_eq!((stats["UdpInCsumErrors"], stats["Udp6InCsumErrors"]), (0, 0));
    lines
}
