use node::media::Ssrc;
use node::repair::{Finder, History, StreamId};

use super::*;

fn id(port: u16, ssrc: u32) -> StreamId {
    StreamId { port, ssrc: Ssrc(ssrc) }
}

#[test]
fn what_goes_to_children_is_kept_and_what_goes_to_nobody_is_not() {
    let (relay, ports) = relay(&[]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.keep_history(4);
    relay.publish(Plan { routes: [(key(ports[VIDEO], 4), vec![])].into(), ..everyone(&[&node]) });
    sender.rtp(VIDEO).send_to(&rtp(4, 1), (V4, ports[VIDEO])).unwrap();
    for sequence in 1..=6 {
        sender.rtp(VIDEO).send_to(&rtp(3, sequence), (V4, ports[VIDEO])).unwrap();
        receive(node.rtp(VIDEO));
    }
    let mut finder = Finder::new(relay.history().unwrap());
    let mut kept = |ssrc, sequence| finder.find(&id(ports[VIDEO], ssrc), sequence).map(|kept| kept.packet);
    assert_eq!(kept(4, 1), None, "nobody gets it");
    for sequence in 1..=6 {
        assert_eq!(kept(3, sequence), (sequence > 2).then(|| rtp(3, sequence)), "{sequence}");
    }
}

#[test]
fn whoever_keeps_nothing_has_no_history() {
    let (relay, _) = relay(&[]);
    relay.keep_history(0);
    assert!(relay.history().is_none());
}

#[test]
fn a_gap_is_told_once_with_what_is_missing() {
    let (relay, ports) = relay(&[]);
    let [node, sender] = [V4; 2].map(Node::new);
    relay.publish(everyone(&[&node]));
    let mut gaps = relay.gaps().unwrap();
    assert!(relay.gaps().is_none(), "for one only");
    for sequence in [65_533, 65_534, 3, 65_535, 4, 6] {
        sender.rtp(VIDEO).send_to(&rtp(3, sequence), (V4, ports[VIDEO])).unwrap();
        receive(node.rtp(VIDEO));
    }
    let mut told = |first, count| {
        let gap = gaps.blocking_recv().unwrap();
        assert_eq!((gap.key, gap.first, gap.count), (key(ports[VIDEO], 3), first, count));
    };
    told(65_535, 4);
    told(65_536 + 5, 1);
    assert!(gaps.try_recv().is_err(), "what is late is no gap");
}
