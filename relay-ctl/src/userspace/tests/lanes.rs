use std::sync::Arc;

use super::super::lanes::Lanes;
use super::super::plan::Compiled;
use super::*;

#[test]
fn what_comes_is_forwarded_whoever_sends_from_the_same_port() {
    for (listen, address) in [(vec![V4], V4), (vec![V6], V6), (vec![], V4), (vec![], V6)] {
        let (relay, ports) = relay(&listen);
        let nodes: Vec<_> = (0..5).map(|_| Node::new(address)).collect();
        relay.publish(everyone(&nodes.iter().collect::<Vec<_>>()));
        // The kernel would choose among the sockets of a port by the sender.
        for sequence in 0..50 {
            Node::new(address).rtp(VIDEO).send_to(&rtp(1, sequence), (address, ports[VIDEO])).unwrap();
            for node in &nodes {
                assert_eq!(receive(node.rtp(VIDEO)), (rtp(1, sequence), (address, ports[VIDEO]).into()));
            }
        }
    }
}

#[test]
fn a_port_with_lanes_is_still_ones_own() {
    let (first, ports) = relay(&[V4]);
    first.publish(everyone(&[&Node::new(V4)]));
    for addresses in [vec![V4], vec![]] {
        let second = Userspace::bind(&Listen { addresses, ports });
        assert!(matches!(second, Err(UserspaceError::InUse(_))));
    }
}

#[test]
fn each_child_has_a_lane_that_sends_from_the_port_that_media_comes_to() {
    for (listen, address) in [(vec![V4], V4), (vec![], V4), (vec![], V6)] {
        let (relay, ports) = relay(&listen);
        let nodes = [0, 1].map(|_| Node::new(address));
        let plan = |nodes: &[&Node]| Compiled::new(everyone(nodes), relay.mapped);
        let groups = || relay.groups.iter().map(Arc::as_ref);
        let both = plan(&[&nodes[0], &nodes[1]]);
        let lanes = Lanes::new(groups(), &both.children, &Lanes::default());
        for (kind, port) in ports.into_iter().enumerate() {
            let lane =
                |lanes: &Lanes, counter| lanes.of(kind as u8, 0, false, counter).map(std::ptr::from_ref);
            let (first, second) = (lane(&lanes, 0).unwrap(), lane(&lanes, 1).unwrap());
            assert!(first != second && lane(&lanes, 2).is_none());
            for (counter, node) in nodes.iter().enumerate() {
                let to = &both.children[counter].names[kind][0];
                lanes.of(kind as u8, 0, false, counter as u32).unwrap().send_to(&rtp(1, 1), to).unwrap();
                assert_eq!(receive(node.rtp(kind)), (rtp(1, 1), (address, port).into()));
            }
            let fewer = Lanes::new(groups(), &plan(&[&nodes[0]]).children, &lanes);
            assert!(lane(&fewer, 0) == Some(first) && lane(&fewer, 1).is_none(), "kept, and closed");
        }
    }
}
