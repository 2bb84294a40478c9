//! What goes wrong with a tree.

use ::node::record::NodeType;

use super::{Machine, World};
use crate::model::Ms;

/// Something that happens at a certain time; what lasts, lasts so many seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Mishap {
    /// So many egresses die at once, any.
    EgressesDie(usize),
    /// A relay dies that has children.
    RelayDies,
    /// All in a zone die, and nothing can be made there.
    ZoneIsLost(&'static str, f64),
    /// Prometheus does not answer.
    PrometheusIsAway(f64),
    /// Prometheus answers, and knows nothing new.
    PrometheusIsBlind(f64),
    /// The back end does not answer.
    BackEndIsAway(f64),
    /// Somebody changes `limits.maximum`.
    MaximumIs(u32),
    /// Nobody decides: the controller is away, or its Redis. It forgets nothing.
    NobodyLeads(f64),
}

impl World {
    /// It happens now.
    pub fn happens(&mut self, mishap: &Mishap) {
        let until = |seconds: f64| self.now + (seconds * 1000.0) as Ms;
        match mishap {
            Mishap::EgressesDie(number) => {
                for _ in 0..*number {
                    self.any_dies(NodeType::Egress);
                }
            }
            Mishap::RelayDies => self.any_dies(NodeType::Relay),
            Mishap::ZoneIsLost(zone, seconds) => {
                self.back_end.zone_away = Some(((*zone).to_owned(), until(*seconds)));
                let there = self.nodes.iter().filter(|(_, node)| node.zone == *zone);
                let there: Vec<String> = there.map(|(name, _)| name.clone()).collect();
                for name in there {
                    self.die(&name);
                }
            }
            Mishap::PrometheusIsAway(seconds) => self.prometheus.away_until = until(*seconds),
            Mishap::PrometheusIsBlind(seconds) => self.prometheus.blind_until = until(*seconds),
            Mishap::BackEndIsAway(seconds) => self.back_end.away_until = until(*seconds),
            // The run's own affair.
            Mishap::NobodyLeads(_) | Mishap::MaximumIs(_) => {}
        }
        self.media_flows();
    }

    fn any_dies(&mut self, role: NodeType) {
        let has_children = |name: &String| {
            role == NodeType::Egress
                || self.nodes.values().any(|child| child.parent.as_ref() == Some(name) && child.viewers > 0)
        };
        let lives = self
            .nodes
            .iter()
            .filter(|(name, node)| node.role == role && node.lives() && node.has_media && has_children(name));
        let lives: Vec<String> = lives.map(|(name, _)| name.clone()).collect();
        if let Some(name) = self.dice.one_of(&lives).cloned() {
            self.die(&name);
        }
    }

    /// A machine dies, and does not say so. Half of the back ends go on listing it.
    pub(super) fn die(&mut self, name: &str) {
        let is_listed = self.dice.happens(0.5);
        let Some(node) = self.nodes.get_mut(name) else { return };
        if !matches!(node.machine, Machine::Lives | Machine::Starts(_)) {
            return;
        }
        if node.lives() {
            node.heard = Some(self.now);
        }
        node.machine = if is_listed { Machine::Dead } else { Machine::Gone };
        self.books.died += 1;
    }
}
