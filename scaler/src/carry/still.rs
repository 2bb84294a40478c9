//! Whether what was decided to be taken away may still go. Between the decision and the step somebody may have had to approve it, or no
//! scaler may have been there to take it. Pure.

use std::collections::BTreeMap;

use node::record::NodeType;

use crate::action::{Action, Kind};
use crate::books::Books;
use crate::model::Observation;
use crate::plan::is_carried_by_others;

/// Those that may not, and why, by name. To be asked before anything is taken from them.
pub fn may_not_go(action: &Action, seen: &Observation) -> BTreeMap<String, String> {
    let running = std::slice::from_ref(action);
    let books = Books::new(seen, running);
    let why: fn(&Books<'_>, &str) -> Option<String> = match &action.kind {
        Kind::Clear { .. } => lives_again,
        Kind::Shrink { .. } => is_needed,
        Kind::Slot { .. } | Kind::Grow { .. } => return BTreeMap::new(),
    };
    let names = action.nodes().into_iter();
    names.filter_map(|name| Some((name.to_owned(), why(&books, name)?))).collect()
}

/// It is cleared away without a drain.
fn lives_again(books: &Books<'_>, name: &str) -> Option<String> {
    books.lives(name).then(|| "was dead, and lives again".to_owned())
}

fn is_needed(books: &Books<'_>, name: &str) -> Option<String> {
    let node = books.node(name)?;
    if node.role == Some(NodeType::Egress) {
        let alone = !is_carried_by_others(books, name);
        return alone.then(|| "may be the only one that carries a session".to_owned());
    }
    let children = books.children(name);
    (children > 0).then(|| format!("has {children} children by now"))
}

#[cfg(test)]
mod tests {
    use node::overview::State;

    use super::*;
    use crate::action::Urgency;
    use crate::model::Node;

    fn node(id: &str, role: NodeType, parent: &str, state: State) -> Node {
        Node {
            id: id.to_owned(),
            role: Some(role),
            parent: Some(parent.to_owned()),
            standby: Vec::new(),
            state,
            viewers: 0,
            max_viewers: 100,
            zone: String::new(),
            packets_per_second: 0.0,
            bits_per_second: 0.0,
            url: None,
        }
    }

    fn stays(kind: Kind, seen: &Observation) -> Vec<String> {
        let id = "a".to_owned();
        let action = Action { id, kind, reason: String::new(), urgency: Urgency::Low, created: 0 };
        may_not_go(&action, seen).into_keys().collect()
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    fn tree() -> Observation {
        let egress = |id, state| node(id, NodeType::Egress, "r1", state);
        Observation {
            nodes: vec![
                node("r1", NodeType::Relay, "i", State::Ok),
                node("r2", NodeType::Relay, "i", State::Ok),
                egress("e1", State::Ok),
                egress("e2", State::Ok),
                egress("e3", State::Ok),
                egress("dead", State::Gone),
            ],
            carriers: [
                ("s1".to_owned(), names(&["e1", "e2", "e3"]).into_iter().collect()),
                ("s2".to_owned(), names(&["e1", "dead"]).into_iter().collect()),
            ]
            .into(),
            ..Observation::default()
        }
    }

    #[test]
    fn who_lives_is_not_cleared_away() {
        assert_eq!(stays(Kind::Clear { nodes: names(&["dead", "e1", "never"]) }, &tree()), ["e1"]);
    }

    #[test]
    fn the_last_carrier_and_a_relay_with_children_stay() {
        let shrink = |all: &[&str], seen: &Observation| stays(Kind::Shrink { nodes: names(all) }, seen);
        let mut seen = tree();
        assert_eq!(shrink(&["e1", "e2", "dead"], &seen), ["dead", "e1"]);
        assert_eq!(shrink(&["e2", "e3"], &seen), [""; 0], "e1 carries it, too");
        assert_eq!(shrink(&["r1", "r2"], &seen), ["r1"]);
        seen.nodes[2].standby = names(&["r2"]);
        assert_eq!(shrink(&["r1", "r2"], &seen), ["r1", "r2"], "it stands by for e1");
        seen.carriers.remove("s2");
        assert_eq!(shrink(&["e1", "e2", "e3"], &seen), ["e1", "e2", "e3"], "all of a session's at once");
        seen.carriers_unknown = Some("too many".to_owned());
        assert_eq!(shrink(&["e2"], &seen), ["e2"]);
    }
}
