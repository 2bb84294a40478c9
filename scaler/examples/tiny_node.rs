//! A node that carries no media, for tests of the scaler: it registers in a real Redis as every node does, answers the requests that all
//! nodes answer, can be drained, and ends by SIGTERM. Several hundred can be made on one machine in a second.
//!
//! NODE_ID, TREE_ID, ROLE (`injection`, `relay`, `egress`), PORT, REDIS_PORT. VIEWERS names a file with the number of viewers that an egress has:
//! as long as there are some it is not empty. ILL=NAME: the node of this name never becomes ready; MUTE=NAME: that one never registers.
#![allow(clippy::unwrap_used, reason = "it fails like the test that started it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use node::config::{RedisConfig, TreeConfig};
use node::directory::Particulars;
use node::drain::{Drain, Drains};
use node::http::{Access, Base, Failed, guard, router, serve};
use node::record::{NodeType, Place, Registration};
use node::sessions::SessionChange;
use node::topology::{ChildChange, Upstream};
use node::tree::{Follows, Tree};
use node::view::Topology;
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Tiny {
    role: NodeType,
    id: String,
    drain: Drain,
    children: Mutex<BTreeMap<String, Place>>,
    parent: Mutex<Option<String>>,
    viewers: Option<String>,
    ill: bool,
}

impl Tiny {
    fn problem(&self) -> Option<&'static str> {
        self.ill.then_some("it is ill")
    }
}

impl Drains for Tiny {
    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn count(&self) -> u64 {
        let text = self.viewers.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

impl Base for Tiny {
    type Status = Value;

    async fn status(&self) -> Value {
        json!({ "nodeId": self.id })
    }

    async fn topology(&self) -> Topology {
        let children = self.children.lock().unwrap().keys().cloned().collect();
        Topology {
            node_id: self.id.clone(),
            node_type: self.role,
            parent: self.parent.lock().unwrap().clone(),
            children,
        }
    }

    async fn refresh(&self) -> Result<(), Failed> {
        Ok(())
    }

    async fn metrics(&self) -> Result<String, Failed> {
        Ok(String::new())
    }

    async fn problems(&self) -> Vec<String> {
        self.problem().map(str::to_owned).into_iter().collect()
    }
}

impl Follows for Tiny {
    async fn have(&self) -> BTreeMap<String, Place> {
        self.children.lock().unwrap().clone()
    }

    async fn carry_out(&self, changes: Vec<ChildChange>, _: Instant) {
        let mut children = self.children.lock().unwrap();
        for change in changes {
            match change {
                ChildChange::Remove { id } => drop(children.remove(&id)),
                ChildChange::Add { id, place } | ChildChange::Move { id, place } => {
                    drop(children.insert(id, place));
                }
            }
        }
    }

    async fn upstream(&self, upstream: Upstream) {
        *self.parent.lock().unwrap() = upstream.parent;
    }

    async fn sessions(&self, _: Vec<SessionChange>) {}

    async fn health(&self) -> String {
        let word = self.drain.word();
        word.or(self.problem()).unwrap_or("active").to_owned()
    }

    fn particulars(&self) -> Particulars {
        let is_egress = self.role == NodeType::Egress;
        Particulars {
            draining: self.drain.is_on(),
            cut_off: is_egress && self.parent.lock().unwrap().is_none(),
            viewers: if is_egress { self.count() as u32 } else { 0 },
            max_viewers: if is_egress { 100 } else { 0 },
            ..Particulars::default()
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let of = |name: &str| std::env::var(name).ok();
    let (id, port) = (of("NODE_ID").unwrap(), of("PORT").unwrap().parse().unwrap());
    let role = [NodeType::Injection, NodeType::Relay, NodeType::Egress];
    let role = role.into_iter().find(|role| Some(role.name()) == of("ROLE").as_deref()).unwrap();
    let tiny = Arc::new(Tiny {
        role,
        drain: Drain::new(Duration::from_secs(5), "viewers"),
        children: Mutex::default(),
        parent: Mutex::default(),
        viewers: of("VIEWERS"),
        ill: of("ILL").as_deref() == Some(id.as_str()),
        id: id.clone(),
    });
    let registration = Registration {
        id: id.clone(),
        node_type: role,
        tree_id: of("TREE_ID").unwrap(),
        host: "127.0.0.1".to_owned(),
        port,
        media: [port + 1, port + 3],
        created: 1,
        zone: of("ZONE").unwrap_or_default(),
        admin: None,
        public_url: None,
    };
    let redis = RedisConfig::single("127.0.0.1", of("REDIS_PORT").unwrap().parse().unwrap());
    let config = TreeConfig { redis, grace: Duration::from_secs(2), sweep_after: Duration::ZERO };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let signals = node::daemon::Signals::listen().unwrap();
    let tree = match of("MUTE").as_deref() == Some(id.as_str()) {
        true => None,
        false => Some(Tree::start(config, registration, tiny.clone())),
    };
    if let Some(tree) = &tree {
        tiny.drain.tell(tree.clone());
    }
    tokio::spawn(keep_drained(tiny.clone()));
    let routes = guard(router(tiny.clone()), Access::default());
    serve(listener, routes, Arc::default(), node::drain::ended(signals, tiny)).await.unwrap();
    if let Some(tree) = tree {
        tree.stop().await;
    }
}

/// As soon as nobody is left it is empty.
async fn keep_drained(tiny: Arc<Tiny>) {
    loop {
        if tiny.drain.is_on() {
            match tiny.count() {
                0 => tiny.drain.done(),
                left => tiny.drain.left(left, None),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
