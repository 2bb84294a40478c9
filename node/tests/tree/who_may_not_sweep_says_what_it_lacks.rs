//! A user of Redis without the right to sweep is no problem of its node: it says which right that is, and leaves it to others.

use std::sync::Arc;

use node::config::TreeConfig;
use node::tree::Tree;

use crate::common::*;

/// As docs/operations.md has it, for nodes.
const FEW: &str = "%R~children:* %R~parent:* ~node:* ~directory:* ~sweeper:* %R~session:* %R~sessions:* \
    %R~mountpoints:* &topology:* &sessions:* &__keyspace@* +get +exists +smembers +sismember +hgetall +hmget +multi +exec +hset +hdel +pexpire +pttl \
    +del +subscribe +unsubscribe +ping +config|get +config|set";
/// The same, for those that sweep.
const SWEEPS: &str = "~session:* ~sessions:* ~mountpoint:* ~mountpoints:* +eval +sscan +hget +srem +sadd +set \
    +publish";

#[tokio::test]
async fn who_may_not_sweep_says_what_it_lacks() {
    let users = format!(
        "user default off\nuser admin on >secret ~* &* +@all\nuser few on >hidden {FEW}\n\
         user sweeps on >hidden {FEW} {SWEEPS}"
    );
    let server = Server::prepare(&users, false).with_user("admin", "secret").up().await;
    // Of an injection that is gone, with all that it has.
    for line in [
        "HSET directory:tree-1 i-9 {\"type\":\"injection\",\"url\":\"http://i-9\",\"status\":\"active\"}",
        "HSET session:dead injectionNodeId i-9 treeId tree-1 active true audioSsrc 7 videoSsrc 8",
        "SADD sessions:i-9 dead",
        "SADD sessions:active dead",
        "SADD sessions:index:{tree-1} dead",
        "HSET sessions:claims:{tree-1} name:dead i-9 has:dead ssrc:7 ssrc:7 dead",
        "HSET directory:tree-1 e-9 {\"type\":\"egress\",\"url\":\"http://e-9\",\"status\":\"active\"}",
        "HSET mountpoint:e-9:dead egressNodeId e-9 active true",
        "SADD mountpoints:e-9 dead",
        "SADD mountpoints:active e-9:dead",
    ] {
        server.run(line).await;
    }
    let config = TreeConfig { sweep_after: ms(1000), ..config(&server) };
    let as_user = |user| with_password(config.clone(), Some(user), "hidden");
    let few = Tree::start(as_user("few"), registration(), Arc::new(Recorder::default()));
    seen(&few, "why it does not", |view| view.redis.sweep_problem.is_some()).await;
    let redis = few.view().borrow().redis.clone();
    let said = redis.sweep_problem.unwrap();
    assert!(said.contains("eval") && said.contains("docs/operations.md"), "{said}");
    assert!(redis.connected && redis.registered && redis.problem.is_none(), "{:?}", redis.problem);

    let other = node::record::Registration { id: "relay-2".to_owned(), ..registration() };
    let sweeps = Tree::start(as_user("sweeps"), other, Arc::new(Recorder::default()));
    seen(&sweeps, "all is swept", |view| view.redis.swept == 4).await;
    assert_eq!(sweeps.view().borrow().redis.sweep_problem, None);
    assert_eq!(
        server.number("EXISTS sessions:active mountpoints:active sessions:i-9 mountpoints:e-9").await,
        0
    );
    assert_eq!(server.number("HLEN directory:tree-1").await, 2, "those that live");
}
