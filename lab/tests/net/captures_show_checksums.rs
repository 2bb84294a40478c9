//! A capture tells partial UDP checksums, full ones and none apart.

use std::time::Duration;

use lab::{Flow, Lab, Limit, Sink, Source, SourceConfig, Tcpdump, Topology};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn captures_tell_partial_checksums_from_full_ones() {
    // (sender computes checksums itself, carries one at all, bad ones of 50)
    for (full, checksum, bad) in [(false, true, 50), (true, true, 0), (false, false, 0)] {
        let lab = Lab::new("t-cap-").unwrap();
        let topology = Topology::one_nic(&lab, 1).unwrap();
        if full {
            lab.set_feature("injection-1", "eth0", "tx", false).unwrap();
        }
        let destination = topology.relay.v4(5004);
        let _sink = Sink::bind(&lab, "relay-1", vec![destination]).unwrap();
        let capture = Tcpdump::start(&lab, "relay-1", "eth0", "udp port 5004").unwrap();
        let mut config =
            SourceConfig::new(vec![Flow::video(1, destination)], 1_000).limit(Limit::Packets(50));
        config.udp_checksum = checksum;
        Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
        let file = capture.stop().unwrap();
        assert_eq!(file.packets().unwrap(), 50);
        assert_eq!(file.bad_checksums().unwrap(), bad, "{:?}", file.lines().unwrap().get(..4));
    }
}
