//! One look at a tree, and what follows from it.

use super::reign::{Reign, begun};
use super::view::Proposal;
use super::{Keeper, LockOk, verdict_name};
use crate::action::{Action, Kind, Urgency};
use crate::books::Books;
use crate::clock::now;
use crate::decide::{Decision, Verdict};
use crate::failpoint;
use crate::journal::{Batch, Kept, Running, Unwritten};
use crate::model::{Ms, Observation};
use crate::plan::{Ids, Recall, recall};
use crate::settings::Settings;
use crate::think::{Thought, think};

/// For so long a proposal waits for somebody's word, ms.
const PROPOSED_FOR: Ms = 15 * 60 * 1000;

/// What is to be done about an action that cannot be read.
pub(super) const UNREADABLE: &str =
    "an older or newer scaler wrote it, which has to finish it, or somebody else: then HDEL it";

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// What was to be done is recorded, and begun.
    All,
    /// It could not be recorded; the next look tries again.
    Nothing,
    /// Somebody else leads.
    Fenced,
}

/// What a look has come to, before anything is recorded.
struct Conclusion {
    begin: Vec<Running>,
    propose: Vec<Action>,
    would: Vec<Action>,
    /// Proposals that wait no more, and why.
    settled: Vec<(String, &'static str)>,
    /// Proposals that wait still.
    waiting: Vec<Action>,
}

impl Keeper {
    pub(super) async fn look(&self, reign: &mut Reign) -> Begun {
        let kept = match self.shared.journal.read().await {
            Ok(kept) => kept,
            Err(why) => {
                self.shared.view.lock_ok().problems = vec![why];
                return Begun::Nothing;
            }
        };
        let mut problems = Vec::new();
        let makes_nothing = self.carrier.is_none();
        match self.policy.of(self.tree(), kept.settings.as_deref()) {
            Ok(settings) => {
                reign.settings = Settings { dry_run: settings.dry_run || makes_nothing, ..settings };
            }
            Err(why) => problems.push(format!(
                "scaler:settings:{{{}}} in Redis is not obeyed: {why}; what held before holds",
                self.tree()
            )),
        }
        let seen = reign.eye.look().await;
        problems.extend(seen.problem.clone());
        problems.extend(
            reign.eye.unlisted().map(|why| format!("the back end does not say what there is: {why}")),
        );
        if makes_nothing && !kept.running.is_empty() {
            let names: Vec<&str> = kept.running.keys().map(String::as_str).collect();
            let names = names.join(", ");
            problems
                .push(format!("{names} cannot be gone on with: no provision file was named (--provision)"));
        }
        problems.extend(kept.unreadable.iter().map(|why| format!("{why}; {UNREADABLE}")));
        reign.looks += 1;

        let now = now();
        let mut conclusion = self.settle(&kept, &seen, reign, now);
        let mut running: Vec<Action> = reign.running.values().cloned().collect();
        running.extend(conclusion.begin.iter().map(|running| running.action.clone()));
        running.extend(conclusion.waiting.iter().cloned());
        let mut ids = Ids::new(stem(reign.fence, reign.looks));
        let Thought { decision, actions, memory } =
            think(&reign.settings, &reign.memory, &seen, &running, &mut ids, now);
        // Nothing is done by itself where somebody has to be asked.
        let Recall { actions, back } = match reign.settings.manual || reign.settings.dry_run {
            true => Recall { actions, back: Vec::new() },
            false => {
                let running = kept.running.values().map(|running| (&running.action, &running.progress));
                recall(&decision, &seen, running, actions)
            }
        };
        sort(&reign.settings, actions, &mut conclusion);

        let batch = self.batch(reign.fence, &conclusion).memory(&memory);
        let written = self.shared.journal.write(reign.fence, &batch).await;
        failpoint::reach();
        match written {
            Ok(()) => {}
            Err(Unwritten::Fenced) => return Begun::Fenced,
            Err(Unwritten::Redis(why)) => {
                problems.push(why);
                self.shared.view.lock_ok().problems = problems;
                return Begun::Nothing;
            }
        }
        reign.memory = memory;
        self.show(reign, &seen, &decision, &conclusion, problems);
        for call in back.iter().filter_map(|id| reign.calls.get(id)) {
            *call.lock_ok() = Some(format!("more are wanted: {}", decision.reason));
        }
        for action in &conclusion.propose {
            tracing::info!("{}: {action} is proposed: {}", action.id, action.reason);
            self.shared.say.proposed(action);
        }
        for running in conclusion.begin {
            tracing::info!("{}: {} is begun: {}", running.action.id, running.action, running.action.reason);
            self.work(reign, running);
        }
        Begun::All
    }

    /// What became of the proposals. What somebody has approved is done, if it is still to be: settings may have changed meanwhile.
    fn settle(&self, kept: &Kept, seen: &Observation, reign: &Reign, now: Ms) -> Conclusion {
        let Settings { dry_run, manual, limits, .. } = &reign.settings;
        let nobody_is_asked = if *dry_run {
            Some("nothing is done in a dry run")
        } else if !manual {
            Some("nobody has to be asked any more")
        } else {
            None
        };
        let mut running: Vec<Action> = reign.running.values().cloned().collect();
        let mut conclusion = Conclusion {
            begin: Vec::new(),
            propose: Vec::new(),
            would: Vec::new(),
            settled: Vec::new(),
            waiting: Vec::new(),
        };
        for (id, action) in &kept.proposed {
            if let Some(why) = nobody_is_asked {
                conclusion.settled.push((id.clone(), why));
                continue;
            }
            match kept.approvals.get(id) {
                Some(true) => {
                    running.push(action.clone());
                    let grows = matches!(action.kind, Kind::Grow { .. });
                    if grows && Books::new(seen, &running).existing() > limits.maximum {
                        running.pop();
                        conclusion
                            .settled
                            .push((id.clone(), "there would be more egresses than limits.maximum"));
                        continue;
                    }
                    conclusion.settled.push((id.clone(), ""));
                    conclusion.begin.push(begun(action));
                }
                Some(false) => conclusion.settled.push((id.clone(), "somebody said no")),
                None if now.abs_diff(action.created) > PROPOSED_FOR => {
                    conclusion.settled.push((id.clone(), "nobody has spoken for a quarter of an hour"));
                }
                None => conclusion.waiting.push(action.clone()),
            }
        }
        // Of what nobody proposes any more.
        let others = kept.approvals.keys().filter(|id| !kept.proposed.contains_key(*id));
        conclusion.settled.extend(others.map(|id| (id.clone(), "")));
        conclusion
    }

    fn batch(&self, fence: u64, conclusion: &Conclusion) -> Batch {
        let mut batch = Batch::of(self.tree());
        for (id, why) in &conclusion.settled {
            batch = batch.settled(id);
            if !why.is_empty() {
                batch = batch.entry(&self.shared.entry(fence, id, "refused", why));
            }
        }
        let entry = |action: &Action, what: &str| {
            let text = format!("{action}: {}", action.reason);
            let mut entry = self.shared.entry(fence, &action.id, what, &text);
            entry.data = Some(action.clone());
            entry
        };
        for action in &conclusion.propose {
            batch = batch.proposed(action).entry(&entry(action, "proposed"));
        }
        for running in &conclusion.begin {
            batch = batch.running(running).entry(&entry(&running.action, "begun"));
        }
        batch
    }

    fn show(
        &self,
        reign: &Reign,
        seen: &Observation,
        decision: &Decision,
        conclusion: &Conclusion,
        problems: Vec<String>,
    ) {
        let mut counts = self.shared.counts.lock_ok();
        counts.looks += 1;
        *counts.decisions.entry(verdict_name(decision.verdict)).or_default() += 1;
        drop(counts);
        let mut view = self.shared.view.lock_ok();
        let is_news = view.decision.as_ref().is_none_or(|last| {
            (last.verdict, last.count, &last.warnings)
                != (decision.verdict, decision.count, &decision.warnings)
        });
        if is_news {
            let verdict = verdict_name(decision.verdict);
            tracing::info!("{}: {verdict} {}: {}", self.tree(), decision.count, decision.reason);
            if decision.urgency == Urgency::Critical && decision.verdict == Verdict::ScaleOut {
                self.shared.say.critical(decision);
            }
            for warning in &decision.warnings {
                tracing::warn!("{}: {warning}", self.tree());
            }
        }
        view.seen(seen);
        view.dry_run = reign.settings.dry_run;
        view.manual = reign.settings.manual;
        view.decision = Some(decision.clone());
        let proposed = conclusion.waiting.iter().chain(&conclusion.propose).chain(&conclusion.would);
        view.proposed = proposed.map(Proposal::of).collect();
        view.problems = problems;
        let makes = reign.running.values().any(|action| action.kind.makes());
        if decision.paused {
            view.failing
                .get_or_insert_with(|| "making nodes has failed; `scaler history` says why".to_owned());
        } else if decision.verdict == Verdict::Noop && !makes {
            // What could not be made is wanted no more.
            view.failing = None;
        }
    }
}

fn sort(settings: &Settings, planned: Vec<Action>, conclusion: &mut Conclusion) {
    if settings.dry_run {
        conclusion.would = planned;
    } else if settings.manual {
        conclusion.propose = planned;
    } else {
        conclusion.begin.extend(planned.iter().map(begun));
    }
}

/// What names of new nodes begin with: never used before, since the fence is not.
fn stem(fence: u64, look: u64) -> String {
    format!("{}{}", base36(fence), base36(look))
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = char::from_digit((number % 36) as u32, 36).unwrap_or('0');
        digits.push(digit);
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!((base36(0), base36(35), base36(36)), ("0".to_owned(), "z".to_owned(), "10".to_owned()));
        assert_eq!(stem(1_700_000_000_000, 1), "loyw3v281");
    }
}
