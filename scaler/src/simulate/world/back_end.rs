//! A back end that makes machines: it takes as long as it is said to, and fails as often.

use ::node::record::NodeType;

use super::{Machine, Node, World};
use crate::model::Ms;
use crate::provision::{Spec, Trouble};
use crate::simulate::chance::Takes;

/// Of what kind.
#[derive(Clone, Debug, PartialEq)]
pub struct BackEnd {
    /// From the order until the node registers.
    pub starts: Takes,
    /// From the order to end until it is gone, once it is empty.
    pub ends: Takes,
    /// Odds that it refuses to make a machine, and may not another time.
    pub refuses: f64,
    /// Odds that what it makes never registers.
    pub hangs: f64,
    /// It answers nothing until then.
    pub away_until: Ms,
    /// A zone in which there is nothing until then.
    pub zone_away: Option<(String, Ms)>,
}

impl BackEnd {
    /// Virtual machines: the documents have 30 s for a cold start, and 90 s until it is given up.
    pub const MACHINES: BackEnd = BackEnd {
        starts: Takes { median: 30.0, p95: 45.0 },
        ends: Takes { median: 2.0, p95: 5.0 },
        refuses: 0.0,
        hangs: 0.0,
        away_until: 0,
        zone_away: None,
    };
    /// Containers on machines that are there.
    pub const CONTAINERS: BackEnd = BackEnd { starts: Takes { median: 4.0, p95: 8.0 }, ..BackEnd::MACHINES };

    fn trouble(&self, now: Ms) -> Result<(), Trouble> {
        let trouble = || Trouble { why: "the back end does not answer".to_owned(), again: true };
        if now < self.away_until { Err(trouble()) } else { Ok(()) }
    }
}

impl World {
    /// It answers.
    pub fn back_end_answers(&self) -> bool {
        self.back_end.trouble(self.now).is_ok()
    }

    /// As [`crate::provision::Provisioner::make`].
    pub fn make(&mut self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        self.back_end.trouble(self.now)?;
        let now = self.now;
        let is_away = |(zone, until): &(String, Ms)| *zone == spec.zone && now < *until;
        if self.back_end.zone_away.as_ref().is_some_and(is_away) {
            return Err(Trouble { why: format!("there is nothing to be had in {}", spec.zone), again: true });
        }
        let is_there = |node: &&Node| !matches!(node.machine, Machine::Gone | Machine::Dead);
        let there = self.nodes.get(&spec.name).filter(is_there).map(|node| node.machine);
        if there.is_some_and(|machine| machine != Machine::Cold || !start) {
            return Ok(());
        }
        if self.dice.happens(self.back_end.refuses) {
            return Err(Trouble { why: "no capacity".to_owned(), again: true });
        }
        let machine = if !start {
            Machine::Cold
        } else if self.dice.happens(self.back_end.hangs) {
            Machine::Starts(None)
        } else {
            Machine::Starts(Some(now + (self.dice.seconds(self.back_end.starts) * 1000.0) as Ms))
        };
        let most = if spec.role == NodeType::Egress { self.hardware.max_viewers } else { 0 };
        let parent = self.nodes.get(&spec.name).and_then(|node| node.parent.clone());
        let node = Node { parent, ..Node::new(spec.role, &spec.zone, machine, now, most) };
        self.nodes.insert(spec.name.clone(), node);
        Ok(())
    }

    /// As [`crate::provision::Provisioner::destroy`].
    pub fn destroy(&mut self, name: &str) -> Result<(), Trouble> {
        self.back_end.trouble(self.now)?;
        let takes = (self.dice.seconds(self.back_end.ends) * 1000.0) as Ms;
        if let Some(node) = self.nodes.get_mut(name) {
            match node.machine {
                Machine::Lives => {
                    node.machine = Machine::Ends(self.now + takes);
                    node.draining = true;
                }
                Machine::Ends(_) | Machine::Gone => {}
                Machine::Cold | Machine::Starts(_) | Machine::Dead => node.machine = Machine::Gone,
            }
        }
        Ok(())
    }
}
