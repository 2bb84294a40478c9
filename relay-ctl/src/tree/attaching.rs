//! A node becomes somebody's child, or nobody's: what `SADD children:…` and `SET parent:…` do by hand, at one moment and only if it
//! makes sense.

use node::commands::Commands;
use node::contract::key;
use node::overview::{NodeView, Overview, State};
use node::parentage::{Write, unstand};
use node::record::NodeType;
use serde::Serialize;

use super::find;
use super::moving::check;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The node.
    pub node: String,
    /// Its parent now, or those that it had.
    pub parents: Vec<String>,
    /// Something was written; else it was so before.
    pub changed: bool,
}

/// Why a node is not put into the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// It may be later: somebody is not there yet.
    NotYet(String),
    /// It will not be.
    Never(String),
}

impl Unplaced {
    /// One line.
    pub fn why(&self) -> &str {
        let (Unplaced::NotYet(why) | Unplaced::Never(why)) = self;
        why
    }
}

/// A node that could be a parent of others now.
pub(super) fn takes_children(node: &NodeView, as_type: NodeType) -> bool {
    let is_well = !matches!(
        node.state,
        State::Draining | State::Degraded | State::CutOff | State::Doubtful | State::Gone | State::Unknown
    );
    // Nothing comes to a relay that is nobody's child. An injection has no parent, and is unattached while it has no children.
    let is_attached = as_type == NodeType::Injection || node.state != State::Unattached;
    node.node_type == Some(as_type) && is_well && is_attached
}

/// Whose child a node is to be, if nobody said: of a relay in its own zone first, then of the one with the fewest children; of an injection, if it is
/// a relay itself or there are no relays.
fn parent_for<'a>(overview: &'a Overview, node: &NodeView) -> Result<&'a str, String> {
    let children = |of: &NodeView| overview.edges.iter().filter(|edge| edge.from == of.id).count();
    let best = |as_type: NodeType| {
        let fit = overview.nodes.iter().filter(|other| other.id != node.id && takes_children(other, as_type));
        fit.min_by_key(|other| (other.zone != node.zone, children(other), other.id.as_str()))
    };
    let relays_first = node.node_type != Some(NodeType::Relay);
    let relay = relays_first.then(|| best(NodeType::Relay)).flatten();
    let parent = relay.or_else(|| best(NodeType::Injection));
    parent.map(|parent| parent.id.as_str()).ok_or_else(|| {
        let wanted = if relays_first { "relay or injection" } else { "injection" };
        format!("{} has no {wanted} that is well and attached; name a parent with --to", overview.tree_id)
    })
}

/// Parents that a node has, as its edges say; without those that stand by.
fn parents(overview: &Overview, id: &str) -> Vec<String> {
    let edges = overview.edges.iter().filter(|edge| edge.to == id && !edge.standby);
    edges.map(|edge| edge.from.clone()).collect()
}

/// Whose child a node is to be, and whether it is already.
fn attachment(overview: &Overview, id: &str, to: Option<&str>) -> Result<(String, bool), Unplaced> {
    let node = find(overview, id).map_err(Unplaced::NotYet)?;
    if node.node_type == Some(NodeType::Injection) {
        return Err(Unplaced::Never(format!("{id} is an injection, which has no parent")));
    }
    let have = parents(overview, id);
    match (have.as_slice(), to) {
        ([], _) => {
            let parent = to.map_or_else(|| parent_for(overview, node), Ok).map_err(Unplaced::NotYet)?;
            check(overview, id, parent).map_err(Unplaced::NotYet)?;
            Ok((parent.to_owned(), false))
        }
        ([only], None) => Ok((only.clone(), true)),
        ([only], Some(to)) if only == to => Ok((only.clone(), true)),
        (_, to) => Err(Unplaced::Never(has_one(id, &have.join(" and "), to.unwrap_or("NODE")))),
    }
}

fn has_one(id: &str, parent: &str, to: &str) -> String {
    format!("{id} is a child of {parent} already; `tree move {id} --to {to}` changes that without loss")
}

/// What has to be written so that a node is nobody's child.
fn detachment(overview: &Overview, id: &str) -> Result<(Vec<String>, Vec<Write>), String> {
    let node = find(overview, id)?;
    // Whom it only stands by for goes on without.
    let edges = overview.edges.iter().filter(|edge| edge.from == id && !edge.standby);
    let below: Vec<&str> = edges.map(|edge| edge.to.as_str()).collect();
    let lives = !matches!(node.state, State::Gone | State::Unknown);
    if lives && !below.is_empty() {
        return Err(format!(
            "{id} has children ({}), which nothing would come to; `tree drain {id} --wait` gives them away first",
            below.join(", ")
        ));
    }
    if node.state == State::Doubtful {
        return Err(format!(
            "nobody has heard of {id} for some seconds, and it may live still; once its registration has expired, within a minute, it is gone"
        ));
    }
    if lives && node.viewers > 0 && node.state != State::Draining {
        return Err(format!(
            "{} watch at {id}, whom nothing would come to; `tree drain {id} --wait` moves them first",
            node.viewers
        ));
    }
    let have = parents(overview, id);
    let retire = |parent: &String| Write::Retire { node: id.to_owned(), parent: parent.clone() };
    let writes = have.iter().map(retire).chain(node.standby.iter().flat_map(|parent| unstand(id, parent)));
    let writes = writes.collect();
    Ok(([have, node.standby.clone()].concat(), writes))
}

/// Makes it the child of `to` or, without, of whom that fits.
pub async fn attach(
    overview: &Overview,
    commands: &Commands,
    id: &str,
    to: Option<&str>,
) -> Result<Placed, Unplaced> {
    let (parent, is_already) = attachment(overview, id, to)?;
    if !is_already {
        // Two who attach it at once: the second sees what the first has written.
        let mut claim = redis::pipe();
        claim.atomic().cmd("SET").arg(key::parent(id)).arg(&parent).arg("NX").ignore();
        claim.cmd("GET").arg(key::parent(id));
        let (has,): (String,) = commands.run(&claim).await.map_err(Unplaced::NotYet)?;
        if has.trim() != parent {
            return Err(Unplaced::Never(has_one(id, has.trim(), &parent)));
        }
        let give = Write::Give { to: parent.clone(), children: vec![id.to_owned()] };
        let point = Write::Point { child: id.to_owned(), from: Some(parent.clone()), to: parent.clone() };
        let write = commands.run::<redis::Value>(&Write::all(&[give, point])).await;
        write.map_err(Unplaced::NotYet)?;
    }
    Ok(Placed { node: id.to_owned(), parents: vec![parent], changed: !is_already })
}

/// Makes it nobody's child. An error is one line.
pub async fn detach(overview: &Overview, commands: &Commands, id: &str) -> Result<Placed, String> {
    let (parents, writes) = detachment(overview, id)?;
    if !writes.is_empty() {
        commands.run::<redis::Value>(&Write::all(&writes)).await?;
    }
    Ok(Placed { node: id.to_owned(), parents, changed: !writes.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::samples::{node, tree};

    /// The sample, and in it a node that is nobody's child.
    fn with(node_type: NodeType, id: &str, zone: &str) -> Overview {
        let mut tree = tree();
        let state = State::Unattached;
        tree.nodes.push(NodeView { state, zone: zone.to_owned(), ..node(node_type, id, None, 0) });
        tree
    }

    #[test]
    fn an_egress_goes_under_the_relay_with_the_fewest_children_of_its_zone() {
        let mut tree = with(NodeType::Egress, "e3", "a");
        // r1 has e1 and r2, r2 has e2.
        assert_eq!(attachment(&tree, "e3", None).unwrap().0, "r2");
        tree.nodes[1].zone = "a".to_owned();
        assert_eq!(attachment(&tree, "e3", None).unwrap().0, "r1");
        for state in [State::Draining, State::Doubtful, State::Unattached, State::CutOff] {
            tree.nodes[1].state = state;
            assert_eq!(attachment(&tree, "e3", None).unwrap().0, "r2", "{state:?}");
        }
        tree.nodes[3].state = State::Gone;
        assert_eq!(attachment(&tree, "e3", None).unwrap().0, "i");
        tree.nodes[0].state = State::Degraded;
        assert!(matches!(attachment(&tree, "e3", None), Err(Unplaced::NotYet(why)) if why.contains("--to")));
    }

    #[test]
    fn a_relay_goes_under_an_injection_even_if_that_has_nobody_yet() {
        let mut tree = with(NodeType::Relay, "r3", "");
        tree.nodes[0].state = State::Unattached;
        assert_eq!(attachment(&tree, "r3", None), Ok(("i".to_owned(), false)));
    }

    #[test]
    fn who_has_a_parent_keeps_it() {
        let tree = tree();
        assert_eq!(attachment(&tree, "e1", None), Ok(("r1".to_owned(), true)));
        assert_eq!(attachment(&tree, "e1", Some("r1")), Ok(("r1".to_owned(), true)));
        let never = |id, to| match attachment(&tree, id, to) {
            Err(Unplaced::Never(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(never("e1", Some("r2")).contains("tree move e1 --to r2"));
        assert!(never("i", None).contains("injection"));
        // It may still come.
        assert!(
            matches!(attachment(&tree, "e9", None), Err(Unplaced::NotYet(why)) if why.contains("no node e9"))
        );
    }

    #[test]
    fn nothing_is_attached_where_it_cannot_be() {
        let tree = with(NodeType::Egress, "e3", "");
        for (to, why) in [("e1", "no children"), ("e3", "no children"), ("r9", "no node r9")] {
            assert!(attachment(&tree, "e3", Some(to)).unwrap_err().why().contains(why), "{to}");
        }
    }

    #[test]
    fn nobody_is_left_in_the_dark() {
        let mut tree = tree();
        assert!(detachment(&tree, "r2").unwrap_err().contains("tree drain r2"));
        assert!(detachment(&tree, "e1").unwrap_err().contains("12 watch"));
        let (parents, writes) = detachment(&tree, "e2").unwrap();
        assert_eq!(parents, ["r2"]);
        assert_eq!(writes, [Write::Retire { node: "e2".to_owned(), parent: "r2".to_owned() }]);
        // Of one that is gone nobody gets anything any more.
        tree.nodes[3].state = State::Gone;
        assert_eq!(detachment(&tree, "r2").unwrap().0, ["r1"]);
        tree.nodes[2].state = State::Doubtful;
        assert!(detachment(&tree, "e1").unwrap_err().contains("within a minute"));
        // What cannot be given away may go: nobody can be sent elsewhere.
        tree.nodes[2].state = State::Draining;
        assert_eq!(detachment(&tree, "e1").unwrap().0, ["r1"]);
    }
}
