//! A node that was killed is doubtful within seconds, long before its registration expires: the tree shows it, and viewers are sent to
//! others. One that lives says so again and again, without anything of it being written anew.

use std::sync::Arc;
use std::time::Instant;

use node::directory::choice::{Wish, choose};
use node::directory::{Directory, Entry, Particulars};
use node::overview::{Overviews, State};
use node::record::NodeType;
use node::tree::{Timing, Tree};

use crate::common::*;

/// An egress that carries `show`, of which nobody has heard for so many seconds.
async fn egress(server: &Server, id: &str, unheard: i64) {
    let entry = Entry {
        node_type: NodeType::Egress,
        url: format!("http://{id}"),
        zone: String::new(),
        status: "active".to_owned(),
        parent: None,
        particulars: Particulars { max_viewers: 9, ..Particulars::default() },
    };
    server.run(&format!("HSET directory:tree-1 {id} {}", entry.text())).await;
    server.run(&format!("HSET node:{id} type egress treeId tree-1")).await;
    server.run(&format!("SADD mountpoints:active {id}:show")).await;
    server.run("HSET session:show treeId tree-1").await;
    server.run(&format!("SET parent:{id} relay-1")).await;
    server.run(&format!("HSET node:instance:{id} instance x")).await;
    server.run(&format!("PEXPIRE node:instance:{id} {}", 60_000 - 1000 * unheard)).await;
}

#[tokio::test]
async fn viewers_are_sent_to_others_and_the_tree_says_so() {
    let server = Server::start("").await;
    egress(&server, "egress-1", 9).await;
    egress(&server, "egress-2", 1).await;
    let directory = Directory::new(config(&server).redis, "tree-1");
    let carriers = directory.carriers("show").await.unwrap();
    let anywhere = |viewer| choose(&carriers, &Wish { viewer, ..Wish::default() });
    assert!((0..100).all(|viewer| anywhere(viewer) == Some("egress-2")));
    // It is there for who must leave the other.
    assert_eq!(choose(&carriers, &Wish { not: Some("egress-2"), ..Wish::default() }), Some("egress-1"));
    let tree = Overviews::new(config(&server).redis, "tree-1").get().await.unwrap();
    let state = |id: &str| tree.nodes.iter().find(|node| node.id == id).unwrap().state;
    assert_eq!(state("egress-1"), State::Doubtful);
    assert_ne!(state("egress-2"), State::Doubtful);
    assert!(
        tree.problems.iter().any(|why| why.starts_with("egress-1: nobody has heard of it for")),
        "{:?}",
        tree.problems
    );
}

#[tokio::test]
async fn who_lives_says_so() {
    let server = Server::start("").await;
    let timing = Timing { pulse: ms(50), ..Timing::default() };
    let tree = Tree::start_with(config(&server), registration(), Arc::new(Recorder::default()), timing);
    settled(&tree).await;
    let left = async || server.number("PTTL node:instance:relay-1").await;
    server.run("PEXPIRE node:instance:relay-1 30000").await;
    let registered = server.number("PTTL node:relay-1").await;
    let began = Instant::now();
    while left().await < 50_000 {
        assert!(began.elapsed() < LONG, "{}", left().await);
        tokio::time::sleep(ms(10)).await;
    }
    assert!(server.number("PTTL node:relay-1").await <= registered, "the registration was written for it");
    tree.stop().await;
    assert_eq!(left().await, -2, "it has taken itself back");
}
