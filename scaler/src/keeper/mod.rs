//! Looks after one tree: leads it, or waits to; looks, decides, plans, records, and has it carried out.
//!
//! | file | job |
//! |---|---|
//! | `look.rs` | one look, and what follows from it |
//! | `work.rs` | one action, step by step |
//! | `view.rs` | what is shown |

mod look;
mod view;
mod work;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::action::{Action, Kind, Outcome, Patience, Progress};
use crate::carry::Carrier;
use crate::clock::now;
use crate::config::{Config, Policy};
use crate::decide::Memory;
use crate::journal::{Entry, Journal, Kept, Lease, Running};
use crate::observe::{Eye, Prometheus};
use crate::plan::Ids;
use crate::provision::Backend;
use crate::say::Say;
use crate::settings::Settings;
use crate::think::{Thought, think};
use look::Begun;
pub(crate) use look::verdict_name;
pub use view::{Counts, Planned, Proposal, RunningView, TreeView};
use work::Work;

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

/// What is known in a time in which we lead.
struct Reign {
    fence: u64,
    eye: Eye<Backend>,
    memory: Memory,
    settings: Settings,
    /// Actions that are carried out, by name.
    running: BTreeMap<String, Action>,
    works: JoinSet<Option<(Action, Outcome)>>,
    looks: u64,
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
        let carrier = backend
            .clone()
            .map(|backend| Arc::new(Carrier::new(journal.clone(), backend, config.node_token.clone())));
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
        Ok(Planned { decision, actions: actions.iter().map(Proposal::of).collect() })
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
        view.problems.extend(held.problem);
        match view.leads {
            true => view.running = self.shared.running.lock_ok().values().cloned().collect(),
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

    /// Leads until the lease is lost.
    async fn reign(&self, fence: u64) {
        let Kept { running, memory, unreadable, settings, .. } = self.kept().await;
        for problem in unreadable {
            tracing::error!("{}: {problem}; {}", self.tree(), look::UNREADABLE);
        }
        let mut reign = Reign {
            fence,
            eye: Eye::new(self.shared.journal.clone(), self.prometheus.clone(), self.backend.clone()),
            memory,
            settings: self
                .policy
                .of(self.tree(), settings.as_deref())
                .unwrap_or_else(|_| self.own_settings()),
            running: BTreeMap::new(),
            works: JoinSet::new(),
            looks: 0,
        };
        for (_, running) in running {
            tracing::info!("{}: goes on with {}", running.action.id, running.action);
            self.work(&mut reign, running);
        }
        let mut next = tokio::time::Instant::now();
        loop {
            tokio::select! {
                Some(ended) = reign.works.join_next() => match ended {
                    Ok(Some((action, outcome))) => {
                        self.ended(&mut reign, &action, &outcome);
                        // What can be done now need not wait.
                        next = tokio::time::Instant::now();
                    }
                    Ok(None) => return,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(error) => tracing::error!("{}: an action failed: {error}", self.tree()),
                    },
                },
                () = tokio::time::sleep_until(next) => {
                    if self.look(&mut reign).await == Begun::Fenced {
                        return;
                    }
                    next = tokio::time::Instant::now() + Duration::from_secs_f64(reign.settings.pace.look);
                }
            }
        }
    }

    /// What the file says, which was checked when it was read.
    fn own_settings(&self) -> Settings {
        self.policy.of(self.tree(), None).unwrap_or_default()
    }

    /// What is kept, as soon as Redis says.
    async fn kept(&self) -> Kept {
        loop {
            match self.shared.journal.read().await {
                Ok(kept) => return kept,
                Err(why) => self.shared.view.lock_ok().problems = vec![why],
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn work(&self, reign: &mut Reign, running: Running) {
        let Some(carrier) = self.carrier.clone() else { return };
        let work = Work {
            shared: self.shared.clone(),
            carrier,
            lease: self.lease.clone(),
            fence: reign.fence,
            patience: Patience::of_settings(&reign.settings),
        };
        reign.running.insert(running.action.id.clone(), running.action.clone());
        reign.works.spawn(work.carry_out(running));
    }

    fn ended(&self, reign: &mut Reign, action: &Action, outcome: &Outcome) {
        reign.running.remove(&action.id);
        let well = !matches!(outcome, Outcome::Undone { .. });
        reign.memory.ended(action, well, now());
        let key = (kind_name(&action.kind), outcome_name(outcome));
        *self.shared.counts.lock_ok().ended.entry(key).or_default() += 1;
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

/// What can be counted, for metrics that have each of them from the beginning: a first failure is a rise from 0, which Prometheus does not
/// see in a series that begins with 1.
pub mod counted {
    /// Kinds of actions, as [`kind_name`](super::kind_name) has them.
    pub const KINDS: [&str; 4] = ["slot", "grow", "shrink", "clear"];
    /// How they end, as [`outcome_name`](super::outcome_name) has it.
    pub const OUTCOMES: [&str; 3] = ["done", "partly done", "undone"];
    /// Steps that can fail. Those that wait for something do not: the nodes that it is about are given up.
    pub const STEPS: [&str; 7] = ["make", "attach", "offer", "drain", "undrain", "detach", "destroy"];
}

/// As metrics have it.
pub fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Slot { .. } => "slot",
        Kind::Grow { .. } => "grow",
        Kind::Shrink { .. } => "shrink",
        Kind::Clear { .. } => "clear",
    }
}

/// As metrics have it.
pub fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Partly { .. } => "partly done",
        Outcome::Undone { .. } => "undone",
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

/// Of an action that begins now.
fn begun(action: &Action) -> Running {
    Running { action: action.clone(), progress: Progress::begun(now()) }
}
