//! What is shown of a tree that a scaler looks after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Progress};
use crate::decide::Decision;
use crate::model::{Ms, Node, Observation};

/// A tree.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TreeView {
    /// Name.
    pub tree_id: String,
    /// This scaler leads.
    pub leads: bool,
    /// Who else does, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// When it was last looked at, ms since 1970; by this scaler, as the next ones are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked: Option<Ms>,
    /// Viewers of all egresses that can be had.
    pub viewers: u64,
    /// Their places.
    pub places: u64,
    /// Egresses that can be had.
    pub egresses: usize,
    /// It is only said what would be done.
    pub dry_run: bool,
    /// Nothing is done but what somebody approves.
    pub manual: bool,
    /// What was decided last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What is being done.
    pub running: Vec<RunningView>,
    /// What waits for somebody's word; in a dry run what would be done.
    pub proposed: Vec<Proposal>,
    /// What keeps it from being looked after, each a sentence.
    pub problems: Vec<String>,
    /// It is looked after, and what is wanted could not be made: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// Something that is being done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningView {
    /// Name of the action.
    pub id: String,
    /// What it does, in words.
    pub what: String,
    /// Why.
    pub reason: String,
    /// When it was decided.
    pub created: Ms,
    /// The step that is being taken, in words.
    pub step: String,
    /// It is being undone.
    pub undoing: bool,
    /// What is waited for, or went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// Something that could be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the action.
    pub id: String,
    /// What it does, in words.
    pub what: String,
    /// Why.
    pub reason: String,
    /// When it was decided.
    pub created: Ms,
}

/// What would be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// What is decided.
    pub decision: Decision,
    /// What follows, besides what is being done or waits for somebody's word.
    pub actions: Vec<Proposal>,
    /// What keeps that from being done, and what has it done, each a sentence.
    #[serde(default)]
    pub held: Vec<String>,
}

impl TreeView {
    /// As the tree was seen.
    pub(super) fn seen(&mut self, seen: &Observation) {
        let serving: Vec<&Node> = seen.nodes.iter().filter(|node| node.serves()).collect();
        self.looked = seen.read;
        self.egresses = serving.len();
        self.viewers = serving.iter().map(|node| u64::from(node.viewers)).sum();
        self.places = serving.iter().map(|node| u64::from(node.max_viewers)).sum();
    }
}

impl RunningView {
    /// Of an action.
    pub(super) fn of(action: &Action, progress: &Progress) -> RunningView {
        RunningView {
            id: action.id.clone(),
            what: action.to_string(),
            reason: action.reason.clone(),
            created: action.created,
            step: progress.step(action).map_or_else(|| "end".to_owned(), |step| step.to_string()),
            undoing: progress.undo.is_some(),
            waits: progress.problem.clone(),
        }
    }
}

impl Proposal {
    /// Of an action.
    pub fn of(action: &Action) -> Proposal {
        Proposal {
            id: action.id.clone(),
            what: action.to_string(),
            reason: action.reason.clone(),
            created: action.created,
        }
    }
}

/// What has been counted since the process began.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Looks.
    pub looks: u64,
    /// Decisions, by verdict.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Actions that ended, by kind and outcome.
    pub ended: BTreeMap<(&'static str, &'static str), u64>,
    /// Steps that did not do what they should, by name of the step.
    pub failed: BTreeMap<String, u64>,
}
