//! The order in which the nodes of a tree are drawn: each behind its parent, deeper by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Edges, Facts};
use crate::record::NodeType;

/// Rows, and what cannot be drawn as a tree.
pub struct Order {
    /// Name, and how deep.
    pub rows: Vec<(String, usize)>,
    /// Loops, each a sentence.
    pub loops: Vec<String>,
}

pub fn order(facts: &Facts, edges: &Edges) -> Order {
    let mut order = Order { rows: Vec::new(), loops: Vec::new() };
    let mut seen = BTreeSet::new();
    // Injections first, then what hangs in the air, the large before the small.
    let mut roots: Vec<&str> = facts
        .nodes
        .keys()
        .map(String::as_str)
        .filter(|id| edges.parent(id).is_none_or(|parent| !facts.nodes.contains_key(parent)))
        .collect();
    roots.sort_by_key(|id| {
        let is_injection = facts.nodes[*id].node_type() == Some(NodeType::Injection);
        (!is_injection, edges.below(id).next().is_none(), *id)
    });
    for root in roots {
        descend(facts, edges, root, &mut seen, &mut order.rows);
    }
    // What is left hangs below itself.
    for id in facts.nodes.keys() {
        if !seen.contains(id.as_str()) {
            order.loops.extend(round(edges, id).filter(|known| !order.loops.contains(known)));
            descend(facts, edges, id, &mut seen, &mut order.rows);
        }
    }
    for (parent, child) in edges.standby() {
        order.loops.extend(by_standby(edges, parent, child).filter(|known| !order.loops.contains(known)));
    }
    order
}

/// The loop that a standby parent closes: it is below the child itself.
fn by_standby(edges: &Edges, parent: &str, child: &str) -> Option<String> {
    let mut below: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([parent]);
    while let Some(node) = waiting.pop_front() {
        if node == child {
            let way = std::iter::successors(Some(node), |node| below.get(node).copied());
            return Some(sentence(way.collect()));
        }
        for above in edges.above(node) {
            if above != parent && !below.contains_key(above) {
                below.insert(above, node);
                waiting.push_back(above);
            }
        }
    }
    None
}

/// The same loop is the same sentence, whoever it is seen from. `members`: each sends to the next, and the last to the first.
fn sentence(mut members: Vec<&str>) -> String {
    let first = members.iter().enumerate().min_by_key(|(_, id)| **id).map_or(0, |(at, _)| at);
    members.rotate_left(first);
    members.push(members[0]);
    format!("media would go round in a loop: {}", members.join(" > "))
}

/// A node and all below it. Not by recursion: how deep a tree is, somebody else decides.
fn descend<'a>(
    facts: &'a Facts,
    edges: &Edges<'a>,
    root: &'a str,
    seen: &mut BTreeSet<&'a str>,
    rows: &mut Vec<(String, usize)>,
) {
    let mut waiting = vec![(root, 0)];
    while let Some((id, depth)) = waiting.pop() {
        if !facts.nodes.contains_key(id) || !seen.insert(id) {
            continue;
        }
        rows.push((id.to_owned(), depth));
        let mut below: Vec<&str> = edges.below(id).collect();
        below.reverse();
        waiting.extend(below.into_iter().map(|child| (child, depth + 1)));
    }
}

/// The loop that a node hangs in, or below.
fn round(edges: &Edges, id: &str) -> Option<String> {
    let mut way = vec![id];
    loop {
        let parent = edges.parent(way.last()?)?;
        if let Some(at) = way.iter().position(|seen| *seen == parent) {
            let mut members = way.split_off(at);
            members.reverse();
            return Some(sentence(members));
        }
        way.push(parent);
    }
}
