//! However many nodes and sessions somebody has written into Redis, what is read and shown of them is bounded, and says what is not shown.

use std::time::Instant;

use node::overview::Overviews;

use crate::common::*;

#[tokio::test]
async fn a_large_tree_has_a_sound_size() {
    let server = Server::start("").await;
    let mut pipe = redis::pipe();
    for relay in 0..12 {
        let entry = r#"{"type":"relay","url":"http://10.0.0.1:7071","status":"active"}"#;
        pipe.hset("directory:tree-1", format!("relay-{relay}"), entry);
        pipe.sadd("children:injection-1", format!("relay-{relay}"));
        for egress in 0..100 {
            let id = format!("egress-{relay}-{egress}");
            let entry = r#"{"type":"egress","url":"http://10.0.0.1:7073","status":"active","viewers":2,"maxViewers":300,"flow":{"ms":10000,"packets":100,"bytes":120000,"lost":0}}"#;
            pipe.hset("directory:tree-1", &id, entry).ignore();
            pipe.hset_multiple(format!("node:{id}"), &[("type", "egress"), ("treeId", "tree-1")]).ignore();
            pipe.sadd(format!("children:relay-{relay}"), &id).ignore();
            pipe.set(format!("parent:{id}"), format!("relay-{relay}")).ignore();
        }
    }
    for session in 0..700 {
        pipe.sadd("sessions:index:{tree-1}", format!("session-{session}")).ignore();
    }
    let huge = "x".repeat(1 << 20);
    pipe.hset("directory:tree-1", "huge", format!(r#"{{"type":"egress","url":"{huge}","status":"active"}}"#));
    pipe.query_async::<()>(&mut server.client().await).await.unwrap();
    let overviews = Overviews::new(config(&server).redis, "tree-1");
    let began = Instant::now();
    let overview = overviews.get().await.unwrap();
    let took = began.elapsed();
    assert_eq!((overview.nodes.len(), overview.left_out.nodes), (1000, 212));
    assert!(overview.nodes.iter().any(|node| node.id == "relay-9"), "relays first");
    assert_eq!((overview.sessions.len(), overview.left_out.sessions), (500, 200));
    let text = serde_json::to_string(&*overview).unwrap();
    println!("1,000 nodes and 500 sessions were read in {took:?}; they are {} KiB of JSON", text.len() >> 10);
    assert!(text.len() < 1 << 20, "{}", text.len());
    // For all who ask in the next second it is the same.
    assert!(std::sync::Arc::ptr_eq(&overview, &overviews.get().await.unwrap()));
}
