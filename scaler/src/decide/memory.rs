//! What one look has to know of those before it. It is kept in Redis, so that whoever leads next goes on with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::more::Cause;
use super::trend::Trend;
use crate::action::{Action, Kind};
use crate::model::Ms;

/// After the first failure nothing is made for so long, after each further one for twice as long.
const FIRST_PAUSE: Ms = 5_000;
/// But never for longer.
const LONGEST_PAUSE: Ms = 300_000;

/// What is remembered of a tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Viewers at the last looks.
    pub(super) trend: Trend,
    /// When the tree was last known.
    pub(super) looked: Option<Ms>,
    /// Egresses that served then.
    pub(super) serving: BTreeSet<String>,
    /// Since when most of them have been missing.
    pub(super) lost: Option<Ms>,
    /// Places of an egress, as the last ones had them.
    pub(super) places: Option<u32>,
    /// When there were last more or fewer made, or being made.
    pub(super) changed: Option<Ms>,
    /// Since when fewer have been enough, without a break.
    pub(super) fewer: Option<Ms>,
    /// For what more were made, and what was known then; until it is no cause any more.
    pub(super) asked: BTreeMap<Cause, Asked>,
    /// What the last look asked for, until it is known whether any of it could be planned; and the overloaded ones of them.
    pub(super) asking: BTreeMap<Cause, Asked>,
    pub(super) asking_for: BTreeSet<String>,
    /// Overloaded egresses for each of which one more has been made, and when they were last seen so.
    pub(super) overloaded: BTreeMap<String, Ms>,
    /// Nodes of the tree that the back end had at some time.
    pub(super) made: BTreeSet<String>,
    /// Since when machines have had no node, and nodes no machine.
    pub(super) dead: BTreeMap<String, Ms>,
    /// Since when egresses of the back end have been of no use.
    pub(super) useless: BTreeMap<String, Ms>,
    /// Actions in a row that were to make something and failed, and when the last one did.
    failures: u32,
    failed: Option<Ms>,
}

/// What was known when more were made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    /// When; of a figure, when the last of them came.
    pub at: Ms,
    /// The figure.
    pub value: f64,
    /// Viewers.
    pub viewers: u32,
}

impl Memory {
    /// This follows from what was decided. What was asked for, and could not be planned since there is no place for it yet, is asked for again
    /// at the next look.
    pub fn planned(&mut self, actions: &[Action], now: Ms) {
        let (asking, names) = (std::mem::take(&mut self.asking), std::mem::take(&mut self.asking_for));
        if asking.is_empty() || !actions.iter().any(|action| matches!(action.kind, Kind::Grow { .. })) {
            return;
        }
        self.asked.extend(asking);
        self.overloaded.extend(names.into_iter().map(|name| (name, now)));
        self.changed = Some(now);
    }

    /// An action has ended: well, or failed and undone. To be said of each once: what fails again and again is tried ever more seldom.
    pub fn ended(&mut self, action: &Action, well: bool, now: Ms) {
        if !action.kind.makes() {
            return;
        }
        if well {
            (self.failures, self.failed) = (0, None);
            return;
        }
        (self.failures, self.failed) = (self.failures.saturating_add(1), Some(now));
        // Nothing has come of what was asked for: it is wanted still, and no figure can have changed by it.
        self.asked.clear();
        self.overloaded.clear();
    }

    /// How often in a row making something has failed, and for how many ms nothing is made because of it.
    pub(super) fn pause(&self, now: Ms) -> Option<(u32, Ms)> {
        let failed = self.failed?;
        let longer = 1_u64 << self.failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE.saturating_mul(longer).min(LONGEST_PAUSE);
        let left = failed.saturating_add(pause).checked_sub(now).filter(|left| (1..=pause).contains(left))?;
        Some((self.failures, left))
    }
}

/// Names in a map from name to "since": those that are so now keep their time or begin, others are forgotten.
pub(super) fn keep_since<'a>(
    since: &mut BTreeMap<String, Ms>,
    are: impl IntoIterator<Item = &'a str>,
    now: Ms,
) {
    let before = std::mem::take(since);
    *since = are
        .into_iter()
        .map(|name| (name.to_owned(), before.get(name).copied().unwrap_or(now).min(now)))
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Urgency;

    fn making() -> Action {
        let kind = Kind::Grow {
            slot: crate::action::SlotUse { relay: "r".to_owned(), start: None },
            egresses: Vec::new(),
        };
        Action { id: "a".to_owned(), kind, reason: String::new(), urgency: Urgency::High, created: 0 }
    }

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_seldom() {
        let mut memory = Memory::default();
        assert_eq!(memory.pause(1_000), None);
        let mut pauses = Vec::new();
        for n in 1..=8 {
            memory.ended(&making(), false, n * 1_000_000);
            let (failures, pause) = memory.pause(n * 1_000_000).unwrap();
            assert_eq!(u64::from(failures), n);
            assert_eq!(memory.pause(n * 1_000_000 + pause), None);
            pauses.push(pause / 1_000);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        memory.ended(&Action { kind: Kind::Clear { nodes: Vec::new() }, ..making() }, true, 8_000_001);
        assert!(memory.pause(8_000_002).is_some(), "what takes away says nothing of what makes");
        memory.ended(&making(), true, 8_000_001);
        assert_eq!(memory.pause(8_000_002), None);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_it_for_good() {
        let mut memory = Memory::default();
        memory.ended(&making(), false, 1_000_000_000);
        assert_eq!(memory.pause(1_000), None);
    }
}
