use super::*;
use crate::address::{Prefix, unmapped};

fn source(relay: &Userspace, port: u16) -> (IpAddr, u16) {
    let stream = relay.stream(&key(port, 1)).unwrap();
    (unmapped(stream.source), stream.source_port)
}

#[test]
fn a_stream_follows_its_sender() {
    let (relay, ports) = relay(&[]);
    let [node, first, second] = [V4, V4, ELSEWHERE].map(Node::new);
    relay.publish(everyone(&[&node]));
    for (sequence, sender) in [(1, &first), (2, &first), (3, &second), (4, &second)] {
        sender.rtp(VIDEO).send_to(&rtp(1, sequence), (V4, ports[VIDEO])).unwrap();
        assert_eq!(receive(node.rtp(VIDEO)).0, rtp(1, sequence));
        assert_eq!(source(&relay, ports[VIDEO]), (sender.address, sender.ports[VIDEO]));
    }
    let stream = relay.stream(&key(ports[VIDEO], 1)).unwrap();
    assert_eq!((stream.packets, stream.moves, stream.lost()), (4, 1, 0));
}

#[test]
fn of_two_live_sources_the_first_is_kept() {
    let (relay, ports) = relay(&[]);
    let [node, first, second] = [V4, V4, ELSEWHERE].map(Node::new);
    relay.publish(everyone(&[&node]));
    for sequence in 1..=50 {
        first.rtp(VIDEO).send_to(&rtp(1, sequence), (V4, ports[VIDEO])).unwrap();
        assert_eq!(receive(node.rtp(VIDEO)).0, rtp(1, sequence));
        second.rtp(VIDEO).send_to(&rtp(1, 30_000 + sequence), (V4, ports[VIDEO])).unwrap();
        soon("dropped", || drops(&relay, Reason::SsrcCollision) == u64::from(sequence));
    }
    assert_eq!(source(&relay, ports[VIDEO]), (first.address, first.ports[VIDEO]));
    let stream = relay.stream(&key(ports[VIDEO], 1)).unwrap();
    assert_eq!((stream.packets, stream.lost(), stream.collisions), (50, 0, 50));
    second.rtcp(VIDEO).send_to(&rtcp(1), (V4, ports[VIDEO] + 1)).unwrap();
    soon("its RTCP, too", || drops(&relay, Reason::SsrcCollision) == 51);
    assert!(node.is_silent());
}

#[test]
fn media_is_taken_from_where_the_plan_says_and_from_then_on() {
    let (relay, ports) = relay(&[]);
    let [node, here, elsewhere] = [V4, V4, ELSEWHERE].map(Node::new);
    let from = |last| Prefix::from(IpAddr::from([127, 0, 0, last]));
    let plan = |sources: &[Prefix]| Plan { sources: sources.iter().copied().collect(), ..everyone(&[&node]) };
    let send = |sender: &Node, ssrc, sequence| {
        sender.rtp(AUDIO).send_to(&rtp(ssrc, sequence), (V4, ports[AUDIO])).unwrap();
    };
    relay.publish(plan(&[from(2)]));
    send(&here, 1, 1);
    send(&elsewhere, 2, 1);
    assert_eq!(receive(node.rtp(AUDIO)).0, rtp(2, 1));
    assert_eq!(drops(&relay, Reason::Stranger), 1);
    assert_eq!(relay.streams().len(), 1, "a stranger's stream takes no place");
    // A known stream, too, from the moment on that its sender is none of ours any more.
    relay.publish(plan(&[from(1)]));
    send(&elsewhere, 2, 2);
    elsewhere.rtcp(AUDIO).send_to(&rtcp(3), (V4, ports[AUDIO] + 1)).unwrap();
    soon("refused", || drops(&relay, Reason::Stranger) == 3);
    send(&here, 1, 2);
    assert_eq!(receive(node.rtp(AUDIO)).0, rtp(1, 2));
    // From elsewhere under the SSRC of a known stream.
    send(&elsewhere, 1, 3);
    soon("refused", || drops(&relay, Reason::Stranger) == 4);
    relay.publish(plan(&[]));
    send(&here, 1, 4);
    soon("nobody is a source", || drops(&relay, Reason::Stranger) == 5);
    assert!(node.is_silent());
}

#[test]
fn of_two_parents_each_packet_is_taken_once() {
    let (relay, ports) = relay(&[]);
    let [node, former, new] = [V4, V4, ELSEWHERE].map(Node::new);
    let sources = |parents: &[&Node]| parents.iter().map(|parent| Prefix::from(parent.address)).collect();
    let plan =
        |parents: &[&Node]| Plan { sources: sources(parents), twins: sources(parents), ..everyone(&[&node]) };
    let mut duplicates = 0;
    let mut send = |parent: &Node, sequence, is_new| {
        parent.rtp(VIDEO).send_to(&rtp(1, sequence), (V4, ports[VIDEO])).unwrap();
        if is_new {
            assert_eq!(receive(node.rtp(VIDEO)).0, rtp(1, sequence));
        } else {
            duplicates += 1;
            soon("dropped", || drops(&relay, Reason::Duplicate) == duplicates);
        }
    };
    relay.publish(plan(&[&former]));
    send(&former, 1, true);
    relay.publish(plan(&[&former, &new]));
    for (parent, sequence, is_new) in [
        (&new, 1, false),
        (&new, 4, true),
        (&former, 2, true),
        (&former, 4, false),
        (&new, 2, false),
        (&new, 3, true),
        (&former, 5, true),
    ] {
        send(parent, sequence, is_new);
    }
    relay.publish(plan(&[&new]));
    for (sequence, is_new) in [(5, false), (6, true), (4, false), (7, true)] {
        send(&new, sequence, is_new);
    }
    let stream = relay.stream(&key(ports[VIDEO], 1)).unwrap();
    assert_eq!((stream.packets, stream.lost(), stream.duplicates), (7, 0, 0));
    assert!(node.is_silent());
}

#[test]
fn reports_come_from_whoever_media_is_taken_from() {
    let (relay, ports) = relay(&[]);
    let [node, former, new] = [V4, V4, ELSEWHERE].map(Node::new);
    let sources = |parents: &[&Node]| parents.iter().map(|parent| Prefix::from(parent.address)).collect();
    let plan =
        |parents: &[&Node]| Plan { sources: sources(parents), twins: sources(parents), ..everyone(&[&node]) };
    let report = |parent: &Node, dropped: Option<(Reason, u64)>| {
        parent.rtcp(VIDEO).send_to(&rtcp(1), (V4, ports[VIDEO] + 1)).unwrap();
        match dropped {
            Some((reason, count)) => soon("dropped", || drops(&relay, reason) == count),
            None => assert_eq!(receive(node.rtcp(VIDEO)).0, rtcp(1)),
        }
    };
    relay.publish(plan(&[&former, &new]));
    former.rtp(VIDEO).send_to(&rtp(1, 1), (V4, ports[VIDEO])).unwrap();
    assert_eq!(receive(node.rtp(VIDEO)).0, rtp(1, 1));
    report(&former, None);
    report(&new, Some((Reason::Duplicate, 1)));
    // No packet of the stream has come from the new one yet.
    relay.publish(plan(&[&new]));
    report(&former, Some((Reason::Stranger, 1)));
    report(&new, None);
    assert!(node.is_silent());
}

#[test]
fn a_sender_report_may_come_before_the_media() {
    let (relay, ports) = relay(&[V4]);
    let [node, sender] = [V4, ELSEWHERE].map(Node::new);
    relay.publish(everyone(&[&node]));
    sender.rtcp(AUDIO).send_to(&rtcp(1), (V4, ports[AUDIO] + 1)).unwrap();
    assert_eq!(receive(node.rtcp(AUDIO)).0, rtcp(1));
    sender.rtp(AUDIO).send_to(&rtp(1, 7), (V4, ports[AUDIO])).unwrap();
    assert_eq!(receive(node.rtp(AUDIO)).0, rtp(1, 7));
    let stream = relay.stream(&key(ports[AUDIO], 1)).unwrap();
    assert_eq!((stream.packets, stream.rtcp_packets, stream.lost()), (1, 1, 0));
    assert_eq!(source(&relay, ports[AUDIO]), (ELSEWHERE, sender.ports[AUDIO]), "where media comes from");
}
