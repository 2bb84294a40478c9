//! What stands in for a node: it does what it is told, and remembers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use node::directory::Particulars;
use node::flow::Received;
use node::record::{NodeType, Place, Registration};
use node::sessions::{Session, SessionChange};
use node::topology::{ChildChange, Upstream};
use node::tree::Follows;
use tokio::sync::watch;

use super::LONG;

pub fn registration() -> Registration {
    Registration {
        id: "relay-1".to_owned(),
        node_type: NodeType::Relay,
        tree_id: "tree-1".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 7071,
        media: [5002, 5004],
        created: 1,
        zone: String::new(),
        public_url: None,
        admin: None,
    }
}

pub fn place(host: &str) -> Place {
    Place { host: host.to_owned(), ports: [5002, 5004] }
}

/// What a node was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub have: BTreeMap<String, Place>,
    pub commands: Vec<ChildChange>,
    /// From the event to the command.
    pub delays: Vec<Duration>,
    pub sessions: Vec<Vec<Session>>,
    pub upstream: Vec<Upstream>,
}

pub struct Recorder {
    pub log: watch::Sender<Told>,
    pub health: Mutex<String>,
    pub particulars: Mutex<Particulars>,
    pub received: Mutex<Option<Received>>,
    /// How long carrying out takes.
    pub takes: Duration,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            log: watch::Sender::new(Told::default()),
            health: Mutex::new("active".to_owned()),
            particulars: Mutex::default(),
            received: Mutex::default(),
            takes: Duration::ZERO,
        }
    }
}

impl Recorder {
    pub fn told(&self) -> Told {
        self.log.borrow().clone()
    }

    /// Waits until it was told what is wanted; gives how long that took.
    pub async fn is_told(&self, what: &str, wanted: impl Fn(&Told) -> bool) -> Duration {
        let started = Instant::now();
        let mut told = self.log.subscribe();
        if tokio::time::timeout(LONG, told.wait_for(|told| wanted(told))).await.is_err() {
            panic!("not told within {LONG:?}: {what}; told was {:#?}", self.told());
        }
        started.elapsed()
    }

    /// Waits until it has exactly these children.
    pub async fn has(&self, children: &[&str]) -> Duration {
        self.is_told(&format!("children {children:?}"), |told| {
            told.have.keys().map(String::as_str).eq(children.iter().copied())
        })
        .await
    }
}

impl Follows for Recorder {
    async fn have(&self) -> BTreeMap<String, Place> {
        self.log.borrow().have.clone()
    }

    async fn carry_out(&self, commands: Vec<ChildChange>, seen: Instant) {
        let delay = seen.elapsed();
        // A timer would take a millisecond, however short it is.
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        self.log.send_modify(|told| {
            for command in &commands {
                match command.clone() {
                    ChildChange::Remove { id } => {
                        assert!(told.have.remove(&id).is_some(), "{id} is not there")
                    }
                    ChildChange::Move { id, place } => assert!(told.have.insert(id, place).is_some()),
                    ChildChange::Add { id, place } => assert!(told.have.insert(id, place).is_none()),
                }
                told.delays.push(delay);
            }
            told.commands.extend(commands);
        });
    }

    async fn upstream(&self, upstream: Upstream) {
        self.log.send_modify(|told| told.upstream.push(upstream));
    }

    async fn sessions(&self, changes: Vec<SessionChange>) {
        self.log.send_modify(|told| {
            let last = told.sessions.last().into_iter().flatten();
            let mut sessions: BTreeMap<String, Session> =
                last.map(|session| (session.id.clone(), session.clone())).collect();
            for change in changes {
                match change {
                    SessionChange::Is(session) => drop(sessions.insert(session.id.clone(), session)),
                    SessionChange::Ended(id) => drop(sessions.remove(&id)),
                }
            }
            told.sessions.push(sessions.into_values().collect());
        });
    }

    async fn health(&self) -> String {
        self.health.lock().unwrap().clone()
    }

    fn particulars(&self) -> Particulars {
        self.particulars.lock().unwrap().clone()
    }

    async fn received(&self) -> Option<Received> {
        *self.received.lock().unwrap()
    }
}
