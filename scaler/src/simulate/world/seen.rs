//! What the controller sees of the tree: as `node::overview` shows it, and as the back end lists it.

use std::collections::{BTreeMap, BTreeSet};

use ::node::overview::State;
use ::node::record::NodeType;

use super::{Machine, Node, TREE, World};
use crate::model::{self, Observation};
use crate::simulate::figures::{BITS_A_SECOND, PACKETS_A_SECOND};

/// The one session.
const SESSION: &str = "broadcast";

impl World {
    /// All of it.
    pub fn seen(&self) -> Observation {
        let nodes = self.nodes.iter().filter(|(_, node)| self.is_known(node));
        let carriers: BTreeSet<String> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.plays() && node.unheard(self.now).is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let carriers = if carriers.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(SESSION.to_owned(), carriers)])
        };
        Observation {
            tree: TREE.to_owned(),
            read: Some(self.now),
            problem: None,
            nodes: nodes.map(|(name, node)| self.shown(name, node)).collect(),
            carriers,
            carriers_unknown: None,
            figures: self.prometheus.figures(self.now),
            machines: self.back_end_answers().then(|| self.listed()),
            slots: self.slots.clone(),
        }
    }

    /// It has registered, or somebody is said to be its parent.
    fn is_known(&self, node: &Node) -> bool {
        node.unheard(self.now).is_some() || node.parent.is_some()
    }

    fn shown(&self, name: &str, node: &Node) -> model::Node {
        let flow = if node.has_media { 1.0 } else { 0.0 };
        model::Node {
            id: name.to_owned(),
            // Whatever ever registered has said what it is.
            role: (node.heard.is_some()).then_some(node.role),
            parent: node.parent.clone(),
            standby: Vec::new(),
            state: self.state(node),
            viewers: node.viewers,
            max_viewers: node.max_viewers,
            zone: node.zone.clone(),
            packets_per_second: PACKETS_A_SECOND * flow,
            bits_per_second: BITS_A_SECOND * flow,
            url: node.heard.map(|_| format!("http://{name}")),
        }
    }

    fn state(&self, node: &Node) -> State {
        if node.unheard(self.now).is_none() {
            return if node.heard.is_some() { State::Gone } else { State::Unknown };
        }
        if node.is_doubtful(self.now) {
            return State::Doubtful;
        }
        if node.draining {
            return State::Draining;
        }
        // Of one that died a moment ago nobody knows yet.
        if node.had_media && !node.has_media && node.lives() {
            return State::CutOff;
        }
        if node.parent.is_none() && node.role != NodeType::Injection {
            return State::Unattached;
        }
        if node.max_viewers > 0 && node.viewers >= node.max_viewers { State::Full } else { State::Ok }
    }

    fn listed(&self) -> BTreeMap<String, model::Machine> {
        let made = self.nodes.iter().filter(|(_, node)| node.is_made() && node.role != NodeType::Injection);
        let machine = |node: &Node| model::Machine {
            role: node.role,
            running: !matches!(node.machine, Machine::Cold | Machine::Dead),
            created: node.created,
            zone: node.zone.clone(),
        };
        made.map(|(name, node)| (name.clone(), machine(node))).collect()
    }
}
