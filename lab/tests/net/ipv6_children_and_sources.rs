//! IPv6 media reaches IPv6 children, whether the sender computes UDP checksums or leaves them to hardware.

use crate::common::{AUDIO_SSRC, Bench, TIMEOUT, VIDEO_SSRC, lab_for, v6_argument};
use lab::relay::{AUDIO, Mode, RelayConfig, VIDEO};
use lab::{Flow, Limit, Sink, Source, SourceConfig, Topology};

const CHILDREN: usize = 3;
const PACKETS: u64 = 6_000;

modes!(children_are_reached_with_offloaded_checksums);
modes!(children_are_reached_with_full_checksums);
modes!(packets_of_every_length_survive);

fn children_are_reached_with_offloaded_checksums(mode: Mode) {
    forward("v6off", mode, true, &[200]);
}

fn children_are_reached_with_full_checksums(mode: Mode) {
    forward("v6full", mode, false, &[200]);
}

/// The relay sums odd, short and full-size payloads itself when the sender did not.
fn packets_of_every_length_survive(mode: Mode) {
    forward("v6len", mode, true, &[36, 37, 63, 64, 65, 127, 1_199, 1_200, 1_451, 1_452]);
}

fn forward(test: &str, mode: Mode, offloaded: bool, lengths: &[usize]) {
    let lab = lab_for(test, mode);
    let topology = Topology::one_nic(&lab, CHILDREN).unwrap();
    lab.set_feature("injection-1", "eth0", "tx", offloaded).unwrap();
    let children = (0..CHILDREN).map(|index| v6_argument(&topology, index)).collect();
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children));
    for (round, length) in (0..).zip(lengths) {
        let endpoints = bench.topology.children.iter().map(|child| &child.endpoint);
        let addresses = endpoints.flat_map(|endpoint| [endpoint.v6(AUDIO), endpoint.v6(VIDEO)]).collect();
        let sink = Sink::bind(&lab, "egress", addresses).unwrap();
        let relay = &bench.topology.relay;
        let flows = vec![
            Flow::audio(AUDIO_SSRC + round, relay.v6(AUDIO)),
            Flow::video(VIDEO_SSRC + round, relay.v6(VIDEO)),
        ];
        let packets = PACKETS / lengths.len() as u64;
        let mut config = SourceConfig::new(flows, 5_000).limit(Limit::Packets(packets));
        config.packet_length = *length;
        Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
        let all = packets * CHILDREN as u64;
        sink.wait_until(TIMEOUT, |flows| flows.iter().map(|flow| flow.packets).sum::<u64>() >= all);
        let flows = sink.stop();
        assert_eq!(flows.len(), 2 * CHILDREN, "length {length}{}", bench.diagnosis());
        bench.assert_complete(&format!("length {length}"), &flows, packets / 2);
    }
    let stats = lab.udp_stats("egress").unwrap();
    assert_eq!((stats["Udp6InCsumErrors"], stats["Udp6InErrors"]), (0, 0), "{}", bench.diagnosis());
}
