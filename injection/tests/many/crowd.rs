//! Many nodes in one tree, and an injection's sessions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use injection::session::{self, NewSession, Session};
use injection::store::Sessions;
use node::config::TreeConfig;
use node::record::{NodeType, Place, Registration};
use node::sessions::SessionChange;
use node::topology::ChildChange;
use node::tree::{Follows, Timing, Tree};
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use crate::common::Server;

/// A node that only knows the sessions of its tree.
#[derive(Default)]
pub struct Knows {
    /// SSRC of the video of each.
    pub sessions: watch::Sender<BTreeMap<String, u32>>,
}

impl Follows for Knows {
    async fn have(&self) -> BTreeMap<String, Place> {
        BTreeMap::new()
    }

    async fn carry_out(&self, _: Vec<ChildChange>, _: Instant) {}

    async fn sessions(&self, changes: Vec<SessionChange>) {
        self.sessions.send_modify(|known| {
            for change in changes {
                match change {
                    SessionChange::Is(session) => drop(known.insert(session.id, session.ssrcs.video.0)),
                    SessionChange::Ended(id) => drop(known.remove(&id)),
                }
            }
        });
    }

    async fn health(&self) -> String {
        "active".to_owned()
    }
}

/// All of them.
pub struct Crowd {
    pub nodes: Vec<Arc<Knows>>,
    pub trees: Vec<Tree>,
}

impl Crowd {
    /// So many egresses, connected and registered.
    pub async fn start(config: &TreeConfig, count: usize, timing: Timing) -> Crowd {
        let (mut nodes, mut trees) = (Vec::new(), Vec::new());
        for number in 0..count {
            let registration = Registration {
                id: format!("egress-{number}"),
                node_type: NodeType::Egress,
                tree_id: "tree-1".to_owned(),
                host: "10.0.0.1".to_owned(),
                port: 7073,
                media: [5002, 5004],
                created: 1,
            };
            let node = Arc::new(Knows::default());
            trees.push(Tree::start_with(config.clone(), registration, node.clone(), timing));
            nodes.push(node);
        }
        for tree in &trees {
            let mut view = tree.view();
            let settled = view.wait_for(|view| view.redis.connected && view.redis.registered);
            tokio::time::timeout(Duration::from_secs(60), settled).await.expect("registered").unwrap();
        }
        Crowd { nodes, trees }
    }

    /// Waits until all of them know what is wanted; gives how long that took.
    pub async fn all_know(&self, what: &str, wanted: impl Fn(&BTreeMap<String, u32>) -> bool) -> Duration {
        let started = Instant::now();
        for node in &self.nodes {
            let mut sessions = node.sessions.subscribe();
            let waiting = sessions.wait_for(|known| wanted(known));
            let known = tokio::time::timeout(Duration::from_secs(30), waiting).await;
            assert!(known.is_ok(), "not known: {what}; {:?}", node.sessions.borrow());
        }
        started.elapsed()
    }
}

/// ms since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A session as an injection decides upon it.
pub fn session(id: &str) -> Session {
    let new = NewSession { session_id: Some(id.to_owned()), ..NewSession::default() };
    session::decide(new, &[], rand::random, now()).unwrap()
}

/// Makes a session as an injection does.
pub async fn begin(store: &Sessions, id: &str) -> Session {
    assert_eq!(store.see(id).await.unwrap(), None);
    let session = session(id);
    assert_eq!(store.add(&session, now()).await.unwrap(), None);
    session
}

/// What a server has done since it was asked before.
pub struct Work {
    client: MultiplexedConnection,
    cpu: f64,
}

impl Work {
    pub async fn begin(server: &Server) -> Work {
        let mut work = Work { client: server.client().await, cpu: 0.0 };
        work.again().await;
        work
    }

    /// Counts from here on.
    pub async fn again(&mut self) {
        self.cpu = self.seconds().await;
        redis::cmd("CONFIG").arg("RESETSTAT").query_async::<()>(&mut self.client).await.unwrap();
    }

    /// Commands by name, without those of the counting itself.
    pub async fn commands(&mut self) -> BTreeMap<String, u64> {
        let text = self.info("commandstats").await;
        let of_line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        let mut commands: BTreeMap<String, u64> = text.lines().filter_map(of_line).collect();
        commands.retain(|name, _| !matches!(name.as_str(), "info" | "config|resetstat"));
        commands
    }

    /// Seconds of CPU.
    pub async fn cpu(&mut self) -> f64 {
        self.seconds().await - self.cpu
    }

    async fn seconds(&mut self) -> f64 {
        let text = self.info("cpu").await;
        let value = |name: &str| -> f64 {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        value("used_cpu_sys:") + value("used_cpu_user:")
    }

    async fn info(&mut self, section: &str) -> String {
        redis::cmd("INFO").arg(section).query_async(&mut self.client).await.unwrap()
    }
}

/// Seconds of CPU of this process.
pub fn own_cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

/// Lets this process have as many connections as it may.
pub fn many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}
