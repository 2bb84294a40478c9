//! What comes while the node does not read is lost; that is counted, and an operator is told what to do.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{HOST, World, lab, rtp};

#[test]
fn a_full_receive_buffer_is_said() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let lost = || lab.udp_stats("eg").unwrap()["UdpRcvbufErrors"];
    let overflow = || world.get("/status")["dropped"]["video"]["overflow"].as_u64().unwrap();
    assert_eq!((overflow(), lost()), (0, 0));

    let sender = world.socket("view", (Ipv4Addr::UNSPECIFIED, 5004));
    world.egress.signal(Signal::SIGSTOP).unwrap();
    let mut sequence = 0u16;
    while lost() < 100 {
        for _ in 0..100 {
            sequence = sequence.wrapping_add(1);
            sender.send_to(&rtp(8888, sequence, 0), (HOST, 5004)).unwrap();
        }
    }
    // Later Janus loses some, too: all of them are passed on at once.
    let count = lost();
    world.egress.signal(Signal::SIGCONT).unwrap();
    world.until("it answers", || world.get("/status")["uptime"].is_u64());
    assert_eq!(overflow(), count, "every one of them");
    let status = world.get("/status");
    let warnings = status["warnings"].to_string();
    // As root it has the buffer that it asked for.
    assert!(
        warnings.contains("video came faster than it was read") && warnings.contains("4194304"),
        "{warnings}"
    );
    assert_eq!(status["dropped"]["audio"]["overflow"], json!(0));
    let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
    let labels = "node_id=\"egress-1\",stream_type=\"video\",tree_id=\"tree-1\"";
    let wanted = format!("media_tree_egress_receive_overflow_total{{{labels}}} {count}");
    assert!(metrics.lines().any(|line| line == wanted), "{wanted} is not in\n{metrics}");
}
