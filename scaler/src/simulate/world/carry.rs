//! Takes the controller's steps, as the daemon's own `carry` does with a real tree.

use ::node::record::NodeType;

use super::{Node, World};
use crate::action::{Action, Fact, Facts, Failed, Patience, Step};
use crate::provision::Trouble;

impl World {
    /// What it was not done for.
    pub fn take(&mut self, step: &Step) -> Vec<Failed> {
        match step {
            Step::Make { nodes, start } => {
                let mut failed = Vec::new();
                for spec in nodes {
                    let result = self.make(spec, *start);
                    failed.extend(result.err().map(|trouble| of(&spec.name, trouble)));
                }
                failed
            }
            Step::Destroy { nodes } => {
                let mut failed = Vec::new();
                for name in nodes {
                    failed.extend(self.destroy(name).err().map(|trouble| of(name, trouble)));
                }
                failed
            }
            Step::Attach { parent, nodes } => {
                self.each(nodes, |node| node.parent = Some(parent.clone()));
                Vec::new()
            }
            Step::Detach { nodes } => {
                self.each(nodes, |node| node.parent = None);
                for name in nodes {
                    self.slots.remove(name);
                }
                Vec::new()
            }
            Step::Offer { relay, available } => {
                if *available {
                    self.slots.insert(relay.clone());
                } else {
                    self.slots.remove(relay);
                }
                Vec::new()
            }
            Step::Drain { nodes } => {
                let dead = nodes.iter().filter(|name| !self.nodes.get(*name).is_some_and(Node::lives));
                let failed = dead
                    .map(|name| Failed { node: name.clone(), why: "does not answer".to_owned(), again: true })
                    .collect();
                self.each(nodes, |node| node.draining = node.lives());
                failed
            }
            Step::Undrain { nodes } => {
                self.each(nodes, |node| node.draining = false);
                Vec::new()
            }
            Step::AwaitAlive { .. }
            | Step::Join { .. }
            | Step::AwaitReady { .. }
            | Step::AwaitDrained { .. }
            | Step::Announce => Vec::new(),
        }
    }

    fn each(&mut self, names: &[String], mut change: impl FnMut(&mut Node)) {
        for name in names {
            if let Some(node) = self.nodes.get_mut(name) {
                change(node);
            }
        }
    }

    fn is_empty(&self, name: &str, node: &Node) -> bool {
        match node.role {
            NodeType::Relay => !self.nodes.values().any(|child| child.parent.as_deref() == Some(name)),
            _ => node.viewers == 0 || !node.lives(),
        }
    }
}

fn of(node: &str, trouble: Trouble) -> Failed {
    Failed { node: node.to_owned(), why: trouble.why, again: trouble.again }
}

/// What an action asks of its nodes.
pub fn facts(world: &World, action: &Action, patience: Patience) -> Facts {
    let fact = |name: &&str| {
        let Some(node) = world.nodes.get(*name) else {
            return ((*name).to_owned(), Fact { empty: true, ..Fact::default() });
        };
        let fact = Fact {
            alive: node.lives(),
            ready: node.lives() && node.has_media,
            empty: world.is_empty(name, node),
        };
        ((*name).to_owned(), fact)
    };
    Facts { nodes: action.nodes().iter().map(fact).collect(), patience }
}
