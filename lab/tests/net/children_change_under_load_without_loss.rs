//! Two hundred random changes of children while media flows: those who stay notice nothing, those who leave get nothing
//! more, and those who come get everything from then on.

use std::time::Duration;

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, name, v4_argument};
use lab::random::Random;
use lab::relay::Mode;
use lab::{FlowReport, Sink, Source, SourceConfig, Topology, monotonic_ns};

const STAYERS: usize = 3;
const CHILDREN: usize = 8;
const CHANGES: usize = 200;
const SEED: u64 = 0x6d65_6469_612d_7472;
/// A child that was added at once receives what is sent from then on; a burst comes at least this often.
const LONGEST_PAUSE_NS: u64 = 100_000_000;

modes!(those_who_stay_notice_nothing);

/// One child from its addition on; after its removal its socket stays open, to see that nothing comes any more.
struct Membership {
    sink: Sink,
    added_ns: u64,
    removed_ns: Option<u64>,
}

impl Membership {
    fn begin(bench: &Bench, index: usize) -> Self {
        let sink = bench.sink(&[index]);
        bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, index)]).unwrap();
        let added_ns = monotonic_ns();
        bench.wait_packets(&sink, 2, 1);
        Self { sink, added_ns, removed_ns: None }
    }

    fn end(&mut self, bench: &Bench, index: usize) {
        bench.cli().ok(&["child", "remove", &name(index)]).unwrap();
        self.removed_ns = Some(monotonic_ns());
    }

    fn judge(self, bench: &Bench, who: &str) {
        let flows = self.sink.stop();
        bench.assert_flawless(who, &flows);
        assert_eq!(flows.len(), 2, "{who}: one audio and one video flow");
        for FlowReport { ssrc, sent, .. } in flows {
            let sent = sent.unwrap();
            assert!(
                sent.first_ns < self.added_ns + LONGEST_PAUSE_NS,
                "{who}: SSRC {ssrc} began {} ms after `child add` had returned",
                (sent.first_ns - self.added_ns) / 1_000_000
            );
            // Send times are taken before sending, so a later one is surely of a packet sent after the removal.
            if let Some(removed_ns) = self.removed_ns {
                assert!(
                    sent.last_ns <= removed_ns,
                    "{who}: SSRC {ssrc}: a packet sent {} µs after `child remove` had returned",
                    (sent.last_ns - removed_ns) / 1_000
                );
            }
        }
    }
}

fn those_who_stay_notice_nothing(mode: Mode) {
    let rate = if mode == Mode::Userspace { 8_000 } else { 20_000 };
    let lab = lab_for("change", mode);
    let topology = Topology::one_nic(&lab, CHILDREN).unwrap();
    let bench = Bench::attach(&lab, topology, mode, STAYERS);
    let generation = || bench.cli().json("status").unwrap()["dataplane"]["generation"].number();
    let before = generation();
    let stayers = bench.sink(&Vec::from_iter(0..STAYERS));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(bench.flows(), rate)).unwrap();
    bench.wait_packets(&stayers, 2 * STAYERS, 100);

    let mut random = Random::new(SEED);
    let mut members: Vec<Option<Membership>> = (0..CHILDREN).map(|_| None).collect();
    let mut present = [false; CHILDREN];
    for change in 0..CHANGES {
        let index = STAYERS + random.below(CHILDREN - STAYERS);
        let who = format!("change {change}, {}", name(index));
        match &mut members[index] {
            Some(member) if present[index] => member.end(&bench, index),
            absent => {
                if let Some(former) = absent.take() {
                    former.judge(&bench, &who);
                }
                *absent = Some(Membership::begin(&bench, index));
            }
        }
        present[index] = !present[index];
    }
    let forwarding: Vec<String> =
        (0..CHILDREN).filter(|index| *index < STAYERS || present[*index]).map(name).collect();
    assert_eq!(bench.cli().forwarding(), forwarding);
    assert!(generation() >= before + CHANGES as u64, "every change is a new generation");

    let sent = source.stop();
    println!("{mode}: {CHANGES} changes in {:?}, {:.0} packets/s", sent.elapsed, sent.rate());
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    for (index, member) in members.into_iter().enumerate() {
        if let Some(member) = member {
            member.judge(&bench, &format!("at the end, {}", name(index)));
        }
    }
    bench.assert_all_of("stayer", &stayers.stop(), &sent);
    // A copy to a removed child's address after its socket was closed would be counted here.
    let egress = lab.udp_stats("egress").unwrap();
    for counter in ["UdpNoPorts", "UdpInErrors", "UdpInCsumErrors"] {
        assert_eq!(egress[counter], 0, "{counter}{}", bench.diagnosis());
    }
    assert!(sent.elapsed > Duration::from_millis(500), "the load lasted through the changes");
}
