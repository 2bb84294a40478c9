//! Sessions, mountpoints and entries of nodes that are gone are taken out by one of those that live, once; nothing is of a node
//! that lives, nor a session whose media comes, nor what was written by hand.

use std::sync::Arc;
use std::time::Instant;

use node::config::TreeConfig;
use node::contract::key;
use node::record::{NodeType, Registration};
use node::tree::Tree;

use crate::common::cluster::{Cluster, cli};
use crate::common::*;

/// Of a hash that nobody has renewed for an hour.
const HOUR_OLD: u64 = 23 * 3600;

/// What an operator types, one command a line.
struct Typed<'a>(&'a dyn Fn(&str) -> String);

impl Typed<'_> {
    fn all(&self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let said = (self.0)(line);
            assert!(!said.contains("ERR") && !said.contains("WRONG"), "{line}: {said}");
        }
    }

    fn is(&self, line: &str, wanted: &str) -> bool {
        let said = (self.0)(line);
        let mut said: Vec<&str> = said.split_whitespace().collect();
        said.sort();
        said.join(" ") == wanted
    }

    async fn becomes(&self, line: &str, wanted: &str) {
        let began = Instant::now();
        while !self.is(line, wanted) {
            assert!(began.elapsed() < LONG * 2, "{line} is {}, not {wanted}", (self.0)(line));
            tokio::time::sleep(ms(50)).await;
        }
    }

    /// A session as its injection leaves it.
    fn session(&self, id: &str, injection: &str, ssrc: u32) {
        let [index, claims] = [key::session_index("tree-1"), key::session_claims("tree-1")];
        let video = ssrc + 1;
        self.all(&format!(
            "HSET session:{id} sessionId {id} injectionNodeId {injection} treeId tree-1 active true audioSsrc {ssrc} videoSsrc {video}
             EXPIRE session:{id} {HOUR_OLD}
             SADD sessions:{injection} {id}
             SADD sessions:active {id}
             SADD {indexed} {id}
             SADD {index} {id}
             HSET {claims} name:{id} {injection} has:{id} ssrc:{ssrc} ssrc:{ssrc} {id}",
            indexed = key::INDEXED_SESSIONS
        ));
    }

    /// A mountpoint as its egress leaves it.
    fn mountpoint(&self, egress: &str, session: &str, active: bool) {
        self.all(&format!(
            "HSET mountpoint:{egress}:{session} sessionId {session} egressNodeId {egress} treeId tree-1 active {active}
             EXPIRE mountpoint:{egress}:{session} {HOUR_OLD}
             SADD mountpoints:{egress} {session}
             SADD mountpoints:active {egress}:{session}"
        ));
    }

    fn entry(&self, tree: &str, id: &str, kind: &str) {
        self.all(&format!(
            r#"HSET directory:{tree} {id} {{"type":"{kind}","url":"http://{id}:7070","status":"active"}}"#
        ));
    }
}

async fn is_swept(config: TreeConfig, typed: Typed<'_>) {
    typed.session("dead", "injection-9", 7);
    typed.session("flows", "injection-9", 17);
    typed.entry("tree-1", "injection-9", "injection");
    typed.entry("tree-1", "egress-9", "egress");
    // One that nobody can read.
    typed.all("HSET directory:tree-1 relay-9 {");
    for session in ["dead", "flows"] {
        typed.mountpoint("egress-9", session, true);
    }
    typed.mountpoint("egress-1", "flows", true);
    // What somebody who was killed in the middle left.
    typed.all(&format!("SADD {} ghost", key::session_index("tree-1")));
    typed.all(
        "SADD sessions:active bare\n SADD mountpoints:active egress-8:old\n SADD mountpoints:egress-8 old",
    );
    // By hand, of another tree, of one that lives.
    typed.all("HSET session:hand audioSsrc 27 videoSsrc 28\n SADD sessions:active hand");
    typed.entry("tree-2", "injection-8", "injection");
    typed.session("lives", "injection-1", 37);
    typed.all("HSET node:injection-1 host 10.0.0.1 audioPort 5002 videoPort 5004");
    typed.entry("tree-1", "injection-1", "injection");

    let config = TreeConfig { sweep_after: ms(1500), ..config };
    let node = Arc::new(Recorder::default());
    let egress = Registration { id: "egress-1".to_owned(), node_type: NodeType::Egress, ..registration() };
    let trees = [
        Tree::start(config.clone(), registration(), node.clone()),
        Tree::start(config, egress, Arc::new(Recorder::default())),
    ];
    for tree in &trees {
        settled(tree).await;
    }
    let has = |wanted: &'static [&str]| {
        node.is_told("sessions", move |told| {
            let last = told.sessions.last().into_iter().flatten();
            last.map(|session| session.id.as_str()).eq(wanted.iter().copied())
        })
    };
    has(&["dead", "flows", "hand", "lives"]).await;
    has(&["flows", "hand", "lives"]).await;
    typed.becomes("SMEMBERS sessions:active", "flows hand lives").await;
    typed.becomes("SMEMBERS mountpoints:active", "egress-1:flows").await;
    typed.becomes("HKEYS directory:tree-1", "egress-1 injection-1 injection-9 relay-1").await;
    let index = key::session_index("tree-1");
    typed.becomes(&format!("SMEMBERS {index}"), "flows lives").await;
    for (line, wanted) in [
        ("HGET session:dead active", "false"),
        ("SMEMBERS sessions:injection-9", "flows"),
        ("SMEMBERS sessions:injection-1", "lives"),
        ("EXISTS mountpoints:egress-9", "0"),
        ("EXISTS mountpoints:egress-8", "0"),
        ("HGET mountpoint:egress-9:dead active", "false"),
        ("HKEYS directory:tree-2", "injection-8"),
    ] {
        assert!(typed.is(line, wanted), "{line}: {}", (typed.0)(line));
    }
    let claims = (typed.0)(&format!("HKEYS {}", key::session_claims("tree-1")));
    assert!(!claims.contains("dead") && claims.contains("flows"), "{claims}");

    // Its media stops, and it is a dead injection's as any other.
    typed.all("HSET mountpoint:egress-1:flows active false");
    has(&["hand", "lives"]).await;
    typed.becomes("HKEYS directory:tree-1", "egress-1 injection-1 relay-1").await;
    let doomed = (typed.0)(&format!("HKEYS {}", key::sweeper(key::ACTIVE_MOUNTPOINTS)));
    assert!(!doomed.contains("doomed"), "{doomed}");
    // Two sessions, a ghost, one that nobody has, two mountpoints, one that nobody has, three nodes; each by one node and once.
    let swept = || trees.each_ref().map(|tree| tree.view().borrow().redis.swept);
    let began = Instant::now();
    while swept().iter().sum::<u64>() < 10 {
        assert!(began.elapsed() < LONG, "{:?}", swept());
        tokio::time::sleep(ms(20)).await;
    }
    assert!(swept().contains(&10), "{:?}", swept());
}

#[tokio::test]
async fn at_one_server() {
    let server = Server::start("").await;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let say = |line: &str| {
        let words = words(line);
        cli(server.port, &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    is_swept(config(&server), Typed(&say)).await;
}

#[tokio::test]
async fn in_a_cluster() {
    let cluster = Cluster::start().await;
    is_swept(cluster.config(), Typed(&|line| cluster.type_in(line))).await;
}
