//! Somebody stands by for a node: it sends what the node's parent sends, and the node takes each packet once. What `SADD children:…`
//! and `SADD parents:…` do by hand, at one moment and only if it makes sense.

use node::commands::Commands;
use node::overview::{NodeView, Overview};
use node::parentage::{Write, unstand};
use node::record::NodeType;
use node::topology::MOST_STANDBY;

use super::attaching::{Placed, Unplaced, takes_children};
use super::find;

/// Whether a node is above another, or is it, by way of a parent or of one that stands by.
pub(super) fn is_above(overview: &Overview, above: &str, id: &str) -> bool {
    let (mut seen, mut waiting) = (Vec::new(), vec![id]);
    while let Some(at) = waiting.pop() {
        if at == above {
            return true;
        }
        if !seen.contains(&at) {
            seen.push(at);
            let node = overview.nodes.iter().find(|node| node.id == at);
            waiting.extend(
                node.into_iter().flat_map(|node| node.parent.iter().chain(&node.standby)).map(String::as_str),
            );
        }
    }
    false
}

/// Who could stand by, if nobody was named: a relay that is well and has another way up than the node's parent first, then one of the
/// node's zone, then the one with the fewest children.
fn standby_for<'a>(overview: &'a Overview, node: &NodeView, parent: &str) -> Result<&'a str, String> {
    let children = |of: &NodeView| overview.edges.iter().filter(|edge| edge.from == of.id).count();
    let fits = |other: &&NodeView| {
        takes_children(other, NodeType::Relay)
            && other.id != parent
            && !node.standby.contains(&other.id)
            && !is_above(overview, &node.id, &other.id)
    };
    let shares =
        |other: &NodeView| is_above(overview, parent, &other.id) || is_above(overview, &other.id, parent);
    let fit = overview.nodes.iter().filter(fits);
    let best = fit.min_by_key(|other| (shares(other), other.zone != node.zone, children(other), &other.id));
    best.map(|best| best.id.as_str()).ok_or_else(|| {
        format!(
            "{} has no other relay that is well and attached and could stand by for {}; name one: --standby RELAY",
            overview.tree_id, node.id
        )
    })
}

/// Who is to stand by for a node, and whether it does already.
fn standing(overview: &Overview, id: &str, relay: Option<&str>) -> Result<(String, bool), Unplaced> {
    let node = find(overview, id).map_err(Unplaced::NotYet)?;
    if node.node_type == Some(NodeType::Injection) {
        return Err(Unplaced::Never(format!("{id} is an injection, which has no parent")));
    }
    if let Some(first) = node.standby.first() {
        match relay {
            None => return Ok((first.clone(), true)),
            Some(relay) if node.standby.iter().any(|known| known == relay) => {
                return Ok((relay.to_owned(), true));
            }
            Some(_) if node.standby.len() >= MOST_STANDBY => {
                let why = format!(
                    "{id} has {MOST_STANDBY} standby parents already; `tree detach {id} --standby {first}` takes one away"
                );
                return Err(Unplaced::Never(why));
            }
            Some(_) => {}
        }
    }
    let Some(parent) = &node.parent else {
        let why = format!(
            "{id} has no parent that somebody could stand by beside; `tree attach {id}` gives it one"
        );
        return Err(Unplaced::NotYet(why));
    };
    let relay = relay.map_or_else(|| standby_for(overview, node, parent), Ok).map_err(Unplaced::NotYet)?;
    let other = find(overview, relay).map_err(Unplaced::NotYet)?;
    let never = |why: String| Err(Unplaced::Never(why));
    if relay == parent {
        return never(format!("{relay} is the parent of {id}; another has to stand by"));
    }
    if is_above(overview, id, relay) {
        return never(format!(
            "{relay} cannot stand by for {id}: it is the same node, or gets media from it, and media would go round in a loop"
        ));
    }
    match other.node_type {
        Some(NodeType::Egress) => never(format!("{relay} is an egress, which has no children")),
        Some(as_type) if takes_children(other, as_type) => Ok((relay.to_owned(), false)),
        _ => {
            let why = other.why.first().map_or_else(|| other.state.words().to_owned(), String::clone);
            Err(Unplaced::NotYet(format!("{relay} cannot stand by now: {why}")))
        }
    }
}

/// Has a relay stand by for a node, `relay` or one that fits.
pub async fn stand_by(
    overview: &Overview,
    commands: &Commands,
    id: &str,
    relay: Option<&str>,
) -> Result<Placed, Unplaced> {
    let (parent, is_already) = standing(overview, id, relay)?;
    if !is_already {
        let give = Write::Give { to: parent.clone(), children: vec![id.to_owned()] };
        let stand = Write::Stand { child: id.to_owned(), parent: parent.clone() };
        let write = commands.run::<redis::Value>(&Write::all(&[give, stand])).await;
        write.map_err(Unplaced::NotYet)?;
    }
    Ok(Placed { node: id.to_owned(), parents: vec![parent], changed: !is_already })
}

/// Who stands by for a node and is to do so no more: `relay`, or all.
fn standing_no_more(overview: &Overview, id: &str, relay: Option<&str>) -> Result<Vec<String>, String> {
    let node = find(overview, id)?;
    let leave = node.standby.iter().filter(|parent| relay.is_none_or(|relay| relay == *parent));
    let leave: Vec<String> = leave.cloned().collect();
    match node.parent {
        None if !leave.is_empty() && leave.len() == node.standby.len() => Err(format!(
            "{id} has no parent but {}, which stands by for it; `tree attach {id} --to NODE` gives it one first",
            leave.join(", ")
        )),
        _ => Ok(leave),
    }
}

/// Has `relay` stand by for a node no more, or nobody. An error is one line.
pub async fn stand_down(
    overview: &Overview,
    commands: &Commands,
    id: &str,
    relay: Option<&str>,
) -> Result<Placed, String> {
    let parents = standing_no_more(overview, id, relay)?;
    let writes: Vec<Write> = parents.iter().flat_map(|parent| unstand(id, parent)).collect();
    if !writes.is_empty() {
        commands.run::<redis::Value>(&Write::all(&writes)).await?;
    }
    Ok(Placed { node: id.to_owned(), changed: !writes.is_empty(), parents })
}

#[cfg(test)]
mod tests {
    use node::overview::State;

    use super::*;
    use crate::tree::samples::{node, tree};

    /// The sample with r3 and r4 below `i`.
    fn wide() -> Overview {
        let mut tree = tree();
        tree.nodes.extend(["r3", "r4"].map(|id| node(NodeType::Relay, id, Some("i"), 1)));
        tree
    }

    #[test]
    fn who_has_another_way_up_stands_by_first() {
        let mut tree = wide();
        assert_eq!(standing(&tree, "e2", None), Ok(("r3".to_owned(), false)), "r1 is above r2");
        tree.nodes[6].zone = "a".to_owned();
        tree.nodes[4].zone = "a".to_owned();
        assert_eq!(standing(&tree, "e2", None).unwrap().0, "r4");
        tree.nodes[5].state = State::Gone;
        tree.nodes[6].state = State::Draining;
        assert_eq!(standing(&tree, "e2", None).unwrap().0, "r1", "better than nobody");
        assert!(standing(&tree, "r1", None).unwrap_err().why().contains("--standby RELAY"), "r2 is below it");
        tree.nodes[4].standby = vec!["r4".to_owned()];
        assert_eq!(standing(&tree, "e2", None), Ok(("r4".to_owned(), true)));
    }

    #[test]
    fn nobody_stands_by_who_cannot() {
        let mut tree = wide();
        tree.nodes[6].state = State::Gone;
        for (id, relay, why) in [
            ("e1", "r1", "is the parent"),
            ("r1", "r2", "loop"),
            ("r1", "r1", "loop"),
            ("e1", "e2", "no children"),
            ("e1", "r9", "no node r9"),
            ("e1", "r4", "cannot stand by now"),
            ("i", "r1", "injection"),
        ] {
            let said = standing(&tree, id, Some(relay)).unwrap_err();
            assert!(said.why().contains(why), "{id} {relay}: {said:?}");
        }
        // By way of one that stands by.
        tree.nodes[5].standby = vec!["r2".to_owned()];
        assert!(standing(&tree, "r2", Some("r3")).unwrap_err().why().contains("loop"));
        tree.nodes[2].parent = None;
        assert!(standing(&tree, "e1", Some("r2")).unwrap_err().why().contains("tree attach e1"));
    }

    #[test]
    fn who_stands_by_is_taken_away_by_name_or_as_a_whole() {
        let mut tree = wide();
        assert_eq!(standing_no_more(&tree, "e1", None), Ok(vec![]));
        tree.nodes[2].standby = vec!["r2".to_owned(), "r3".to_owned()];
        assert_eq!(standing_no_more(&tree, "e1", Some("r3")), Ok(vec!["r3".to_owned()]));
        assert_eq!(standing_no_more(&tree, "e1", None).unwrap().len(), 2);
        tree.nodes[2].parent = None;
        assert_eq!(standing_no_more(&tree, "e1", Some("r3")).unwrap().len(), 1);
        assert!(standing_no_more(&tree, "e1", None).unwrap_err().contains("has no parent but r2, r3"));
    }
}
