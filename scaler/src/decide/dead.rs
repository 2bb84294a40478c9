//! What has been dead, or of no use, for so long that it goes. Pure.

use node::overview::State;
use node::record::NodeType;

use super::memory::{Memory, keep_since};
use super::numbers::ms;
use crate::books::Books;
use crate::model::Ms;
use crate::settings::Settings;

/// What goes.
#[derive(Debug, Default)]
pub struct Dead {
    /// Machines without a node, and nodes without a machine, for `healthy-within`.
    pub clear: Vec<String>,
    /// Egresses of the back end that live and have served nobody for `healthy-within` and `drained-within` together.
    pub useless: Vec<String>,
    /// Why some that look dead are left.
    pub doubt: Option<String>,
}

/// What has been so for long enough. Only of nodes that the back end made: who started a node by hand takes it out by hand.
pub fn dead(settings: &Settings, books: &Books<'_>, memory: &mut Memory, now: Ms) -> Dead {
    let Some(machines) = &books.seen().machines else {
        return Dead::default();
    };
    let of_tree = |name: &String| machines.contains_key(name) || books.node(name).is_some();
    memory.made.extend(machines.keys().cloned());
    memory.made.retain(of_tree);

    let without_node = machines.iter().filter(|(name, machine)| {
        // A cold slot is made and does not run, and nobody expects it in the tree.
        let is_cold = machine.role == NodeType::Relay && !machine.running && books.node(name).is_none();
        !is_cold && !books.lives(name)
    });
    let without_machine = memory
        .made
        .iter()
        .filter(|name| !machines.contains_key(*name) && books.node(name).is_some() && !books.lives(name));
    let dead: Vec<String> = without_node
        .map(|(name, _)| name)
        .chain(without_machine)
        .filter(|name| !books.is_busy(name))
        .cloned()
        .collect();
    keep_since(&mut memory.dead, dead.iter().map(String::as_str), now);

    let is_useless = |name: &&String| {
        let state =
            books.node(name).filter(|node| node.role == Some(NodeType::Egress)).map(|node| node.state);
        matches!(state, Some(State::CutOff | State::Unattached | State::Degraded)) && !books.is_busy(name)
    };
    let useless: Vec<String> = machines.keys().filter(is_useless).cloned().collect();
    keep_since(&mut memory.useless, useless.iter().map(String::as_str), now);

    let healthy = ms(settings.pace.healthy_within);
    let patience = healthy.saturating_add(ms(settings.pace.drained_within));
    let (mut clear, useless) = (older(&memory.dead, healthy, now), older(&memory.useless, patience, now));
    let mut doubt = None;
    let runs = |name: &String| machines.get(name).is_some_and(|machine| machine.running);
    let (running, dead) = (machines.values().filter(|machine| machine.running).count(), &mut clear);
    if dead.iter().filter(|name| runs(name)).count() * 2 > running.max(2) {
        dead.retain(|name| !runs(name));
        doubt = Some(
            "most of the machines that run are not in the tree: they are left, since it is likelier that they do not reach Redis than that all hang"
                .to_owned(),
        );
    }
    Dead { clear, useless, doubt }
}

fn older(since: &std::collections::BTreeMap<String, Ms>, than: Ms, now: Ms) -> Vec<String> {
    since.iter().filter(|(_, since)| now - **since >= than).map(|(name, _)| name.clone()).collect()
}
