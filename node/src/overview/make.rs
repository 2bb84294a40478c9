//! From what Redis says of a tree to what is shown of it, and what is wrong. Pure.

mod edges;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::facts::{Facts, NodeFacts, SessionFacts};
use super::view::{LeftOut, NodeView, Overview, SessionView, State};
use crate::config::public_url;
use crate::contract::{NODE_DOUBTED, key};
use crate::directory::{Entry, Particulars};
use crate::record::NodeType;
use edges::Edges;

/// Most sentences of each kind: a tree that is broken as a whole is not better known by a thousand.
const MOST_SENTENCES: usize = 100;

/// What is shown of these facts.
pub fn make(facts: &Facts) -> Overview {
    let edges = Edges::of(facts);
    let order = order::order(facts, &edges);
    let nodes: Vec<NodeView> = order.rows.iter().map(|(id, depth)| node(facts, &edges, id, *depth)).collect();
    let sessions: Vec<SessionView> =
        facts.sessions.iter().map(|session| self::session(facts, session)).collect();
    let (mut problems, mut notes) = (order.loops, Vec::from_iter(facts.unread.clone()));
    for node in &nodes {
        let sentence = |why: &String| format!("{}: {why}", node.id);
        let list = if is_problem(node, &edges) { &mut problems } else { &mut notes };
        list.extend(node.why.iter().map(sentence));
    }
    let edges = edges.views(facts);
    problems.extend(
        edges.iter().filter_map(|edge| Some(format!("{} to {}: {}", edge.from, edge.to, edge.why.as_ref()?))),
    );
    problems.extend(facts.nodes.iter().filter_map(|(id, node)| stuck(facts, id, node)));
    problems.extend(no_egress_takes_anybody(facts));
    problems.extend(facts.nodes.iter().filter_map(|(id, node)| unheld(facts, id, node)));
    if !nodes.iter().any(|node| node.node_type == Some(NodeType::Injection) && lives(facts, &node.id)) {
        problems.push("no injection is in this tree: nobody can publish".to_owned());
    }
    for session in sessions.iter().filter(|session| session.orphan) {
        let injection = session.injection.as_deref().unwrap_or_default();
        notes.push(format!("session {}: its injection {injection} is gone", session.session_id));
    }
    let left_out = LeftOut { nodes: facts.nodes_left_out, sessions: facts.sessions_left_out };
    shorten(&mut problems);
    shorten(&mut notes);
    Overview {
        tree_id: facts.tree_id.clone(),
        at: facts.at,
        healthy: problems.is_empty(),
        viewers: viewers(&nodes),
        nodes,
        edges,
        sessions,
        problems,
        notes,
        left_out,
    }
}

/// All who watch. What a node says of which nobody has heard is shown with it and not counted: its viewers have gone elsewhere.
fn viewers(nodes: &[NodeView]) -> u64 {
    let heard = nodes.iter().filter(|node| node.state != State::Doubtful);
    heard.map(|node| u64::from(node.viewers)).sum()
}

/// A node that is to be emptied and cannot be.
fn stuck(facts: &Facts, id: &str, node: &NodeFacts) -> Option<String> {
    let said = said(facts, node)?;
    let problem = said.drain_problem.as_ref().filter(|_| said.draining)?;
    Some(format!("{id}: it drains, and is not empty: {problem}"))
}

/// Newcomers have nowhere to go, though there are egresses. That all are full is no fault of any.
fn no_egress_takes_anybody(facts: &Facts) -> Option<String> {
    let registered = facts.nodes.values().filter(|node| is_registered(facts, node));
    let entries = registered.filter_map(|node| node.entry.as_ref());
    let egresses: Vec<&Entry> = entries.filter(|entry| entry.node_type == NodeType::Egress).collect();
    let goes = egresses.iter().any(|entry| entry.particulars.draining || entry.particulars.cut_off);
    let takes = egresses.iter().any(|entry| entry.has_room());
    let why =
        "no egress takes viewers: each of them drains, is cut off or full; who comes now is answered 503";
    (goes && !takes).then(|| why.to_owned())
}

/// A node goes on with a parent that no key names any more: Redis has lost them, or somebody has just taken them out.
fn unheld(facts: &Facts, id: &str, node: &NodeFacts) -> Option<String> {
    said(facts, node).filter(|said| !said.draining && !said.cut_off)?;
    let parent = node.entry.as_ref()?.parent.as_ref().filter(|_| node.parent.is_none())?;
    let is_child = facts.nodes.values().any(|node| node.children.contains(id));
    (!is_child).then(|| {
        format!(
            "{id}: it still follows {parent}, which Redis names no more, and lets go of it soon (--topology-grace); if Redis has lost it: SET {} {parent}, SADD {} {id}",
            key::parent(id),
            key::children(parent)
        )
    })
}

/// What a node of this tree that is registered says of itself.
fn said<'a>(facts: &Facts, node: &'a NodeFacts) -> Option<&'a Particulars> {
    node.entry.as_ref().filter(|_| is_registered(facts, node)).map(|entry| &entry.particulars)
}

fn shorten(sentences: &mut Vec<String>) {
    let more = sentences.len().saturating_sub(MOST_SENTENCES);
    sentences.truncate(MOST_SENTENCES);
    if more > 0 {
        sentences.push(format!("and {more} more"));
    }
}

/// Whether a node is registered in this tree.
fn lives(facts: &Facts, id: &str) -> bool {
    facts.nodes.get(id).is_some_and(|node| is_registered(facts, node))
}

fn is_registered(facts: &Facts, node: &NodeFacts) -> bool {
    node.registered_in(&facts.tree_id).is_some()
}

/// What is left of a node that nobody wants is no problem of the tree's; nor is one that is full, drained or not in use.
fn is_problem(node: &NodeView, edges: &Edges) -> bool {
    match node.state {
        State::Ok | State::Unattached | State::Full | State::Draining => false,
        State::Degraded | State::CutOff => true,
        State::Doubtful | State::Gone | State::Unknown => edges.has(&node.id),
    }
}

fn node(facts: &Facts, edges: &Edges, id: &str, depth: usize) -> NodeView {
    let node = &facts.nodes[id];
    let (state, why) = state(facts, edges, id, node);
    // What a dead node said last is true no more.
    let entry = node.entry.as_ref();
    let said = entry.filter(|_| state != State::Gone).map(|entry| &entry.particulars);
    NodeView {
        id: id.to_owned(),
        node_type: node.node_type(),
        state,
        why,
        depth,
        parent: edges.parent(id).map(str::to_owned),
        standby: node.standby.iter().cloned().collect(),
        url: entry.map(|entry| entry.url.clone()),
        admin: admin(facts, node),
        zone: entry.map(|entry| entry.zone.clone()).unwrap_or_default(),
        viewers: said.map_or(0, |said| said.viewers),
        max_viewers: said.map_or(0, |said| said.max_viewers),
        mountpoints: node.mountpoints,
        flow: said.and_then(|said| said.flow),
    }
}

/// What could be no address of a node is none: whoever reads this asks there, and shows a token.
fn admin(facts: &Facts, node: &NodeFacts) -> Option<String> {
    let listener = node.registered_in(&facts.tree_id)?.admin.as_ref()?;
    public_url(&format!("http://{listener}")).ok()
}

fn state(facts: &Facts, edges: &Edges, id: &str, node: &NodeFacts) -> (State, Vec<String>) {
    let one = |state: State, why: String| (state, vec![why]);
    let Some(registration) = &node.registration else {
        return match &node.entry {
            Some(_) => one(
                State::Gone,
                "its registration has expired: it was killed, or does not reach Redis".to_owned(),
            ),
            None => one(
                State::Unknown,
                format!(
                    "nobody has registered under this name: it was stopped or never started, or the name is mistyped; start it, or take the name out ({})",
                    edges.named_by(id)
                ),
            ),
        };
    };
    if !is_registered(facts, node) {
        let tree = registration.tree_id.as_deref().unwrap_or_default();
        return one(State::Unknown, format!("it is registered in another tree, {tree}"));
    }
    let Some(entry) = &node.entry else {
        let why =
            "nothing can be read of it in the tree's directory: an older version, or it may not write there"
                .to_owned();
        return one(State::Ok, why);
    };
    let said = &entry.particulars;
    let mut found: Vec<(State, String)> = Vec::new();
    if let Some(unheard) = registration.unheard.filter(|unheard| *unheard > NODE_DOUBTED) {
        let why = format!(
            "nobody has heard of it for {} s: it was killed, hangs, or does not reach Redis",
            unheard.as_secs()
        );
        found.push((State::Doubtful, why));
    }
    if said.cut_off {
        found.push((State::CutOff, cut_off(facts, edges, id)));
    }
    if said.draining {
        let why = match registration.status.as_str() {
            _ if said.drain_problem.is_some() => "it takes nobody any more, and is not empty yet",
            "draining" if entry.node_type == NodeType::Injection => {
                "it takes nobody any more, and who publishes goes on until the end"
            }
            "drained" => "it takes nobody any more, and has nobody left: it can be stopped",
            _ => "it takes nobody any more, and gives away whom it has",
        };
        found.push((State::Draining, why.to_owned()));
    }
    if !["active", "draining", "drained"].contains(&registration.status.as_str()) {
        let (status, own) = (&registration.status, admin(facts, node));
        let url = own.as_ref().unwrap_or(&entry.url);
        found.push((State::Degraded, format!("it says that it is {status}; {url}/status tells why")));
    }
    if said.max_viewers > 0 && said.viewers >= said.max_viewers {
        found.push((State::Full, format!("all of its {} places are taken", said.max_viewers)));
    }
    if entry.node_type != NodeType::Injection && edges.parent(id).is_none() && !said.cut_off {
        found.push((State::Unattached, "it is nobody's child".to_owned()));
    }
    // The first is the weightiest.
    let state = found.first().map_or(State::Ok, |(state, _)| *state);
    (state, found.into_iter().map(|(_, why)| why).collect())
}

/// Why no media reaches a node, as far as the tree shows it.
fn cut_off(facts: &Facts, edges: &Edges, id: &str) -> String {
    match edges.parent(id) {
        None => format!("no media reaches it: it has no parent ({} is not set)", key::parent(id)),
        Some(parent) if !lives(facts, parent) => {
            format!("no media reaches it: its parent {parent} is not there")
        }
        Some(parent) => format!("no media reaches it from its parent {parent}"),
    }
}

fn session(facts: &Facts, session: &SessionFacts) -> SessionView {
    let carriers = session.carriers.as_ref();
    SessionView {
        session_id: session.id.clone(),
        injection: session.injection.clone(),
        video_codec: session.codec.clone(),
        created_at: session.created,
        egresses: carriers.map(|carriers| carriers.iter().filter(|id| lives(facts, id)).count()),
        live: session.is_live,
        orphan: session.injection.as_ref().is_some_and(|injection| !lives(facts, injection)),
    }
}

/// By name of a node.
type ByName<'a, T> = BTreeMap<&'a str, T>;
