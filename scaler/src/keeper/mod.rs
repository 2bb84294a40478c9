//! Looks after one tree: leads it, or waits to; looks, decides, plans, records, and has it carried out.
//!
//! | file | job |
//! |---|---|
//! | `reign.rs` | a time in which it leads: looks, and what they begin |
//! | `look.rs` | one look, and what follows from it |
//! | `work.rs` | one action, step by step |
//! | `view.rs` | what is shown |
//! | `held.rs` | why what is planned is not done |
//! | `names.rs` | what is counted, and how it is called |

mod held;
mod look;
mod names;
mod reign;
mod view;
mod work;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::action::Action;
use crate::carry::{Carrier, Nodes};
use crate::clock::now;
use crate::config::{Config, Policy};
use crate::journal::{Entry, Journal, Lease};
use crate::observe::{Eye, Prometheus};
use crate::plan::Ids;
use crate::provision::Backend;
use crate::say::Say;
use crate::think::{Thought, think};
pub use names::{counted, kind_name, outcome_name, verdict_name};
pub use view::{Counts, Planned, Proposal, RunningView, TreeView};

/// Until a tree that cannot be read is read again.
const AGAIN: Duration = Duration::from_millis(500);
/// What would be done is thought over again after this.
const PLANNED_FOR: Duration = Duration::from_secs(1);

/// What is said when this program has failed, and for how long another may lead then.
const FAULT: &str = "the scaler itself failed (its log says where): another may lead for a while";
const RESTS: Duration = Duration::from_secs(30);

/// Looks after a tree.
pub struct Keeper {
    shared: Arc<Shared>,
    policy: Policy,
    prometheus: Option<Prometheus>,
    backend: Option<Arc<Backend>>,
    carrier: Option<Arc<Carrier<Backend>>>,
    lease: Arc<Lease>,
    /// What would have been done a moment ago.
    planned: tokio::sync::Mutex<Option<(Instant, Planned)>>,
}

/// What a keeper and the actions that it carries out have in common.
struct Shared {
    /// Name of this scaler.
    node_id: String,
    journal: Arc<Journal>,
    say: Say,
    view: Mutex<TreeView>,
    running: Mutex<BTreeMap<String, RunningView>>,
    counts: Mutex<Counts>,
}

impl Keeper {
    /// Of a tree; call it where there is a runtime. `me`: a name that no other process has.
    pub fn start(
        config: &Config,
        tree: &str,
        me: &str,
        prometheus: Option<Prometheus>,
        backend: Option<Arc<Backend>>,
        say: Say,
    ) -> Arc<Keeper> {
        let journal = Arc::new(Journal::new(&config.redis, tree, me));
        // On a connection of its own, so that nothing that takes long keeps it from being renewed.
        let lease = Lease::keep(Arc::new(Journal::new(&config.redis, tree, me)), config.lease);
        let carrier = backend.clone().map(|backend| {
            let nodes = Nodes::new(config.node_token.clone(), config.node_token_hosts.clone());
            Arc::new(Carrier::new(journal.clone(), backend, nodes))
        });
        let view = TreeView { tree_id: tree.to_owned(), ..TreeView::default() };
        let shared = Shared {
            node_id: config.node_id.clone(),
            journal,
            say,
            view: Mutex::new(view),
            running: Mutex::default(),
            counts: Mutex::default(),
        };
        let shared = Arc::new(shared);
        let keeper = Keeper {
            shared,
            policy: config.policy.clone(),
            prometheus,
            backend,
            carrier,
            lease: Arc::new(lease),
            planned: tokio::sync::Mutex::default(),
        };
        Arc::new(keeper)
    }

    /// Never ends.
    pub async fn keep(self: Arc<Keeper>) -> ! {
        loop {
            let reign = self.lease.led().await;
            tracing::info!("{}: this scaler leads, by fence {}", self.tree(), reign.fence);
            // A fault of this program's in one tree is not to leave it with a leader that does nothing.
            let reigning = AssertUnwindSafe(self.reign(reign.fence)).catch_unwind();
            tokio::select! {
                () = self.lease.lost(reign.fence) => {}
                ended = reigning => if ended.is_err() {
                    tracing::error!("{}: {FAULT}", self.tree());
                    self.lease.rest(FAULT, RESTS);
                    self.give_back(reign.fence).await;
                }
            }
            self.shared.running.lock_ok().clear();
            tracing::warn!("{}: this scaler leads no more", self.tree());
            // Who was fenced off may hold the lease still, by its own clock.
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Gives the lease back, so that another need not wait until it has run out.
    pub async fn leave(&self) {
        if let Some(reign) = self.lease.held().reign {
            self.give_back(reign.fence).await;
        }
    }

    async fn give_back(&self, fence: u64) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.shared.journal.leave(fence)).await;
    }

    /// The tree.
    pub fn tree(&self) -> &str {
        self.shared.journal.tree()
    }

    /// Its journal.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// What would be done now, were it for this scaler. One look for however many ask.
    pub async fn plan(&self) -> Result<Planned, String> {
        let mut last = self.planned.lock().await;
        if let Some((_, planned)) = last.as_ref().filter(|(at, _)| at.elapsed() < PLANNED_FOR) {
            return Ok(planned.clone());
        }
        let planned = self.look_and_plan().await?;
        *last = Some((Instant::now(), planned.clone()));
        Ok(planned)
    }

    /// A look of its own, of which nothing is kept.
    async fn look_and_plan(&self) -> Result<Planned, String> {
        let kept = self.shared.journal.read().await?;
        let settings = self.policy.of(self.tree(), kept.settings.as_deref())?;
        let backend = self.backend.clone();
        let mut eye = Eye::new(self.shared.journal.clone(), self.prometheus.clone(), backend);
        let seen = eye.look().await;
        let running: Vec<Action> = kept.running.into_values().map(|running| running.action).collect();
        let waiting = kept.proposed.into_values();
        let running: Vec<Action> = running.into_iter().chain(waiting).collect();
        let mut ids = Ids::new("planned");
        let Thought { decision, actions, .. } =
            think(&settings, &kept.memory, &seen, &running, &mut ids, now());
        // Another that leads carries it out.
        let is_made = self.carrier.is_some() || self.view().leader.is_some();
        let held = held::by(self.tree(), &settings, kept.settings.as_deref(), is_made);
        Ok(Planned { decision, actions: actions.iter().map(Proposal::of).collect(), held })
    }

    /// Who is told of it.
    pub fn say(&self) -> &Say {
        &self.shared.say
    }

    /// What is shown of it now.
    pub fn view(&self) -> TreeView {
        let held = self.lease.held();
        let mut view = self.shared.view.lock_ok().clone();
        view.leads = held.reign.is_some();
        view.leader = held.other;
        // Whoever is away is missed by all who ask.
        view.problems.extend(held.problem.filter(|problem| !view.problems.contains(problem)));
        match view.leads {
            true => {
                view.running = self.shared.running.lock_ok().values().cloned().collect();
                let undone = view.running.iter().find(|running| running.undoing);
                let why = undone.map(|running| {
                    let waits = running.waits.as_ref().unwrap_or(&running.step);
                    format!("{} has failed and is being undone: {waits}", running.what)
                });
                view.failing = why.or(view.failing);
            }
            // What was seen when it led is no news any more.
            false => {
                view = TreeView {
                    tree_id: view.tree_id,
                    leader: view.leader,
                    problems: view.problems,
                    ..TreeView::default()
                };
            }
        }
        view
    }

    /// What has been counted.
    pub fn counts(&self) -> Counts {
        self.shared.counts.lock_ok().clone()
    }
}

impl Shared {
    fn entry(&self, fence: u64, action: &str, what: &str, text: &str) -> Entry {
        Entry {
            at: now(),
            fence,
            by: self.node_id.clone(),
            action: action.to_owned(),
            what: what.to_owned(),
            text: text.to_owned(),
            data: None,
        }
    }
}

/// A lock that whoever panicked with it does not keep from the others.
trait LockOk<T> {
    fn lock_ok(&self) -> MutexGuard<'_, T>;
}

impl<T> LockOk<T> for Mutex<T> {
    fn lock_ok(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
