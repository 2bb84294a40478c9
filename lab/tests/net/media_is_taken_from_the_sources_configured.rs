//! `--source`: a relay without Redis takes media from there and from nobody else; without it from anybody, and it says so.

use std::net::{Ipv4Addr, SocketAddr};

use crate::common::{Bench, eventually, lab_for, receive, socket, v4_argument};
use lab::relay::{BAD_CONFIGURATION, Json, Mode, RelayCli, RelayConfig, VIDEO};
use lab::{Lab, Topology, rtp};

modes!(media_comes_from_the_sources_only);
modes!(a_source_that_is_none_is_refused: in_userspace_mode = Userspace);

/// Of a prefix that is allowed, and of none.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 130);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 60);

fn media(sequence: u16) -> Vec<u8> {
    rtp::packet(8888, sequence)
}

fn send(lab: &Lab, bench: &Bench<'_>, from: SocketAddr, sequence: u16) {
    let relay = &bench.topology.relay;
    let to = if from.is_ipv4() { relay.v4(VIDEO) } else { relay.v6(VIDEO) };
    socket(lab, "injection-1", from).send_to(&media(sequence), to).unwrap();
}

fn media_comes_from_the_sources_only(mode: Mode) {
    let lab = lab_for("source", mode);
    let topology = Topology::bridged(&lab, 1).unwrap();
    for address in [NEAR, STRANGER] {
        lab.address("injection-1", "eth0", &format!("{address}/24")).unwrap();
    }
    let six = topology.injection.v6(0);
    let only_six = format!("{}", six.ip());
    let config = RelayConfig::new("relay-1", mode, vec![v4_argument(&topology, 0)]);
    let config = config.with(&["--source", "10.0.1.128/25", "--source", &only_six]);
    let bench = Bench::attach_with(&lab, topology, config);
    bench.cli().wait_settled().unwrap();
    let shown = bench.cli().json("status").unwrap();
    let shown: Vec<&str> = shown["sources"].list().iter().map(Json::text).collect();
    assert_eq!(shown, ["10.0.1.128/25", &format!("{only_six}/128")]);
    let warned = |bench: &Bench<'_>| bench.relay.process().log().contains("media is taken from anybody");
    assert!(!warned(&bench));

    let child = socket(&lab, "egress-1", bench.child(0).endpoint.v4(VIDEO));
    let refused = |bench: &Bench<'_>, from: SocketAddr, sequence| {
        let before = bench.drops("stranger");
        send(&lab, bench, from, sequence);
        eventually("it is counted as a stranger's", || bench.drops("stranger") == before + 1);
    };
    refused(&bench, (STRANGER, 0).into(), 1);
    send(&lab, &bench, (NEAR, 0).into(), 2);
    assert_eq!(receive(&child).0, media(2), "{}", bench.diagnosis());
    // From a source of the other IP version: none of the children is of that, but it is no stranger's.
    let before = bench.drops("stranger");
    send(&lab, &bench, six, 3);
    refused(&bench, (STRANGER, 0).into(), 4);
    assert_eq!(bench.drops("stranger"), before + 1);
    drop(bench);

    // Without it: anybody, also where a predecessor had sources.
    let lab = lab_for("nosource", mode);
    let topology = Topology::bridged(&lab, 1).unwrap();
    let child_of = v4_argument(&topology, 0);
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, vec![child_of]));
    assert!(warned(&bench), "{}", bench.relay.process().log());
    assert_eq!(bench.cli().json("status").unwrap()["sources"].list()[0].text(), "any");
}

fn a_source_that_is_none_is_refused(mode: Mode) {
    let lab = lab_for("badsource", mode);
    lab.add_namespace("relay-1").unwrap();
    let cli = RelayCli::new(&lab, "relay-1");
    for (bad, word) in
        [("10.0.0.0/33", "from 0 to 32"), ("relay-0", "for instance"), ("10.1.2.3/16", "10.1.0.0/16")]
    {
        let answer = cli.run(&["attach", "lo", "--mode", "userspace", "--source", bad]).unwrap();
        assert_eq!(answer.code, Some(BAD_CONFIGURATION), "{bad}: {answer:?}");
        assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
        assert!(answer.stderr.contains(bad) && answer.stderr.contains(word), "{answer:?}");
        assert_eq!(mode, Mode::Userspace);
    }
}
