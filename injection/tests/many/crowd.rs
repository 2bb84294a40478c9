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
use tokio::runtime::Runtime;
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

/// All of them, on threads of their own: whoever measures has another.
pub struct Crowd {
    pub nodes: Vec<Arc<Knows>>,
    pub trees: Vec<Tree>,
    threads: Option<Runtime>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.threads.take().expect("dropped once").shutdown_background();
    }
}

impl Crowd {
    /// So many egresses, connected and registered.
    pub async fn start(config: &TreeConfig, count: usize, timing: Timing) -> Crowd {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (nodes, trees) = threads.spawn(start(config.clone(), count, timing)).await.unwrap();
        Crowd { nodes, trees, threads: Some(threads) }
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

async fn start(config: TreeConfig, count: usize, timing: Timing) -> (Vec<Arc<Knows>>, Vec<Tree>) {
    let (mut nodes, mut trees) = (Vec::new(), Vec::<Tree>::new());
    for number in 0..count {
        // All are in this one process: what five hundred machines read at once, it reads one after the other.
        if number % AT_ONCE == 0 {
            settled(&trees).await;
        }
        let registration = Registration {
            id: format!("egress-{number}"),
            node_type: NodeType::Egress,
            tree_id: "tree-1".to_owned(),
            host: "10.0.0.1".to_owned(),
            port: 7073,
            media: [5002, 5004],
            created: 1,
            zone: String::new(),
            public_url: None,
            admin: None,
        };
        let node = Arc::new(Knows::default());
        trees.push(Tree::start_with(config.clone(), registration, node.clone(), timing));
        nodes.push(node);
    }
    settled(&trees).await;
    (nodes, trees)
}

/// Nodes that are started at once.
const AT_ONCE: usize = 10;

async fn settled(trees: &[Tree]) {
    for tree in trees {
        let mut view = tree.view();
        let settled = view.wait_for(|view| view.redis.connected && view.redis.registered);
        tokio::time::timeout(Duration::from_secs(300), settled).await.expect("registered").unwrap();
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
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
        let client = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        let mut work = Work { client, cpu: 0.0 };
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
