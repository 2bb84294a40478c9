//! Which steps an action has, in their order, and what takes each of them back.

use std::collections::BTreeMap;
use std::fmt;

use super::{Action, Kind, SlotUse, Step};
use crate::provision::Spec;
use crate::words::counted;

/// All steps of an action. Their number does not change while it is carried out: `given_up` only leaves nodes out of the steps that
/// come, and puts them into those that clean up. A step about nobody is passed over.
pub fn steps(action: &Action, given_up: &BTreeMap<String, String>) -> Vec<Step> {
    let left_out: Vec<String> = given_up.keys().cloned().collect();
    let kept = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| !given_up.contains_key(*name)).cloned().collect()
    };
    match &action.kind {
        Kind::Slot { relay, warm: false } => {
            vec![Step::Make { nodes: without(std::slice::from_ref(relay), given_up), start: false }]
        }
        Kind::Slot { relay, warm: true } => slot(relay),
        Kind::Grow { slot: SlotUse { relay, start }, egresses } => {
            let egresses = without(egresses, given_up);
            let names: Vec<String> = egresses.iter().map(|spec| spec.name.clone()).collect();
            let mut steps = start.as_ref().map(slot).unwrap_or_default();
            steps.extend([
                Step::Make { nodes: egresses, start: true },
                Step::Join { parent: relay.clone(), nodes: names.clone() },
                Step::AwaitReady { nodes: names },
                Step::Detach { nodes: left_out.clone() },
                Step::Destroy { nodes: left_out },
                Step::Announce,
            ]);
            steps
        }
        Kind::Shrink { nodes } => vec![
            Step::Drain { nodes: kept(nodes) },
            Step::AwaitDrained { nodes: kept(nodes) },
            Step::Undrain { nodes: left_out },
            Step::Detach { nodes: kept(nodes) },
            Step::Destroy { nodes: kept(nodes) },
            Step::Announce,
        ],
        Kind::Clear { nodes } => {
            vec![Step::Detach { nodes: kept(nodes) }, Step::Destroy { nodes: kept(nodes) }]
        }
    }
}

/// A relay that runs, has its place and may be used.
fn slot(relay: &Spec) -> Vec<Step> {
    let nodes = vec![relay.name.clone()];
    vec![
        Step::Make { nodes: vec![relay.clone()], start: true },
        Step::AwaitAlive { nodes: nodes.clone() },
        Step::Attach { parent: relay.parent.clone(), nodes: nodes.clone() },
        Step::AwaitReady { nodes },
        Step::Offer { relay: relay.name.clone(), available: true },
    ]
}

/// What takes back the first steps, up to the one that was being taken, in reverse. A slot that could be offered is whole and stays:
/// others may be below it by now.
pub(super) fn undoing(action: &Action, reached: usize) -> Vec<Step> {
    // Nodes that were given up are taken back with the others.
    let all = steps(action, &BTreeMap::new());
    let is_offered = |step: &Step| matches!(step, Step::Offer { available: true, .. });
    let whole = all.iter().position(is_offered).filter(|offered| reached > *offered).map_or(0, |at| at + 1);
    let taken = all.into_iter().take(reached + 1).skip(whole);
    taken.rev().filter_map(|step| step.taken_back()).collect()
}

fn without(specs: &[Spec], given_up: &BTreeMap<String, String>) -> Vec<Spec> {
    specs.iter().filter(|spec| !given_up.contains_key(&spec.name)).cloned().collect()
}

impl Step {
    /// Whom it is about.
    pub fn nodes(&self) -> Vec<&str> {
        match self {
            Step::Make { nodes, .. } => nodes.iter().map(|spec| spec.name.as_str()).collect(),
            Step::AwaitAlive { nodes }
            | Step::Join { nodes, .. }
            | Step::Attach { nodes, .. }
            | Step::AwaitReady { nodes }
            | Step::Drain { nodes }
            | Step::AwaitDrained { nodes }
            | Step::Undrain { nodes }
            | Step::Detach { nodes }
            | Step::Destroy { nodes } => nodes.iter().map(String::as_str).collect(),
            Step::Offer { relay, .. } => vec![relay],
            Step::Announce => Vec::new(),
        }
    }

    /// There is nobody whom it is about.
    pub(super) fn is_empty(&self) -> bool {
        *self != Step::Announce && self.nodes().is_empty()
    }

    /// What undoes it, whether it was taken, half taken or not taken.
    fn taken_back(&self) -> Option<Step> {
        match self {
            Step::Make { nodes, .. } => {
                Some(Step::Destroy { nodes: nodes.iter().map(|spec| spec.name.clone()).collect() })
            }
            Step::Join { nodes, .. } | Step::Attach { nodes, .. } => {
                Some(Step::Detach { nodes: nodes.clone() })
            }
            Step::Offer { relay, available } => {
                Some(Step::Offer { relay: relay.clone(), available: !available })
            }
            Step::Drain { nodes } => Some(Step::Undrain { nodes: nodes.clone() }),
            Step::AwaitAlive { .. }
            | Step::AwaitReady { .. }
            | Step::AwaitDrained { .. }
            | Step::Undrain { .. }
            | Step::Detach { .. }
            | Step::Destroy { .. }
            | Step::Announce => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.nodes().join(", ");
        match self {
            Step::Make { start: true, .. } => write!(f, "make and start {names}"),
            Step::Make { start: false, .. } => write!(f, "make {names}, and leave it cold"),
            Step::AwaitAlive { .. } => write!(f, "wait until {names} registered"),
            Step::Join { parent, .. } => {
                write!(f, "attach each of {names} below {parent} once it has registered")
            }
            Step::Attach { parent, .. } => write!(f, "attach {names} below {parent}"),
            Step::AwaitReady { .. } => write!(f, "wait until {names} can do the job"),
            Step::Offer { available: true, .. } => write!(f, "offer {names} as a slot"),
            Step::Offer { available: false, .. } => write!(f, "offer {names} no more"),
            Step::Drain { .. } => write!(f, "drain {names}"),
            Step::AwaitDrained { .. } => write!(f, "wait until {names} are empty"),
            Step::Undrain { .. } => write!(f, "let {names} serve as before"),
            Step::Detach { .. } => write!(f, "detach {names}"),
            Step::Destroy { .. } => write!(f, "take {names} away"),
            Step::Announce => f.write_str("say what was done"),
        }
    }
}

impl Action {
    /// The nodes that it makes, or takes away.
    pub fn nodes(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Slot { relay, .. } => vec![&relay.name],
            Kind::Grow { slot, egresses } => {
                let started = slot.start.iter().map(|spec| spec.name.as_str());
                started.chain(egresses.iter().map(|spec| spec.name.as_str())).collect()
            }
            Kind::Shrink { nodes } | Kind::Clear { nodes } => nodes.iter().map(String::as_str).collect(),
        }
    }

    /// Whether it can be one of this tree's, kept under that name: others could neither be recorded nor undone by it.
    pub fn check(&self, id: &str, tree: &str) -> Result<(), String> {
        if self.id != id {
            return Err(format!("it calls itself {}", self.id));
        }
        let specs = match &self.kind {
            Kind::Slot { relay, .. } => vec![relay],
            Kind::Grow { slot, egresses } => slot.start.iter().chain(egresses).collect(),
            Kind::Shrink { .. } | Kind::Clear { .. } => Vec::new(),
        };
        match specs.iter().find(|spec| spec.tree != tree) {
            None => Ok(()),
            Some(other) => Err(format!("it makes {} of another tree, {}", other.name, other.tree)),
        }
    }

    /// What it makes of that name.
    pub fn spec(&self, name: &str) -> Option<&Spec> {
        match &self.kind {
            Kind::Slot { relay, .. } => Some(relay).filter(|relay| relay.name == name),
            Kind::Grow { slot, egresses } => slot.start.iter().chain(egresses).find(|spec| spec.name == name),
            Kind::Shrink { .. } | Kind::Clear { .. } => None,
        }
    }
}

fn are(nodes: &[String]) -> &'static str {
    if nodes.len() == 1 { "is" } else { "are" }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Slot { relay, warm: true } => {
                write!(f, "a warm relay, {}, below {}", relay.name, relay.parent)
            }
            Kind::Slot { relay, warm: false } => write!(f, "a cold relay, {}", relay.name),
            Kind::Grow { slot, egresses } => {
                let started = if slot.start.is_some() { ", which is started" } else { "" };
                let egresses = counted(egresses.len(), "more egress", "more egresses");
                write!(f, "{egresses} below {}{started}", slot.relay)
            }
            Kind::Shrink { nodes } => write!(f, "{} {} drained and taken away", nodes.join(", "), are(nodes)),
            Kind::Clear { nodes } => write!(f, "{} {} cleared away", nodes.join(", "), are(nodes)),
        }
    }
}
