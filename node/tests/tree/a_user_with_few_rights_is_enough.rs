//! A node needs no more of Redis than this (as Redis 7 spells it).

use std::sync::Arc;

use node::config::TreeConfig;
use node::directory::Directory;
use node::overview::Overviews;
use node::tree::Tree;

use crate::common::*;

const USERS: &str = "user default off\nuser admin on >secret ~* &* +@all\n\
    user node on >hidden %R~children:* %R~parent:* %R~parents:* ~node:* ~directory:* ~sweeper:* %R~session:* %R~sessions:* \
    %R~mountpoints:* %R~mountpoint:* \
    &topology:* &sessions:* &__keyspace@* \
    +get +exists +smembers +sismember +scard +hgetall +hmget +multi +exec +hset +pexpire +pttl +del +hdel \
    +subscribe +unsubscribe +ping +config|get +config|set";

fn config_of(server: &Server) -> TreeConfig {
    with_password(config(server), Some("node"), "hidden")
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let server = Server::prepare(USERS, false).with_user("admin", "secret").up().await;
    server.child("a", "10.0.0.1").await;
    let node = Arc::new(Recorder::default());
    let config = config_of(&server);
    let directory = Directory::new(config.redis.clone(), "tree-1");
    let tree = Tree::start_with(config, registration(), node.clone(), only_heard());
    settled(&tree).await;
    let redis = tree.view().borrow().redis.clone();
    assert!(redis.notifications, "{redis:?}");
    assert_eq!(redis.problem, None);
    server.run("SADD children:relay-1 a").await;
    node.has(&["a"]).await;
    server.child("a", "10.0.0.2").await;
    node.is_told("a move", |told| told.have.get("a") == Some(&place("10.0.0.2"))).await;
    tree.refresh().await.unwrap();
    server.run("SADD mountpoints:active relay-1:show").await;
    assert!(directory.carriers("show").await.unwrap().is_empty(), "it is no egress");
    let overview = Overviews::new(config_of(&server).redis, "tree-1").get().await.unwrap();
    assert!(overview.notes.iter().all(|note| !note.contains("ACL")), "{:?}", overview.notes);
    // With fewer than that it says what is not seen, and the rest is.
    server.run("ACL SETUSER node -scard").await;
    let overview = Overviews::new(config_of(&server).redis, "tree-1").get().await.unwrap();
    assert!(overview.notes[0].contains("scard") && overview.notes[0].contains("ACL"), "{:?}", overview.notes);
    assert_eq!(overview.nodes[0].id, "relay-1");
    tree.stop().await;
    assert_eq!(server.number("EXISTS node:relay-1").await, 0);
}

/// As it was made for a version that knew of no standby parents.
#[tokio::test]
async fn a_user_who_may_not_read_who_stands_by_follows_the_rest() {
    let users = USERS.replace("%R~parents:* ", "");
    let server = Server::prepare(&users, false).with_user("admin", "secret").up().await;
    server.child("a", "10.0.0.1").await;
    server.run("SADD parents:relay-1 relay-2").await;
    let node = Arc::new(Recorder::default());
    let tree = Tree::start_with(config_of(&server), registration(), node.clone(), only_heard());
    settled(&tree).await;
    server.run("SADD children:relay-1 a").await;
    node.has(&["a"]).await;
    let redis = tree.view().borrow().redis.clone();
    assert_eq!(redis.problem, None);
    let said = redis.standby_problem.unwrap();
    assert!(said.contains("parents:relay-1") && said.contains("ACL"), "{said}");
    assert!(node.told().upstream.last().unwrap().standby.is_empty());
    tree.stop().await;
}
