//! What real nodes write into a real Redis is read as one tree: who there is, who sends to whom, what flows, what is wrong.

use std::sync::Arc;
use std::time::Instant;

use node::directory::Particulars;
use node::flow::Received;
use node::overview::{Overview, Overviews, State};
use node::record::{NodeType, Registration};
use node::tree::{Timing, Tree};

use crate::common::*;

fn node(id: &str, node_type: NodeType) -> Registration {
    Registration { id: id.to_owned(), node_type, ..registration() }
}

/// Feels the pulse often, and has no new children: a test does not wait for seconds.
fn start(server: &Server, registration: Registration, node: Arc<Recorder>) -> Tree {
    Tree::start_with(
        config(server),
        registration,
        node,
        Timing { pulse: ms(100), new: ms(0), ..Timing::default() },
    )
}

async fn once(overviews: &Overviews, what: &str, wanted: impl Fn(&Overview) -> bool) -> Arc<Overview> {
    let began = Instant::now();
    loop {
        let overview = overviews.get().await.unwrap();
        if wanted(&overview) {
            return overview;
        }
        assert!(began.elapsed() < LONG, "{what}: {overview:#?}");
        tokio::time::sleep(ms(50)).await;
    }
}

fn of<'a>(overview: &'a Overview, id: &str) -> &'a node::overview::NodeView {
    overview.nodes.iter().find(|node| node.id == id).unwrap()
}

#[tokio::test]
async fn the_whole_tree_is_seen() {
    let server = Server::start("").await;
    for command in [
        "SADD children:injection-1 relay-1",
        "SADD children:relay-1 egress-1 egress-2 egress-9",
        // Killed, more than a minute ago.
        r#"HSET directory:tree-1 egress-2 {"type":"egress","url":"http://e2","status":"active","viewers":7}"#,
        "SET parent:relay-1 injection-1",
        "SET parent:egress-1 relay-1",
        "SADD sessions:active show other",
        "SADD sessions:indexed:{sessions:active} show",
        "SADD sessions:index:{tree-1} show",
        "HSET session:show treeId tree-1 injectionNodeId injection-1 videoCodec vp8 createdAt 5",
        "HSET session:other treeId tree-2",
        "SADD mountpoints:active egress-1:show egress-7:show",
        "SADD mountpoints:egress-1 show",
        "HSET mountpoint:egress-1:show active true",
        // What nobody should write, and somebody will.
        "SET children:egress-9 nothing",
    ] {
        server.run(command).await;
    }
    let egress = Arc::new(Recorder::default());
    *egress.particulars.lock().unwrap() =
        Particulars { viewers: 3, max_viewers: 9, ..Particulars::default() };
    let relay = Arc::new(Recorder::default());
    let trees = [
        start(&server, node("injection-1", NodeType::Injection), Arc::new(Recorder::default())),
        start(&server, node("relay-1", NodeType::Relay), relay.clone()),
        start(&server, node("egress-1", NodeType::Egress), egress.clone()),
    ];
    for tree in &trees {
        settled(tree).await;
    }
    let overviews = Overviews::new(config(&server).redis, "tree-1");
    let overview = overviews.get().await.unwrap();
    let rows: Vec<_> = overview.nodes.iter().map(|node| (node.depth, node.id.as_str(), node.state)).collect();
    let wanted = [
        (0, "injection-1", State::Ok),
        (1, "relay-1", State::Ok),
        (2, "egress-1", State::Ok),
        (2, "egress-2", State::Gone),
        (2, "egress-9", State::Unknown),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(overview.problems.len(), 2, "{:?}", overview.problems);
    assert!(
        overview.problems[0].starts_with("egress-2: its registration has expired"),
        "{:?}",
        overview.problems
    );
    assert!(overview.problems[1].contains("children:relay-1"), "{:?}", overview.problems);
    assert_eq!((overview.viewers, of(&overview, "egress-1").mountpoints), (3, 1));
    let sessions: Vec<_> = overview.sessions.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!(sessions, ["show"], "the other is another tree's");
    let show = &overview.sessions[0];
    assert_eq!(
        (show.egresses, show.live, show.orphan, show.created_at),
        (Some(1), Some(true), false, Some(5))
    );

    // What flows is seen without anything being registered again.
    let written = server.text("HGET node:relay-1 created").await;
    *relay.received.lock().unwrap() = Some(Received { packets: 100, bytes: 1000, lost: 0, repaired: 0 });
    *egress.received.lock().unwrap() = Some(Received { packets: 100, bytes: 1000, lost: 0, repaired: 0 });
    let flows = |id: &'static str| move |seen: &Overview| of(seen, id).flow.is_some();
    once(&overviews, "flows", flows("egress-1")).await;
    *relay.received.lock().unwrap() = Some(Received { packets: 200, bytes: 2000, lost: 0, repaired: 0 });
    *egress.received.lock().unwrap() = Some(Received { packets: 175, bytes: 1750, lost: 25, repaired: 0 });
    let lossy = once(&overviews, "loss", |seen| {
        let edge = seen.edges.iter().find(|edge| edge.to == "egress-1").unwrap();
        edge.loss == Some(0.25)
    });
    assert!(lossy.await.edges.iter().any(|edge| edge.packets_per_second.is_some_and(|rate| rate > 0.0)));
    assert_eq!(server.text("HGET node:relay-1 created").await, written);

    // Redis goes: what was seen last is shown, and that it is old.
    for tree in &trees {
        tree.stop().await;
    }
    let port = server.port;
    drop(server);
    let old = once(&overviews, "away", |seen| seen.problems[0].starts_with("this is how the tree was")).await;
    assert!(!old.healthy && old.problems[0].contains(&port.to_string()), "{:?}", old.problems);
}
