//! A time in which this scaler leads: what is known in it, and the loop of looks and of what they begin.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use super::look::{Begun, UNREADABLE};
use super::work::{Call, Work};
use super::{AGAIN, Keeper, LockOk, kind_name, outcome_name};
use crate::action::{Action, Outcome, Patience, Progress};
use crate::clock::now;
use crate::decide::Memory;
use crate::journal::{Kept, Running};
use crate::observe::Eye;
use crate::provision::Backend;
use crate::settings::Settings;

/// What is known in a time in which we lead.
pub(super) struct Reign {
    pub fence: u64,
    pub eye: Eye<Backend>,
    pub memory: Memory,
    pub settings: Settings,
    /// Actions that are carried out, by name.
    pub running: BTreeMap<String, Action>,
    /// How each is called back.
    pub calls: BTreeMap<String, Call>,
    pub works: JoinSet<Option<(Action, Outcome)>>,
    pub looks: u64,
}

impl Keeper {
    /// Leads until the lease is lost.
    pub(super) async fn reign(&self, fence: u64) {
        let Kept { running, memory, unreadable, settings, .. } = self.kept().await;
        for problem in unreadable {
            tracing::error!("{}: {problem}; {}", self.tree(), UNREADABLE);
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
            calls: BTreeMap::new(),
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

    pub(super) fn work(&self, reign: &mut Reign, running: Running) {
        let Some(carrier) = self.carrier.clone() else { return };
        let call = Call::default();
        reign.calls.insert(running.action.id.clone(), call.clone());
        let work = Work {
            call,
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
        reign.calls.remove(&action.id);
        let well = !matches!(outcome, Outcome::Undone { .. });
        reign.memory.ended(action, well, now());
        if action.kind.makes() {
            let failing = match outcome {
                Outcome::Undone { why } => Some(format!(
                    "making nodes has failed: {why}; `scaler history` has its steps, and it is tried again, ever more seldom"
                )),
                Outcome::Done | Outcome::Partly { .. } | Outcome::CalledBack { .. } => None,
            };
            self.shared.view.lock_ok().failing = failing;
        }
        let key = (kind_name(&action.kind), outcome_name(outcome));
        *self.shared.counts.lock_ok().ended.entry(key).or_default() += 1;
    }
}

/// Of an action that begins now.
pub(super) fn begun(action: &Action) -> Running {
    Running { action: action.clone(), progress: Progress::begun(now()) }
}
