//! Views for tests.

use std::collections::BTreeMap;

use node::topology::TopologyView;

use crate::mode::Mode;

/// A relay without children and streams, up for so many seconds.
pub fn status(uptime: u64) -> super::Status {
    super::Status {
        node_id: "relay-1".to_owned(),
        node_type: "relay".to_owned(),
        tree_id: "tree-1".to_owned(),
        healthy: true,
        daemon: true,
        uptime,
        network: super::Network { addresses: Vec::new(), audio_port: 5002, video_port: 5004 },
        sources: vec!["any".to_owned()],
        topology: TopologyView::default(),
        redis: None,
        gstreamer: super::Gstreamer {
            audio_running: true,
            video_running: true,
            audio_restarts: 0,
            video_restarts: 0,
        },
        forwarding: super::Forwarding { children_count: 0, children: Vec::new() },
        dataplane: super::Dataplane {
            mode: Mode::Tc,
            mode_reason: "asked for".to_owned(),
            interface: "eth0".to_owned(),
            generation: 1,
            programs: Vec::new(),
            packets: 0,
            bytes: 0,
            drops: BTreeMap::new(),
            passed_to_stack: BTreeMap::new(),
            egress: BTreeMap::new(),
            receive_overflow: None,
        },
        repair: None,
        drain: None,
        problems: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A child that was sent so many packets of 1,000 bytes.
pub fn child(name: &str, packets: u64) -> super::Child {
    super::Child {
        name: name.to_owned(),
        host: "10.0.0.7".to_owned(),
        audio_port: 5002,
        video_port: 5004,
        state: super::ChildState::Forwarding,
        problem: None,
        address: None,
        interface: None,
        mac: None,
        packets,
        bytes: packets * 1000,
        errors: 0,
        too_big: 0,
        stale: false,
        held: false,
    }
}

/// A video stream with so many packets of 1,000 bytes.
pub fn stream(ssrc: u32, packets: u64) -> super::Stream {
    super::Stream {
        port: 5004,
        ssrc,
        kind: "video".to_owned(),
        session: None,
        source: "10.0.0.1:4000".to_owned(),
        packets,
        bytes: packets * 1000,
        rtcp_packets: 0,
        lost: 0,
        repaired: 0,
        reordered: 0,
        duplicates: 0,
        jitter_ms: 1.5,
        last_seen_ms: 10,
        restarts: 0,
        children: None,
    }
}
