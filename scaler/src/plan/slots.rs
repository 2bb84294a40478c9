//! Which relays have room for how many, and who is the parent of a new one.

use std::collections::BTreeMap;

use node::overview::State;
use node::record::NodeType;

use super::Planner;
use crate::action::{Kind, Urgency};
use crate::books::{Books, lives};
use crate::model::Node;
use crate::provision::Spec;
use crate::settings::Template;

/// A relay that egresses can be put under.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The sooner it can be used the less.
    pub state: Readiness,
    /// Its name.
    pub relay: String,
    /// Where it stands.
    pub zone: String,
    /// How many more children it takes.
    pub room: u32,
    /// How it is started, and by whom it is fed; of a cold one that is only known once it is used.
    pub start: Option<Spec>,
}

/// How soon a slot can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It runs and is in the tree.
    Warm,
    /// The back end has it.
    Cold,
    /// It is yet to be made.
    New,
}

impl Planner<'_, '_> {
    /// How many children a relay takes that gets so much; of one that gets nothing now, by what comes to the tree.
    pub fn most_children(&self, relay: Option<&Node>) -> u32 {
        let template = &self.settings.template;
        let most = |of: fn(&Node) -> f64| {
            let own = relay.map(of).filter(|rate| *rate > 0.0);
            own.unwrap_or_else(|| self.books.seen().nodes.iter().map(of).fold(0.0, f64::max))
        };
        most_children(template, most(|node| node.packets_per_second), most(|node| node.bits_per_second))
    }

    /// Relays that run, are in the tree and offered, with the room that they have left.
    pub fn warm(&self) -> Vec<Slot> {
        let nodes = self.books.seen().nodes.iter().filter(|node| self.is_warm(node));
        let slots = nodes.map(|node| Slot {
            state: Readiness::Warm,
            relay: node.id.clone(),
            zone: node.zone.clone(),
            room: self.most_children(Some(node)).saturating_sub(self.children(&node.id)),
            start: None,
        });
        slots.filter(|slot| slot.room > 0).collect()
    }

    fn is_warm(&self, node: &Node) -> bool {
        let level = self.books.level(&node.id);
        is_relay(node)
            && node.state == State::Ok
            && self.books.seen().slots.contains(&node.id)
            && level.is_some_and(|level| level >= self.settings.template.depth)
            && !self.books.is_going(&node.id)
            && !self.used_up(&node.id)
            && !self.books.gives_nothing(&node.id)
    }

    /// Relays that the back end has and that are not in the tree, or not offered: they need but be started and attached. Those that run
    /// come first.
    pub fn idle(&self) -> Vec<(String, String)> {
        let machines = self.books.seen().machines.iter().flatten();
        let relays = machines.filter(|(name, machine)| {
            machine.role == NodeType::Relay && !self.books.is_busy(name) && !self.used.contains(*name)
        });
        let idle = relays.filter(|(name, machine)| match self.books.node(name) {
            None => !machine.running,
            Some(node) => machine.running && self.is_unattached(node),
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_by_key(|(name, machine)| (!machine.running, *name));
        idle.into_iter().map(|(name, machine)| (name.clone(), machine.zone.clone())).collect()
    }

    fn is_unattached(&self, node: &Node) -> bool {
        is_relay(node)
            && lives(node)
            && match node.state {
                State::Unattached => self.children(&node.id) == 0,
                // What is undone is taken away: that is for none that has children.
                State::Ok => {
                    !self.books.seen().slots.contains(&node.id)
                        && self.books.level(&node.id) == Some(self.settings.template.depth)
                        && self.children(&node.id) == 0
                }
                _ => false,
            }
    }

    fn used_up(&self, name: &str) -> bool {
        self.decision.dead.iter().any(|dead| dead == name)
    }

    /// Who feeds a new slot. `None`: nobody can, yet; if it is a relay that is missing it is made.
    pub fn parent_of_slot(&mut self) -> Option<String> {
        self.parent_at(self.settings.template.depth - 1)
    }

    /// Somebody so many levels below an injection who takes one more child.
    fn parent_at(&mut self, level: u32) -> Option<String> {
        if level == 0 {
            return injection(self.books);
        }
        let nodes = self.books.seen().nodes.iter();
        let above = nodes.filter(|node| {
            is_relay(node)
                && node.state == State::Ok
                && self.books.level(&node.id) == Some(level)
                && !self.books.is_busy(&node.id)
                && self.children(&node.id) < self.most_children(Some(node))
        });
        // The fullest, so that as few as possible are needed.
        let fullest = above.max_by_key(|node| (self.children(&node.id), std::cmp::Reverse(node.id.clone())));
        if let Some(node) = fullest {
            return Some(node.id.clone());
        }
        if !self.is_coming(level) && !self.decision.paused {
            let parent = self.parent_at(level - 1)?;
            let zone = self.emptiest_zone(&BTreeMap::new());
            let relay = self.spec(NodeType::Relay, &parent, &zone);
            self.give_child(&parent);
            let reason = format!("relays of level {} need one of level {level} above them", level + 1);
            self.push(Kind::Slot { relay, warm: true }, reason, Urgency::High);
        }
        None
    }

    /// A relay of this level is being made.
    fn is_coming(&self, level: u32) -> bool {
        let all = self.books.running().iter().chain(&self.plan);
        all.into_iter().any(|action| match &action.kind {
            Kind::Slot { relay, warm: true } => self.books.level(&relay.parent) == Some(level - 1),
            _ => false,
        })
    }

    /// The zone of the template that has fewest egresses and room for fewest; `more`: those that are not in the books yet.
    pub fn emptiest_zone(&self, more: &BTreeMap<String, u32>) -> String {
        let zones = &self.settings.template.zones;
        let nodes = &self.books.seen().nodes;
        let has = |zone: &&String| {
            let egresses = nodes
                .iter()
                .filter(|node| node.role == Some(NodeType::Egress) && lives(node) && node.zone == **zone);
            let coming = more.get(*zone).copied().unwrap_or(0);
            egresses.count() + coming as usize + self.coming_to(zone)
        };
        zones.iter().min_by_key(has).cloned().unwrap_or_default()
    }

    /// Egresses that running and planned actions put there.
    fn coming_to(&self, zone: &str) -> usize {
        let all = self.books.running().iter().chain(&self.plan);
        let egresses = all.filter_map(|action| match &action.kind {
            Kind::Grow { egresses, .. } => Some(egresses),
            _ => None,
        });
        let new = egresses.flatten().filter(|egress| egress.zone == zone && !self.books.lives(&egress.name));
        new.count()
    }
}

/// Limits of a template, for a stream of so much.
fn most_children(template: &Template, packets: f64, bits: f64) -> u32 {
    let within = |limit: u64, rate: f64| {
        if limit == 0 || rate <= 0.0 { u32::MAX } else { (limit as f64 / rate) as u32 }
    };
    let rates = within(template.packets_per_second, packets).min(within(template.bits_per_second, bits));
    // A relay that may not even feed one is told to all the same: nothing smaller can be made.
    template.children.min(rates).max(1)
}

/// The injection that feeds most already.
fn injection(books: &Books<'_>) -> Option<String> {
    let nodes = books.seen().nodes.iter();
    let can = nodes.filter(|node| {
        node.role == Some(NodeType::Injection) && matches!(node.state, State::Ok | State::Unattached)
    });
    let most = can.max_by_key(|node| (books.children(&node.id), std::cmp::Reverse(&node.id)));
    most.map(|node| node.id.clone())
}

fn is_relay(node: &Node) -> bool {
    node.role == Some(NodeType::Relay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_packets_and_bits_limit_a_relay() {
        let of = |packets_per_second, bits_per_second| Template {
            packets_per_second,
            bits_per_second,
            ..Template::default()
        };
        assert_eq!(most_children(&of(0, 0), 187.0, 1.4e6), 16);
        assert_eq!(most_children(&of(1_000, 0), 187.0, 1.4e6), 5);
        assert_eq!(most_children(&of(1_000, 4_300_000), 187.0, 1.4e6), 3);
        assert_eq!(most_children(&of(1_000, 1), 0.0, 0.0), 16, "nothing comes");
        assert_eq!(most_children(&of(1, 0), 187.0, 1.4e6), 1);
    }
}
