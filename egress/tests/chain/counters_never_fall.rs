//! What was counted of a session stays counted: when it ends, and when it is back.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::common::{By, HOST, World, lab, rtp};

#[test]
fn counters_never_fall() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    let sender = world.socket("view", (Ipv4Addr::UNSPECIFIED, 5004));
    let counted = |name: &str| {
        let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
        let start = format!("media_tree_egress_{name}{{");
        let series = metrics.lines().find(|line| line.starts_with(&start) && line.contains("\"video\""));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let of_the_session = || counted("session_rtp_packets_received_total");
    let mut sent = 0;
    for ssrcs in [[7777, 8888], [7777, 8888], [1111, 2222]] {
        world.session("s1", 4001, ssrcs);
        // Not before its streams are let through.
        world.until("s1", || world.get("/broadcasts")[0]["sessionId"] == json!("s1"));
        assert_eq!(of_the_session(), Some(sent), "it goes on where it was");
        for sequence in 0..10 {
            sender.send_to(&rtp(ssrcs[1], sequence, 0), (HOST, 5004)).unwrap();
        }
        sent += 10;
        world.until("all has come", || of_the_session() == Some(sent));
        world.redis.cli(&["SREM", "sessions:active", "s1"]).unwrap();
        world.until("s1 has ended", || world.get("/mountpoints")["count"] == json!(0));
        assert_eq!((of_the_session(), counted("rtp_packets_received_total")), (None, Some(sent)));
    }
}
