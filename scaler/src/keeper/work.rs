//! Carries one action out to its end, and records every step. Whoever loses the lease stops at once, and the next one goes on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::view::RunningView;
use super::{LockOk, Shared, outcome_name};
use crate::action::{Action, Next, Outcome, Patience, Progress, Step, next};
use crate::carry::{Carrier, Untaken};
use crate::clock::now;
use crate::failpoint;
use crate::journal::{Batch, Entry, Lease, Running, Unwritten};
use crate::observe;
use crate::provision::Provisioner;

/// How often what is waited for is looked at.
const POLL: Duration = Duration::from_millis(400);
/// Until Redis is asked again to record something.
const AGAIN: Duration = Duration::from_millis(300);

/// What an action needs to be carried out.
pub(super) struct Work<P> {
    pub shared: Arc<Shared>,
    pub carrier: Arc<Carrier<P>>,
    pub lease: Arc<Lease>,
    pub fence: u64,
    pub patience: Patience,
    /// Why it is called back, once it is.
    pub call: Call,
}

/// Says to an action that what it takes away is wanted again, and why.
pub(super) type Call = Arc<Mutex<Option<String>>>;

/// Somebody else leads.
struct Lost;

impl<P: Provisioner + Send + Sync + 'static> Work<P> {
    /// Gives how it ended; `None`: this scaler leads no more.
    pub async fn carry_out(self, running: Running) -> Option<(Action, Outcome)> {
        let Running { action, mut progress } = running;
        let ended = self.steps(&action, &mut progress).await;
        self.shared.running.lock_ok().remove(&action.id);
        ended.ok().map(|outcome| (action, outcome))
    }

    async fn steps(&self, action: &Action, progress: &mut Progress) -> Result<Outcome, Lost> {
        loop {
            progress.not_ahead(now());
            let call = self.call.lock_ok().take();
            if let Some(why) = call.filter(|why| progress.call_back(action, why, now())) {
                self.record(action, progress, "given up", &format!("called back: {why}")).await?;
            }
            self.show(action, progress, None);
            let facts = self.carrier.facts(progress.step(action).as_ref(), self.patience).await;
            match next(action, progress, &facts, now()) {
                Next::Take(step) => {
                    failpoint::reach();
                    let failed = match self.take(action, progress, &step).await {
                        Ok(()) => Vec::new(),
                        Err(Untaken::Failed(failed)) => failed,
                        Err(Untaken::Fenced) => return Err(Lost),
                    };
                    failpoint::reach();
                    let text = match failed.as_slice() {
                        [] => step.to_string(),
                        [first, ..] => {
                            *self.shared.counts.lock_ok().failed.entry(name_of(&step)).or_default() += 1;
                            tracing::warn!("{}: {step}: {}: {}", action.id, first.node, first.why);
                            format!(
                                "{step}: failed for {} of its nodes; {}: {}",
                                failed.len(),
                                first.node,
                                first.why
                            )
                        }
                    };
                    let given_up = progress.given_up.len();
                    progress.took(action, &step, failed, &facts.patience, now());
                    let what = if progress.given_up.len() > given_up { "given up" } else { "step" };
                    self.record(action, progress, what, &text).await?;
                }
                Next::Reached(step) => {
                    progress.reached(now());
                    match step.nodes().is_empty() {
                        true => self.write(&self.batch(action, progress)).await?,
                        false => self.record(action, progress, "step", &step.to_string()).await?,
                    }
                }
                Next::Wait { until, why } => {
                    self.show(action, progress, Some(why));
                    let left = Duration::from_millis(until.saturating_sub(now()).max(10));
                    tokio::time::sleep(left.min(POLL)).await;
                }
                Next::GiveUp(nodes) => {
                    let text: Vec<String> = nodes.iter().map(|(node, why)| format!("{node} {why}")).collect();
                    tracing::warn!("{}: {}", action.id, text.join("; "));
                    progress.give_up(action, nodes, now());
                    self.record(action, progress, "given up", &text.join("; ")).await?;
                }
                Next::Done(outcome) => {
                    failpoint::reach();
                    let text = format!("{action}: {}", words(&outcome));
                    let entry = self.entry(action, "ended", &text);
                    let batch = Batch::of(self.shared.journal.tree()).ended(&action.id).entry(&entry);
                    self.write(&batch).await?;
                    tracing::info!("{}: {text}", action.id);
                    self.shared.say.ended(action, &outcome);
                    return Ok(outcome);
                }
            }
        }
    }

    async fn take(&self, action: &Action, progress: &Progress, step: &Step) -> Result<(), Untaken> {
        // What a back end is told cannot be fenced: who may have lost the lease tells it nothing.
        if !self.lease.is(self.fence) {
            return Err(Untaken::Fenced);
        }
        if *step == Step::Announce {
            // What came of nothing is told when it ends.
            if matches!(progress.outcome(action), Outcome::Done | Outcome::Partly { .. }) {
                let nodes = observe::nodes(&self.shared.journal).await.unwrap_or_default();
                self.shared.say.done(action, progress, &nodes);
            }
            return Ok(());
        }
        self.carrier.take(action, step, self.fence).await
    }

    fn batch(&self, action: &Action, progress: &Progress) -> Batch {
        let running = Running { action: action.clone(), progress: progress.clone() };
        Batch::of(self.shared.journal.tree()).running(&running)
    }

    async fn record(&self, action: &Action, progress: &Progress, what: &str, text: &str) -> Result<(), Lost> {
        tracing::info!("{}: {text}", action.id);
        let batch = self.batch(action, progress).entry(&self.entry(action, what, text));
        self.write(&batch).await
    }

    fn entry(&self, action: &Action, what: &str, text: &str) -> Entry {
        self.shared.entry(self.fence, &action.id, what, text)
    }

    /// Until Redis has it, or the lease is lost.
    async fn write(&self, batch: &Batch) -> Result<(), Lost> {
        let mut said = None;
        loop {
            match self.shared.journal.write(self.fence, batch).await {
                Ok(()) => return Ok(()),
                Err(Unwritten::Fenced) => return Err(Lost),
                Err(Unwritten::Redis(why)) if said.as_ref() == Some(&why) => {}
                Err(Unwritten::Redis(why)) => {
                    tracing::warn!("{}: not recorded yet, and waits: {why}", self.shared.journal.tree());
                    said = Some(why);
                }
            }
            if !self.lease.is(self.fence) {
                return Err(Lost);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn show(&self, action: &Action, progress: &Progress, waits: Option<String>) {
        let mut view = RunningView::of(action, progress);
        view.waits = waits.or(view.waits);
        self.shared.running.lock_ok().insert(action.id.clone(), view);
    }
}

/// How it ended, for people.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Partly { without } => {
            let without: Vec<String> = without.iter().map(|(node, why)| format!("{node} ({why})")).collect();
            format!("{}, without {}", outcome_name(outcome), without.join(", "))
        }
        Outcome::Undone { why } => format!("undone: {why}"),
        Outcome::CalledBack { why } => format!("called back: {why}"),
    }
}

fn name_of(step: &Step) -> String {
    let value = serde_json::to_value(step).unwrap_or_default();
    value["step"].as_str().unwrap_or_default().to_owned()
}
