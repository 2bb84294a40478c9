//! Takes a step: has a back end make or end nodes, writes in Redis who is whose child, has nodes empty themselves.
//!
//! | file | job |
//! |---|---|
//! | `still.rs` | whether what was to go may still go |
//! | `topology.rs` | what is written when nodes come and go; without I/O |
//! | `nodes.rs` | what nodes are asked |

mod nodes;
mod still;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use node::contract::key;
use tokio::sync::Mutex;

use crate::action::{Action, Facts, Failed, Kind, Patience, Step};
use crate::books::works;
use crate::journal::{Journal, Unwritten};
use crate::model::Node;
use crate::observe;
use crate::provision::{Provisioner, Trouble};
use nodes::AT_ONCE;
pub use nodes::Nodes;
use topology::Writes;

/// How long a back end may take to answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// Several actions that wait share a reading of the tree that is no older than this.
const FRESH: Duration = Duration::from_millis(200);

/// Takes steps in a tree.
pub struct Carrier<P> {
    journal: Arc<Journal>,
    backend: Arc<P>,
    nodes: Nodes,
    /// The tree's nodes, and when that was read.
    read: Mutex<Option<(Instant, Arc<Vec<Node>>)>>,
}

/// Why a step was not taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// Somebody else leads: nothing more is done.
    Fenced,
    /// Not for these nodes.
    Failed(Vec<Failed>),
}

impl<P: Provisioner + Send + Sync + 'static> Carrier<P> {
    /// `nodes`: how they are asked.
    pub fn new(journal: Arc<Journal>, backend: Arc<P>, nodes: Nodes) -> Carrier<P> {
        Carrier { journal, backend, nodes, read: Mutex::default() }
    }

    /// What a step waits for. While Redis is away nothing is known.
    pub async fn facts(&self, step: Option<&Step>, patience: Patience) -> Facts {
        let waits = |step: &&Step| {
            matches!(
                step,
                Step::AwaitAlive { .. }
                    | Step::Join { .. }
                    | Step::AwaitReady { .. }
                    | Step::AwaitDrained { .. }
            )
        };
        let Some(step) = step.filter(waits) else { return Facts { patience, ..Facts::default() } };
        let known = match self.tree().await {
            Ok(nodes) => self.nodes.facts(step, &nodes).await,
            Err(_) => BTreeMap::new(),
        };
        Facts { nodes: known, patience }
    }

    /// The tree's nodes as they were a moment ago.
    async fn tree(&self) -> Result<Arc<Vec<Node>>, String> {
        let mut read = self.read.lock().await;
        if let Some((_, nodes)) = read.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(nodes.clone());
        }
        let nodes = Arc::new(observe::nodes(&self.journal).await?);
        *read = Some((Instant::now(), nodes.clone()));
        Ok(nodes)
    }

    /// Takes a step of an action. [`Step::Announce`] is others' to take.
    pub async fn take(&self, action: &Action, step: &Step, fence: u64) -> Result<(), Untaken> {
        let tree = self.journal.tree();
        match step {
            Step::Make { nodes, start } => {
                let making = nodes.iter().map(|spec| {
                    let start = *start;
                    async move { (spec.name.clone(), within(self.backend.make(spec, start)).await) }
                });
                gathered(making).await
            }
            Step::Destroy { nodes } => {
                let ending = nodes.iter().map(|name| async move {
                    (name.clone(), within(self.backend.destroy(tree, name)).await)
                });
                gathered(ending).await
            }
            Step::Attach { parent, nodes } => {
                let parents = self.parents(nodes).await.map_err(|why| failed(nodes, &why))?;
                let with_role = |name: &String| (name.clone(), action.spec(name).map(|spec| spec.role));
                let come: Vec<_> = nodes.iter().map(with_role).collect();
                let gone = self.gone(&parents).await.map_err(|why| failed(nodes, &why))?;
                self.write(fence, nodes, topology::attach(tree, parent, &come, &parents, &gone)).await
            }
            Step::Detach { nodes } => {
                // What is cleared away goes without a drain: this is the first that it loses.
                if matches!(action.kind, Kind::Clear { .. }) {
                    self.still(action, nodes).await?;
                }
                let mut parents = self.parents(nodes).await.map_err(|why| failed(nodes, &why))?;
                // Half attached, it is only in the set of whom it was to have.
                for (name, parent) in nodes.iter().filter_map(|name| Some((name, intended(action, name)?))) {
                    parents.entry(name.clone()).or_insert(parent);
                }
                let standby = self.standby(nodes).await.map_err(|why| failed(nodes, &why))?;
                self.write(fence, nodes, topology::detach(tree, nodes, &parents, &standby)).await
            }
            Step::Offer { relay, available } => {
                let relay = std::slice::from_ref(relay);
                self.write(fence, relay, topology::offer(tree, &relay[0], *available)).await
            }
            Step::Drain { nodes } => {
                self.still(action, nodes).await?;
                self.empty(nodes, true).await
            }
            Step::Undrain { nodes } => self.empty(nodes, false).await,
            Step::AwaitAlive { .. }
            | Step::Join { .. }
            | Step::AwaitReady { .. }
            | Step::AwaitDrained { .. }
            | Step::Announce => Ok(()),
        }
    }

    /// Those of whom the action was decided may still go.
    async fn still(&self, action: &Action, nodes: &[String]) -> Result<(), Untaken> {
        let seen = observe::tree(&self.journal).await.map_err(|why| failed(nodes, &why))?;
        let stay = still::may_not_go(action, &seen).into_iter().filter(|(node, _)| nodes.contains(node));
        let stay: Vec<Failed> = stay.map(|(node, why)| Failed { node, why, again: false }).collect();
        if stay.is_empty() { Ok(()) } else { Err(Untaken::Failed(stay)) }
    }

    async fn write(&self, fence: u64, nodes: &[String], writes: Writes) -> Result<(), Untaken> {
        match self.journal.write_topology(fence, &writes.about, &writes.published).await {
            Ok(()) => Ok(()),
            Err(Unwritten::Fenced) => Err(Untaken::Fenced),
            Err(Unwritten::Redis(why)) => Err(failed(nodes, &why)),
        }
    }

    /// Whose child each is.
    async fn parents(&self, nodes: &[String]) -> Result<BTreeMap<String, String>, String> {
        let mut pipe = redis::pipe();
        for name in nodes {
            pipe.cmd("GET").arg(key::parent(name));
        }
        let parents: Vec<Option<String>> = self.journal.commands().run(&pipe).await?;
        let pairs = nodes.iter().cloned().zip(parents);
        Ok(pairs
            // Somebody may have typed it with a line's end.
            .filter_map(|(name, parent)| Some((name, parent?.trim().to_owned())))
            .filter(|(_, parent)| !parent.is_empty())
            .collect())
    }

    /// Who stands by for each, if anybody does. A user that was made for an older version may not read it: then nobody does.
    async fn standby(&self, nodes: &[String]) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for name in nodes {
            pipe.cmd("SMEMBERS").arg(key::standby(name));
        }
        let sets: Vec<redis::RedisResult<Vec<String>>> = self.journal.commands().run(&pipe).await?;
        let pairs = nodes.iter().cloned().zip(sets.into_iter().map(Result::unwrap_or_default));
        Ok(pairs.filter(|(_, standby)| !standby.is_empty()).collect())
    }

    /// Those of the parents of whom nobody has heard for some seconds, or that are gone.
    async fn gone(&self, parents: &BTreeMap<String, String>) -> Result<BTreeSet<String>, String> {
        if parents.is_empty() {
            return Ok(BTreeSet::new());
        }
        let nodes = observe::nodes(&self.journal).await?;
        let works = |parent: &&String| nodes.iter().any(|node| node.id == **parent && works(node));
        Ok(parents.values().filter(|parent| !works(parent)).cloned().collect())
    }

    /// Who is not there is empty.
    async fn empty(&self, nodes: &[String], is_to: bool) -> Result<(), Untaken> {
        let known = observe::nodes(&self.journal).await.map_err(|why| failed(nodes, &why))?;
        let there: Vec<&Node> = known
            .iter()
            .filter(|node| nodes.contains(&node.id))
            .filter(|node| {
                !matches!(node.state, node::overview::State::Gone | node::overview::State::Unknown)
            })
            .collect();
        let asked = there.into_iter().map(|node| async move {
            let said = self.nodes.empty(node, is_to).await;
            (node.id.clone(), said.map_err(|(why, again)| Trouble { why, again }))
        });
        gathered(asked).await
    }
}

/// Whose child an action was to make a node.
fn intended(action: &Action, name: &str) -> Option<String> {
    match &action.kind {
        Kind::Grow { slot, .. } if slot.relay != name => Some(slot.relay.clone()),
        _ => action.spec(name).map(|spec| spec.parent.clone()),
    }
}

async fn within(asked: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    let late = || Trouble {
        why: format!("the back end does not answer within {} s", PATIENCE.as_secs()),
        again: true,
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
}

/// All of these, some at once.
async fn gathered<F: Future<Output = (String, Result<(), Trouble>)>>(
    asked: impl Iterator<Item = F>,
) -> Result<(), Untaken> {
    let answers: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<Failed> = answers
        .into_iter()
        .filter_map(|(node, answer)| {
            let trouble = answer.err()?;
            Some(Failed { node, why: trouble.line(), again: trouble.again })
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Untaken::Failed(failed)) }
}

/// None of them, for now.
fn failed(nodes: &[String], why: &str) -> Untaken {
    let failed = |node: &String| Failed { node: node.clone(), why: why.to_owned(), again: true };
    Untaken::Failed(nodes.iter().map(failed).collect())
}
