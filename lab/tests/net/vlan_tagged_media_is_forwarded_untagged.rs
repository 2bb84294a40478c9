//! Media that comes with an 802.1Q tag goes out without it. (In userspace mode a tag is the host's own business.)

use crate::common::frame::{Path, RawLink, mac, udp4};
use crate::common::{Bench, VIDEO_SSRC, lab_for};
use lab::relay::{Mode, VIDEO};
use lab::rtp::{Header, Probe};
use lab::{Tcpdump, Topology, monotonic_ns};
use node::media::Ssrc;

const PACKETS: u16 = 500;

modes!(tagged_and_untagged_packets_arrive_alike: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn tagged_and_untagged_packets_arrive_alike(mode: Mode) {
    let lab = lab_for("vlan", mode);
    let topology = Topology::one_nic(&lab, 2).unwrap();
    let bench = Bench::attach(&lab, topology, mode, 2);
    let sink = bench.sink(&[0, 1]);
    let tagged = Tcpdump::start(&lab, "egress", "eth0", "vlan").unwrap();
    let untagged = Tcpdump::start(&lab, "egress", "eth0", "udp port 5004").unwrap();

    let (injection, relay) = (&bench.topology.injection, &bench.topology.relay);
    let path = Path {
        source_mac: mac(&lab, injection),
        destination_mac: mac(&lab, relay),
        source: (injection.v4, 40_000),
        destination: (relay.v4, VIDEO),
    };
    let mut link = RawLink::open(&lab, injection);
    for counter in 0..PACKETS {
        let mut payload = [0; 200];
        let header = Header { payload_type: 96, sequence: counter, timestamp: 0, ssrc: Ssrc(VIDEO_SSRC) };
        Probe { counter: counter.into(), sent_ns: monotonic_ns() }.write(header, &mut payload);
        // A priority tag (id 0), a VLAN's, and none, in turn.
        link.send(&udp4(path, [Some(0), Some(100), None][usize::from(counter % 3)], &payload));
        if counter % 16 == 15 {
            bench.wait_packets(&sink, 2, u64::from(counter));
        }
    }
    bench.wait_packets(&sink, 2, PACKETS.into());
    bench.assert_complete("both children", &sink.stop(), PACKETS.into());
    assert_eq!(tagged.stop().unwrap().packets().unwrap(), 0, "no copy has a tag");
    let copies = untagged.stop().unwrap();
    // Not all: with GRO on, tcpdump's ring has room for a handful of packets only. The sink has counted exactly.
    assert!(copies.packets().unwrap() > usize::from(PACKETS) / 4);
    assert_eq!(copies.bad_checksums().unwrap(), 0);
}
