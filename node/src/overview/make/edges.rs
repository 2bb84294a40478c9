//! Who sends to whom: `children:` and `parent:` say it both, and may not agree.

use std::collections::BTreeSet;

use super::{ByName, Facts, NodeFacts, lives};
use crate::contract::key;
use crate::flow::Flow;
use crate::overview::view::{Edge, EdgeState};
use crate::record::NodeType;

/// A flow of nothing says that nothing comes only after a while, ms: a child that was just attached has none yet.
const SILENT_AFTER: u64 = 9_000;

/// Two flows of times that differ by more are not compared, ms: nodes read theirs every two seconds.
const NOT_ALIKE: u64 = 4_000;
/// A loss of so much is seen in the rates, too, though these are not of the very same seconds.
const MUCH: f64 = 0.1;

/// All of a tree's.
pub struct Edges<'a> {
    /// What each node takes media from.
    parents: ByName<'a, &'a str>,
    /// Parent and child, as at least one of the two keys has them.
    pairs: BTreeSet<(&'a str, &'a str)>,
    /// Those of them whose parent stands by for the child.
    standby: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Edges<'a> {
    pub fn of(facts: &'a Facts) -> Edges<'a> {
        let mut pairs = BTreeSet::new();
        let mut parents: ByName<&str> = ByName::new();
        let standby: BTreeSet<(&str, &str)> = facts
            .nodes
            .iter()
            .flat_map(|(id, node)| {
                let others = node.standby.iter().filter(|parent| node.parent.as_ref() != Some(parent));
                others.map(|parent| (parent.as_str(), id.as_str()))
            })
            .collect();
        pairs.extend(&standby);
        for (id, node) in &facts.nodes {
            for child in &node.children {
                let pair = (id.as_str(), child.as_str());
                pairs.insert(pair);
                if !standby.contains(&pair) {
                    parents.entry(child).or_insert(id);
                }
            }
        }
        // What a node says itself of its parent counts more: it takes media from nobody else.
        for (id, node) in &facts.nodes {
            if let Some(parent) = &node.parent {
                pairs.insert((parent, id));
                parents.insert(id, parent);
            }
        }
        Edges { parents, pairs, standby }
    }

    /// What a node takes media from.
    pub fn parent(&self, id: &str) -> Option<&'a str> {
        self.parents.get(id).copied()
    }

    /// The node has a part in the tree.
    pub fn has(&self, id: &str) -> bool {
        self.pairs.iter().any(|(from, to)| *from == id || *to == id)
    }

    /// The children that are drawn below a node.
    pub fn below(&self, id: &str) -> impl Iterator<Item = &'a str> {
        self.parents.iter().filter(move |(_, parent)| **parent == id).map(|(child, _)| *child)
    }

    /// Parents that stand by for a child, each with it.
    pub fn standby(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.standby.iter().copied()
    }

    /// All that a node may get media from.
    pub fn above(&self, id: &str) -> impl Iterator<Item = &'a str> {
        let standby = self.standby.iter().filter(move |(_, to)| *to == id).map(|(from, _)| *from);
        self.parent(id).into_iter().chain(standby)
    }

    /// The keys that name a node.
    pub fn named_by(&self, id: &str) -> String {
        let name = |(from, to): &(&str, &str)| match (*to == id, self.standby.contains(&(*from, *to))) {
            (true, _) => key::children(from),
            (false, true) => key::standby(to),
            (false, false) => key::parent(to),
        };
        let of = self.pairs.iter().filter(|(from, to)| *from == id || *to == id);
        let mut names: Vec<String> = of.map(name).take(3).collect();
        names.dedup();
        if names.is_empty() { key::parent(id) } else { names.join(", ") }
    }

    /// As they are shown.
    pub fn views(&self, facts: &Facts) -> Vec<Edge> {
        self.pairs.iter().map(|(from, to)| self.view(facts, from, to)).collect()
    }

    fn view(&self, facts: &Facts, from: &str, to: &str) -> Edge {
        let flow = |id: &str| -> Option<Flow> {
            let node = facts.nodes.get(id).filter(|_| lives(facts, id))?;
            node.entry.as_ref()?.particulars.flow
        };
        let standby = self.standby.contains(&(from, to));
        let is_sole = self.parent(to) == Some(from);
        // What comes by both ways is in one flow. It says nothing of the one who stands by, but that something comes.
        let carried = (is_sole || standby).then(|| flow(to)).flatten();
        let sole = carried.filter(|_| is_sole);
        let above = flow(from);
        let is_new = is_new(facts, from, to);
        let (state, why) = match self.disagreement(facts, from, to) {
            Some(why) => (EdgeState::OneSided, Some(why)),
            None => match (above, carried) {
                // An injection may send a session elsewhere than to its children.
                (Some(above), Some(below)) if is_relay(facts, from) && !is_new && is_silent(above, below) => {
                    let why = format!(
                        "{from} gets {:.0} packets a second, and nothing of it comes; \
                         is a firewall between, or does {to} take media from elsewhere only?",
                        above.packet_rate()
                    );
                    (EdgeState::Silent, Some(why))
                }
                _ if !is_new && self.is_unheard(facts, from, to) => {
                    let why = format!(
                        "nothing comes this way, and all from another parent of {to}: should that one end, media does, too"
                    );
                    (EdgeState::Silent, Some(why))
                }
                _ => (EdgeState::Ok, None),
            },
        };
        let lost = sole.filter(|_| !is_new).and_then(|flow| loss(above, flow));
        Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            standby,
            state,
            why,
            packets_per_second: sole.map(|flow| rounded(flow.packet_rate(), 10.0)),
            bits_per_second: sole.map(|flow| flow.bit_rate().round()),
            loss: lost.map(|lost| rounded(lost.after, 1e9)),
            loss_before_repair: lost.map(|lost| rounded(lost.before, 1e9)),
        }
    }

    /// The child says that nothing comes from this one of its parents, though that gets media.
    fn is_unheard(&self, facts: &Facts, from: &str, to: &str) -> bool {
        let said =
            |id: &str| Some(&facts.nodes.get(id).filter(|_| lives(facts, id))?.entry.as_ref()?.particulars);
        let gets = said(from).and_then(|said| said.flow).is_some_and(|flow| flow.packets > 0);
        gets && said(to).is_some_and(|said| said.unheard.iter().any(|unheard| unheard == from))
    }

    /// Why one of the two keys is not enough.
    fn disagreement(&self, facts: &Facts, from: &str, to: &str) -> Option<String> {
        let [parent, child] = [from, to].map(|id| facts.nodes.get(id));
        let sends = parent.is_some_and(|node| node.children.contains(to));
        let takes = child.and_then(|node| node.parent.as_deref());
        if self.standby.contains(&(from, to)) {
            let children = key::children(from);
            return (!sends).then(|| {
                format!("{children} does not have it, so it does not stand by; SADD {children} {to}")
            });
        }
        match (sends, takes) {
            (true, Some(other)) if other != from => {
                let (children, parent) = (key::children(from), key::parent(to));
                Some(format!(
                    "{parent} names {other}, so what {from} sends is not taken; SREM {children} {to}, or SET {parent} {from}"
                ))
            }
            (false, Some(_)) => {
                let children = key::children(from);
                Some(format!("{children} does not have it, so nothing is sent; SADD {children} {to}"))
            }
            // That there is no `parent:` at all is how many begin: the child takes what comes.
            _ => None,
        }
    }
}

fn is_relay(facts: &Facts, id: &str) -> bool {
    facts.nodes.get(id).and_then(NodeFacts::node_type) == Some(NodeType::Relay)
}

fn is_silent(above: Flow, below: Flow) -> bool {
    above.packets > 0 && below.packets == 0 && below.ms >= SILENT_AFTER && above.ms >= SILENT_AFTER
}

/// The parent has begun to send to the child so short a while ago that what came before that is in the child's flow.
fn is_new(facts: &Facts, from: &str, to: &str) -> bool {
    let entry = facts.nodes.get(from).and_then(|node| node.entry.as_ref());
    entry.is_some_and(|entry| entry.particulars.new_children.iter().any(|child| child == to))
}

/// What was lost on this edge: what the child misses, but for what its parent misses as well. Both count in sequence numbers,
/// so that what was lost further up is missed by all below. `None`: that cannot be said, because the parent has not counted
/// for as long, or because numbers are missing that were never sent, as when a publisher begins anew: then the child has as
/// much as its parent.
fn loss(above: Option<Flow>, flow: Flow) -> Option<Lost> {
    let Some(above) = above else { return Some(Lost::of(flow)) };
    if above.ms.saturating_add(NOT_ALIKE) < flow.ms {
        return None;
    }
    let (own, further_up) = (Lost::of(flow), Lost::of(above));
    let after = (own.after - further_up.after).max(0.0);
    // What was repaired further up came late to all below, who may have asked for it as well.
    let lost = Lost { after, before: (own.before - further_up.before).max(after) };
    let has_less = flow.packet_rate() <= above.packet_rate() * (1.0 - after / 2.0);
    (after < MUCH || has_less).then_some(lost)
}

/// Parts of what was sent, 0 to 1.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Did not come in their place.
    before: f64,
    /// Did not come at all.
    after: f64,
}

impl Lost {
    fn of(flow: Flow) -> Lost {
        let all = flow.packets.saturating_add(flow.lost).max(1) as f64;
        let before = flow.lost.saturating_add(flow.repaired) as f64 / all;
        Lost { before: before.min(1.0), after: flow.lost as f64 / all }
    }
}

fn rounded(value: f64, to: f64) -> f64 {
    (value * to).round() / to
}
