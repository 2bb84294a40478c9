//! A node gets another parent while media flows. It is made before it is broken: the new parent sends already when the child
//! begins to take media from it, and no more from the old one, which goes on until then and a moment longer.

use std::time::{Duration, Instant};

use node::asking::Asking;
use node::commands::Commands;
use node::overview::{NodeView, Overview, State};
use node::parentage::Write;
use node::record::NodeType;
use serde::Serialize;

use super::find;
use super::standby::is_above;

/// How long the new parent is waited for.
const SENDS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The node.
    pub node: String,
    /// Its parents before.
    pub from: Vec<String>,
    /// Its parent now.
    pub to: String,
    /// What could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Parents that a node has, if it may have this one instead.
pub(super) fn check<'a>(overview: &'a Overview, id: &str, to: &str) -> Result<Vec<&'a str>, String> {
    let (node, parent) = (find(overview, id)?, find(overview, to)?);
    if node.node_type == Some(NodeType::Injection) {
        return Err(format!("{id} is an injection, which has no parent"));
    }
    match (parent.node_type, parent.state) {
        (Some(NodeType::Egress), _) => return Err(format!("{to} is an egress, which has no children")),
        (_, State::Doubtful | State::Gone | State::Unknown) => {
            return Err(format!("{to} is not there: {}", parent.why.first().map_or("", |why| why)));
        }
        (_, State::Draining) => return Err(format!("{to} takes nobody any more: it is being drained")),
        _ => {}
    }
    if is_above(overview, id, to) {
        return Err(format!("{to} is {id} itself or below it; media would go round in a loop"));
    }
    let edges = overview.edges.iter().filter(|edge| edge.to == id && !edge.standby);
    let parents: Vec<&str> = edges.map(|edge| edge.from.as_str()).collect();
    if parents == [to] {
        return Err(format!("{to} is the parent of {id} already"));
    }
    Ok(parents)
}

/// The new parent is to send.
fn make(id: &str, to: &str) -> Write {
    Write::Give { to: to.to_owned(), children: vec![id.to_owned()] }
}

/// The child takes media from it, and the others send no more, but for those that stand by. Who stood by is the parent now.
fn switch(node: &NodeView, to: &str, from: &[&str]) -> Vec<Write> {
    let (id, parent) = (node.id.as_str(), to.to_owned());
    let stood = node.standby.contains(&parent).then(|| Write::Unstand { child: id.to_owned(), parent });
    let point = Write::Point { child: id.to_owned(), from: None, to: to.to_owned() };
    let others = from.iter().filter(|old| **old != to);
    let leave = others.map(|old| Write::Leave { of: (*old).to_owned(), children: vec![id.to_owned()] });
    std::iter::once(point).chain(stood).chain(leave).collect()
}

/// Moves it. An error is one line; what had been done before it is undone by nobody, and harms nobody: the new parent sends what
/// the child does not take.
pub async fn move_node(
    overview: &Overview,
    commands: &Commands,
    asking: &Asking,
    id: &str,
    to: &str,
) -> Result<Moved, String> {
    let from = check(overview, id, to)?;
    write(commands, &[make(id, to)]).await?;
    let note = sends(asking, find(overview, to)?, id).await;
    write(commands, &switch(find(overview, id)?, to, &from)).await?;
    let from = from.into_iter().filter(|old| *old != to).map(str::to_owned).collect();
    Ok(Moved { node: id.to_owned(), from, to: to.to_owned(), note })
}

async fn write(commands: &Commands, writes: &[Write]) -> Result<(), String> {
    commands.run::<redis::Value>(&Write::all(writes)).await.map(drop)
}

/// Waits until the new parent has the child; gives what keeps that from being known.
async fn sends(asking: &Asking, parent: &NodeView, id: &str) -> Option<String> {
    let Some(url) = parent.operators() else {
        return Some(format!("{} could not be asked whether it sends", parent.id));
    };
    let began = Instant::now();
    loop {
        let why = match asking.get::<serde_json::Value>(&format!("{url}/status")).await {
            Ok(status) => {
                let of = |list: &serde_json::Value| {
                    list.as_array().is_some_and(|all| all.iter().any(|one| one == id))
                };
                // A relay says whom it sends to; an injection whom it has.
                let forwarding = &status["forwarding"]["children"];
                let children =
                    if forwarding.is_null() { &status["topology"]["children"] } else { forwarding };
                if of(children) {
                    return None;
                }
                format!("{} did not say within {} s that it sends to {id}", parent.id, SENDS_WITHIN.as_secs())
            }
            Err(error) => return Some(format!("{} could not be asked whether it sends: {error}", parent.id)),
        };
        if began.elapsed() > SENDS_WITHIN {
            return Some(why);
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::samples::tree;

    #[test]
    fn a_node_is_moved_where_it_can_be() {
        let mut tree = tree();
        assert_eq!(check(&tree, "e2", "r1"), Ok(vec!["r2"]));
        assert_eq!(check(&tree, "r2", "i"), Ok(vec!["r1"]));
        for (node, to, why) in [
            ("e9", "r1", "has no node e9"),
            ("e1", "r9", "has no node r9"),
            ("e1", "r1", "already"),
            ("e1", "e2", "no children"),
            ("i", "r1", "injection"),
            ("r1", "r2", "loop"),
            ("r1", "r1", "loop"),
        ] {
            let said = check(&tree, node, to).unwrap_err();
            assert!(said.contains(why) && !said.contains('\n'), "{node} {to}: {said}");
        }
        tree.nodes[3].state = State::Draining;
        assert!(check(&tree, "e1", "r2").unwrap_err().contains("drained"));
        tree.nodes[3].state = State::Gone;
        assert!(check(&tree, "e1", "r2").unwrap_err().contains("not there"));
    }

    #[test]
    fn it_is_made_before_it_is_broken() {
        assert!(matches!(make("e2", "r1"), Write::Give { to, .. } if to == "r1"));
        let mut tree = tree();
        let then = switch(&tree.nodes[4], "r1", &["r2", "r1"]);
        assert!(matches!(&then[0], Write::Point { child, from: None, to } if child == "e2" && to == "r1"));
        let leave = Write::Leave { of: "r2".to_owned(), children: vec!["e2".to_owned()] };
        assert_eq!(then[1..], *std::slice::from_ref(&leave));
        tree.nodes[4].standby = vec!["r1".to_owned()];
        let stood = Write::Unstand { child: "e2".to_owned(), parent: "r1".to_owned() };
        assert_eq!(switch(&tree.nodes[4], "r1", &["r2"])[1..], [stood, leave]);
    }
}
