//! Where neither the server nor anybody else tells of a change, it is found all the same: within a second.

use std::sync::Arc;
use std::time::Duration;

use node::tree::Tree;

use crate::common::*;

const USERS: &str = "user default off\nuser admin on >secret ~* &* +@all\n\
                     user node on >hidden ~* resetchannels +@all -config";

#[tokio::test]
async fn a_full_read_mends_what_was_missed() {
    let server = Server::prepare(USERS, false).with_user("admin", "secret").up().await;
    server.child("a", "10.0.0.1").await;
    let node = Arc::new(Recorder::default());
    let config = with_password(config(&server), Some("node"), "hidden");
    let tree = Tree::start(config, registration(), node.clone());
    settled(&tree).await;
    let problem = tree.view().borrow().redis.notifications_problem.clone().unwrap();
    assert!(problem.contains("ACL"), "{problem}");
    server.run("SADD children:relay-1 a").await;
    let took = node.has(&["a"]).await;
    assert!(took < Duration::from_millis(1200), "{took:?}");
}
