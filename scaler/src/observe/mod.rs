//! What is known of a tree now: from Redis, from Prometheus and from the back end, each at its own pace. None of them keeps a look waiting:
//! what does not answer is remembered for a while, and then missing.
//!
//! | file | job |
//! |---|---|
//! | `tree.rs` | from the tree as its nodes say that it is to what is decided by; without I/O |
//! | `figures.rs` | what Prometheus says |

mod figures;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::contract::key;
use node::overview;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::journal::Journal;
use crate::model::{Figures, Machine, Node, Observation};
use crate::provision::{Provisioner, Trouble};
pub use figures::Prometheus;

/// A look waits so long for who may be slow; …
const PATIENCE: Duration = Duration::from_millis(300);
/// … and for Redis.
const REDIS_PATIENCE: Duration = Duration::from_secs(3);
/// What the back end said counts for so long, should it not answer any more.
const REMEMBERED: Duration = Duration::from_secs(15);

/// Looks at a tree.
pub struct Eye<P> {
    journal: Arc<Journal>,
    prometheus: Option<Prometheus>,
    backend: Option<Arc<P>>,
    figures: Asked<Figures>,
    machines: Asked<Result<BTreeMap<String, Machine>, Trouble>>,
    last: Observation,
    /// What the back end said last, and when.
    listed: Option<(Instant, BTreeMap<String, Machine>)>,
    /// Why it does not say, if it does not.
    unlisted: Option<String>,
}

/// A question that is asked again once it has been answered.
struct Asked<T>(Option<JoinHandle<T>>);

impl<T: Send + 'static> Asked<T> {
    /// The answer, if there is one soon.
    async fn answer<F: Future<Output = T> + Send + 'static>(&mut self, ask: impl FnOnce() -> F) -> Option<T> {
        let task = self.0.get_or_insert_with(|| tokio::spawn(ask()));
        let answer = tokio::time::timeout(PATIENCE, task).await.ok()?;
        self.0 = None;
        answer.ok()
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl<P: Provisioner + Send + Sync + 'static> Eye<P> {
    /// At the journal's tree. Nothing is asked yet.
    pub fn new(journal: Arc<Journal>, prometheus: Option<Prometheus>, backend: Option<Arc<P>>) -> Eye<P> {
        let last = Observation { tree: journal.tree().to_owned(), ..Observation::default() };
        Eye {
            journal,
            prometheus,
            backend,
            figures: Asked(None),
            machines: Asked(None),
            last,
            listed: None,
            unlisted: None,
        }
    }

    /// What is known now.
    pub async fn look(&mut self) -> Observation {
        self.look_at_tree().await;
        self.ask_prometheus().await;
        self.ask_backend().await;
        self.last.clone()
    }

    /// Why the back end does not say what there is, if it does not.
    pub fn unlisted(&self) -> Option<&str> {
        self.unlisted.as_deref()
    }

    async fn look_at_tree(&mut self) {
        let reading = tokio::time::timeout(REDIS_PATIENCE, read(&self.journal)).await;
        let last = &mut self.last;
        match reading.unwrap_or_else(|_| Err("Redis does not say in time how the tree is".to_owned())) {
            Ok((facts, slots)) => {
                (last.read, last.problem) = (Some(facts.at), None);
                last.nodes = tree::nodes(&facts);
                (last.carriers, last.carriers_unknown) = tree::carriers(&facts);
                last.slots = slots.into_iter().collect();
            }
            Err(why) => last.problem = Some(why),
        }
    }

    async fn ask_prometheus(&mut self) {
        let Some(prometheus) = self.prometheus.clone() else {
            self.last.figures.unwanted = true;
            return;
        };
        let tree = self.last.tree.clone();
        let answer = self.figures.answer(move || async move { prometheus.figures(&tree).await }).await;
        match answer {
            Some(figures) if figures.problem.is_none() => self.last.figures = figures,
            // What it said before ages.
            Some(figures) => self.last.figures.problem = figures.problem,
            None => {}
        }
    }

    async fn ask_backend(&mut self) {
        let Some(backend) = self.backend.clone() else { return };
        let tree = self.last.tree.clone();
        let answer = self.machines.answer(move || async move { backend.list(&tree).await }).await;
        match answer {
            Some(Ok(machines)) => (self.listed, self.unlisted) = (Some((Instant::now(), machines)), None),
            Some(Err(trouble)) => self.unlisted = Some(trouble.line()),
            None => {}
        }
        let listed = self.listed.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED);
        self.last.machines = listed.map(|(_, machines)| machines.clone());
    }
}

async fn read(journal: &Journal) -> Result<(overview::facts::Facts, Vec<String>), String> {
    let facts = whole(overview::read(journal.commands(), journal.tree()).await?)?;
    let mut pipe = redis::pipe();
    pipe.cmd("SMEMBERS").arg(key::relay_slots(journal.tree()));
    let (slots,): (Vec<String>,) = journal.commands().run(&pipe).await?;
    Ok((facts, slots))
}

/// Who was left out would look dead.
fn whole(facts: overview::facts::Facts) -> Result<overview::facts::Facts, String> {
    match facts.nodes_left_out {
        0 => Ok(facts),
        more => Err(format!(
            "the tree has {more} nodes more than the {} that are read: nothing is done with a part of a tree",
            overview::MOST_NODES
        )),
    }
}

/// The tree as it is now, and who carries what.
pub async fn tree(journal: &Journal) -> Result<Observation, String> {
    let reading = tokio::time::timeout(REDIS_PATIENCE, overview::read(journal.commands(), journal.tree()));
    let facts =
        reading.await.unwrap_or_else(|_| Err("Redis does not say in time how the tree is".to_owned()));
    let facts = whole(facts?)?;
    let (carriers, carriers_unknown) = tree::carriers(&facts);
    Ok(Observation {
        tree: journal.tree().to_owned(),
        read: Some(facts.at),
        nodes: tree::nodes(&facts),
        carriers,
        carriers_unknown,
        ..Observation::default()
    })
}

/// The nodes alone, as they are now.
pub async fn nodes(journal: &Journal) -> Result<Vec<Node>, String> {
    let reading = overview::read_nodes(journal.commands(), journal.tree());
    let facts = tokio::time::timeout(REDIS_PATIENCE, reading).await;
    let facts = facts.unwrap_or_else(|_| Err("Redis does not say in time how the tree is".to_owned()))?;
    Ok(tree::nodes(&whole(facts)?))
}

/// Milliseconds since something was read.
pub fn age(seen: &Observation) -> Option<u64> {
    seen.read.map(|read| now().saturating_sub(read))
}
