//! Reads a directory for as many as ask: one read at a time, each for many, and none for what has just been read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisResult;
use tokio::sync::{mpsc, oneshot};

use super::facts::{Carriers, FRESH, Facts, HOLDS, Nodes};
use super::{read, unheard};
use crate::commands::Commands;
use crate::config::RedisConfig;
use crate::contract::{NODE_DOUBTED, is_session, key};
use crate::record::NodeType;

/// Whoever waits for Redis is told what was known before after this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two reads: strangers who make names up cost Redis no more than this.
const PAUSE: Duration = Duration::from_millis(20);
/// Sessions that one read is for.
const AT_ONCE: usize = 16;
/// Who may wait for a read.
const MOST_WAITING: usize = 256;

/// The directory of a tree. Clones share what was read.
#[derive(Clone)]
pub struct Directory {
    facts: Arc<Mutex<Facts>>,
    requests: mpsc::Sender<Request>,
}

/// Somebody wants to know who carries a session, or who there is.
struct Request {
    session: Option<String>,
    /// Told when it has been read, or could not be.
    done: oneshot::Sender<()>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    /// Connects when somebody asks. To be called within a runtime.
    pub fn new(redis: RedisConfig, tree: &str) -> Directory {
        let (requests, wanted) = mpsc::channel(MOST_WAITING);
        let facts = Arc::new(Mutex::new(Facts::default()));
        let reader = Reader { commands: Commands::new(redis), tree: tree.to_owned(), facts: facts.clone() };
        tokio::spawn(reader.run(wanted));
        Directory { facts, requests }
    }

    /// Egresses that carry a session and are alive, also those without room ([`choose`](super::choice::choose) leaves them
    /// out). An error says why that is not known.
    pub async fn carriers(&self, session: &str) -> Result<Arc<Carriers>, String> {
        if !is_session(session) {
            return Ok(Arc::default());
        }
        let known = |facts: &Facts, within, now| facts.carriers(session, within, now);
        self.find(Some(session), known).await
    }

    /// Who there is.
    pub async fn nodes(&self) -> Result<Arc<Nodes>, String> {
        self.find(None, Facts::nodes).await
    }

    /// What is known, after a read unless it is fresh. If Redis is away, what was known before.
    async fn find<T>(
        &self,
        session: Option<&str>,
        known: impl Fn(&Facts, Duration, Instant) -> Option<Arc<T>>,
    ) -> Result<Arc<T>, String> {
        let now = Instant::now();
        let is_away = {
            let facts = locked(&self.facts);
            if let Some(fact) = known(&facts, FRESH, now) {
                return Ok(fact);
            }
            facts.failure(now).is_some()
        };
        // Nobody waits for a server that has just been found away.
        if !is_away {
            self.ask(session.map(str::to_owned)).await;
        }
        let (facts, now) = (locked(&self.facts), Instant::now());
        known(&facts, HOLDS, now).ok_or_else(|| {
            facts.failure(now).unwrap_or("Redis does not answer; ask again in a moment").to_owned()
        })
    }

    async fn ask(&self, session: Option<String>) {
        let (done, read) = oneshot::channel();
        // With so many before us we would not be answered in time.
        if self.requests.try_send(Request { session, done }).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, read).await;
        }
    }
}

/// Reads, until nobody can ask any more.
struct Reader {
    commands: Commands,
    tree: String,
    facts: Arc<Mutex<Facts>>,
}

impl Reader {
    async fn run(self, mut wanted: mpsc::Receiver<Request>) {
        let mut some = Vec::with_capacity(AT_ONCE);
        while wanted.recv_many(&mut some, AT_ONCE).await > 0 {
            // Who has hung up needs nothing.
            some.retain(|request| !request.done.is_closed());
            if let Some(what) = self.stale(&some) {
                let found = self.read(what).await;
                let (mut facts, now) = (locked(&self.facts), Instant::now());
                match found {
                    Ok((nodes, sessions)) => facts.learn(nodes, sessions, now),
                    Err(why) => facts.failed(why, now),
                }
            } else if some.is_empty() {
                continue;
            }
            for request in some.drain(..) {
                let _ = request.done.send(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What of it has to be read; `None`: nothing, another has read it meanwhile or found that it cannot be.
    fn stale(&self, wanted: &[Request]) -> Option<Stale> {
        let (facts, now) = (locked(&self.facts), Instant::now());
        let nodes = facts.nodes(FRESH, now);
        let is_stale = |session: &&String| facts.carriers(session, FRESH, now).is_none();
        let is_carried = |session: &String| {
            facts.carriers(session, HOLDS, now).is_some_and(|carriers| !carriers.is_empty())
        };
        let sessions = wanted.iter().filter_map(|request| request.session.as_ref()).filter(is_stale).cloned();
        let (carried, new): (BTreeSet<String>, BTreeSet<String>) = sessions.partition(is_carried);
        let wants_nodes = wanted.iter().any(|request| request.session.is_none()) && nodes.is_none();
        let anything = wants_nodes || !carried.is_empty() || !new.is_empty();
        (anything && facts.failure(now).is_none()).then_some(Stale { nodes, carried, new })
    }

    async fn read(&self, stale: Stale) -> Result<(Arc<Nodes>, BTreeMap<String, BTreeSet<String>>), String> {
        let nodes = match stale.nodes {
            Some(nodes) => nodes,
            None => self.read_nodes().await?,
        };
        let (there, made_up) = self.exist(stale.new).await?;
        let wanted: BTreeSet<String> = stale.carried.into_iter().chain(there).collect();
        let is_egress =
            |id: &&String| nodes.entries.get(*id).is_some_and(|e| e.node_type == NodeType::Egress);
        let egresses: Vec<&String> = nodes.alive.iter().filter(is_egress).collect();
        let mut asking = redis::pipe();
        for session in &wanted {
            for egress in &egresses {
                let member = key::active_mountpoint(egress, session);
                asking.cmd("SISMEMBER").arg(key::ACTIVE_MOUNTPOINTS).arg(member);
            }
        }
        let mut carries: std::vec::IntoIter<bool> = match asking.is_empty() {
            true => Vec::new(),
            false => self.commands.run(&asking).await?,
        }
        .into_iter();
        let mut of = |session: String| {
            let names = egresses.iter().filter(|_| carries.next() == Some(true));
            (session, names.map(|id| (*id).clone()).collect())
        };
        let mut sessions: BTreeMap<_, _> = wanted.into_iter().map(&mut of).collect();
        sessions.extend(made_up.into_iter().map(|session| (session, BTreeSet::new())));
        Ok((nodes, sessions))
    }

    /// Those of these sessions that there are, and the others. Every egress is to be asked of a session: not of names that strangers
    /// make up, which cost one command each however large the tree is.
    async fn exist(
        &self,
        sessions: BTreeSet<String>,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), String> {
        if sessions.is_empty() {
            return Ok(Default::default());
        }
        let mut asking = redis::pipe();
        for session in &sessions {
            asking.exists(key::session(session));
        }
        let answers: Vec<bool> = self.commands.run(&asking).await?;
        let mut answers = answers.into_iter();
        Ok(sessions.into_iter().partition(|_| answers.next() == Some(true)))
    }

    async fn read_nodes(&self) -> Result<Arc<Nodes>, String> {
        let (fields,): (BTreeMap<Vec<u8>, Vec<u8>>,) =
            self.commands.run(redis::pipe().cmd("HGETALL").arg(key::directory(&self.tree))).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let entries = read(fields.into_iter().map(|(id, entry)| (text(id), text(entry))).collect());
        if entries.is_empty() {
            return Ok(Arc::default());
        }
        let mut asking = redis::pipe();
        for id in entries.keys() {
            asking.exists(key::node(id));
            asking.cmd("PTTL").arg(key::instance(id));
        }
        asking.ignore_errors();
        let answers: Vec<RedisResult<i64>> = self.commands.run(&asking).await?;
        let (mut alive, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
        for (id, answer) in entries.keys().zip(answers.chunks_exact(2)) {
            let [exists, left] = answer else { continue };
            if exists.as_ref().map_err(|error| format!("who is there cannot be read: {error}"))? > &0 {
                alive.insert(id.clone());
            }
            // A user who may not ask doubts nobody.
            if left.as_ref().is_ok_and(|left| unheard(*left).is_some_and(|unheard| unheard > NODE_DOUBTED)) {
                doubtful.insert(id.clone());
            }
        }
        Ok(Arc::new(Nodes { entries, alive, doubtful }))
    }
}

/// What is to be read: the nodes unless they are here, and of these sessions who has them.
struct Stale {
    nodes: Option<Arc<Nodes>>,
    /// Sessions that somebody carried when that was read last.
    carried: BTreeSet<String>,
    /// Others.
    new: BTreeSet<String>,
}

fn locked(facts: &Mutex<Facts>) -> MutexGuard<'_, Facts> {
    facts.lock().unwrap_or_else(PoisonError::into_inner)
}
