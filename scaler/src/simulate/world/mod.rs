//! The modelled tree. An injection that never fails is at its root; all else is made by the controller, and may fail.
//!
//! | file | is |
//! |---|---|
//! | `node.rs` | a node, and what the others know of it |
//! | `crowd.rs` | who watches where, and who waits |
//! | `back_end.rs` | makes machines, which takes time and may fail |
//! | `carry.rs` | takes the controller's steps |
//! | `seen.rs` | what the controller sees |
//! | `prometheus.rs` | what Prometheus says, and when |
//! | `mishaps.rs` | what goes wrong |

mod back_end;
mod carry;
mod crowd;
mod mishaps;
mod node;
mod prometheus;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use ::node::record::NodeType;

pub use back_end::BackEnd;
pub use carry::facts;
pub use mishaps::Mishap;
pub use node::{Machine, Node};

use crate::model::Ms;
use crate::simulate::chance::Dice;
use crate::simulate::figures::Costs;
use crowd::{Crowd, Seats, Step};
use prometheus::Prometheus;

/// The root.
pub const INJECTION: &str = "injection-1";
/// Name of the tree.
pub const TREE: &str = "tree";
/// More levels than that has no tree: a loop of parents ends here.
const MOST_LEVELS: usize = 16;

/// What egresses run on, and who watches.
#[derive(Clone, Debug, PartialEq)]
pub struct Hardware {
    /// Most viewers of an egress: docs/capacity.md, *Two servers*.
    pub max_viewers: u32,
    /// Cores.
    pub cores: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// For how long a viewer watches, seconds: as many come as go.
    pub stays: f64,
}

impl Default for Hardware {
    /// Two cores and 2 GiB, as the documents' t3.small.
    fn default() -> Hardware {
        Hardware { max_viewers: 1000, cores: 2.0, memory: 2.0 * 1024.0 * 1024.0 * 1024.0, stays: 1800.0 }
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Books {
    /// Seconds that viewers watched.
    pub watched: f64,
    /// Seconds that viewers waited because there was no place.
    pub in_the_dark: f64,
    /// Seconds that viewers waited for their turn.
    pub at_the_door: f64,
    /// Most viewers at once without a place.
    pub most_in_the_dark: u32,
    /// Longest time that any viewer waited, ms.
    pub longest_wait: u64,
    /// Viewers whose egress died, or got no media any more.
    pub lost_egress: u64,
    /// Viewers who were on an egress that was taken away.
    pub thrown_out: u64,
    /// Seconds that egresses were there.
    pub egress_seconds: f64,
    /// Seconds that relays ran.
    pub relay_seconds: f64,
    /// Machines that died.
    pub died: u32,
}

impl Books {
    /// Of all the time that viewers watched or had no place.
    pub fn part_in_the_dark(&self) -> f64 {
        self.in_the_dark / (self.watched + self.in_the_dark).max(1.0)
    }
}

/// The tree, its viewers, and all that they depend on.
pub struct World {
    /// The clock.
    pub now: Ms,
    /// All nodes, by name.
    pub nodes: BTreeMap<String, Node>,
    /// `relay-slots:{tree}:available`.
    pub slots: BTreeSet<String>,
    /// What has happened so far.
    pub books: Books,
    /// What the last step was like.
    pub step: Step,
    crowd: Crowd,
    costs: Costs,
    hardware: Hardware,
    back_end: BackEnd,
    prometheus: Prometheus,
    /// Odds that a machine dies within a second.
    deaths: f64,
    dice: Dice,
}

impl World {
    /// Nothing but an injection, at some time.
    pub fn new(
        now: Ms,
        hardware: Hardware,
        costs: Costs,
        back_end: BackEnd,
        deaths: f64,
        dice: Dice,
    ) -> World {
        let mut injection = Node::new(NodeType::Injection, "", Machine::Lives, now, 0);
        injection.heard = Some(now);
        injection.has_media = true;
        World {
            now,
            nodes: BTreeMap::from([(INJECTION.to_owned(), injection)]),
            slots: BTreeSet::new(),
            books: Books::default(),
            step: Step::default(),
            crowd: Crowd::default(),
            costs,
            hardware,
            back_end,
            prometheus: Prometheus::default(),
            deaths,
            dice,
        }
    }

    /// Time passes; so many want to watch at the end of it.
    pub fn pass(&mut self, seconds: f64, wanted: f64) {
        self.now += (seconds * 1000.0) as Ms;
        self.machines_go_on(seconds);
        self.media_flows();
        self.viewers_come_and_go(seconds, wanted);
        let now = self.now;
        // What nobody has, and nobody has heard of for long, is forgotten.
        self.nodes.retain(|_, node| node.is_made() || node.parent.is_some() || node.unheard(now).is_some());
        self.prometheus.scrape(now, &self.nodes, &self.costs, &self.hardware);
        self.keep_books(seconds);
    }

    /// All who watch.
    pub fn watching(&self) -> u32 {
        self.nodes.values().map(|node| node.viewers).sum()
    }

    /// All who want to and do not.
    pub fn waiting(&self) -> u32 {
        self.crowd.waiting()
    }

    /// Places, taken or not, of egresses that newcomers are sent to.
    pub fn places(&self) -> u32 {
        let takes = self.nodes.values().filter(|node| node.plays() && node.takes(self.now));
        takes.map(|node| node.max_viewers).sum()
    }

    /// Nodes of a kind whose machine is so.
    pub fn count(&self, role: NodeType, is: impl Fn(&Node) -> bool) -> usize {
        self.nodes.values().filter(|node| node.role == role && is(node)).count()
    }

    fn machines_go_on(&mut self, seconds: f64) {
        let mut dying = Vec::new();
        for (name, node) in &mut self.nodes {
            match node.machine {
                Machine::Starts(Some(until)) if until <= self.now => {
                    node.machine = Machine::Lives;
                    node.heard = Some(self.now);
                }
                Machine::Ends(until) if until <= self.now => {
                    node.machine = Machine::Gone;
                    node.heard = None;
                    self.books.thrown_out += u64::from(node.viewers);
                    self.crowd.wait(self.now, std::mem::take(&mut node.viewers));
                }
                _ => {}
            }
            let can_die = self.deaths > 0.0 && node.lives() && node.role != NodeType::Injection;
            if can_die && self.dice.happens(self.deaths * seconds) {
                dying.push(name.clone());
            }
        }
        for name in dying {
            self.die(&name);
        }
    }

    fn media_flows(&mut self) {
        let reached: Vec<bool> = self.nodes.keys().map(|name| self.is_reached(name)).collect();
        for (node, reached) in self.nodes.values_mut().zip(reached) {
            node.has_media = reached;
            node.had_media |= reached;
            // An egress that is told to end serves until it is empty, or its time is over.
            if !reached && node.viewers > 0 && !matches!(node.machine, Machine::Ends(_)) {
                self.books.lost_egress += u64::from(node.viewers);
                self.crowd.wait(self.now, std::mem::take(&mut node.viewers));
            }
        }
    }

    /// It lives, and so do all above it.
    fn is_reached(&self, name: &str) -> bool {
        let mut name = name;
        for _ in 0..MOST_LEVELS {
            match self.nodes.get(name) {
                Some(node) if node.lives() && node.role == NodeType::Injection => return true,
                Some(Node { parent: Some(parent), machine: Machine::Lives, .. }) => name = parent,
                _ => return false,
            }
        }
        false
    }

    fn viewers_come_and_go(&mut self, seconds: f64, wanted: f64) {
        let now = self.now;
        let turns = (self.costs.joins_a_second * seconds) as u32;
        let mut seats = Vec::new();
        for node in self.nodes.values_mut().filter(|node| node.role == NodeType::Egress) {
            let (is_offered, plays) = (node.takes(now), node.plays());
            seats.push(Seats {
                most: node.max_viewers,
                is_offered,
                plays,
                gives_away: node.draining,
                turns,
                viewers: &mut node.viewers,
            });
        }
        let leaving = seconds / self.hardware.stays;
        self.crowd.come_and_go(&mut seats, wanted, leaving, now, &mut self.dice);
        self.step = self.crowd.find_places(&mut seats, now, &mut self.dice);
        let joined: Vec<f64> = seats.iter().map(|seats| f64::from(turns - seats.turns) / seconds).collect();
        let egresses = self.nodes.values_mut().filter(|node| node.role == NodeType::Egress);
        for (node, joined) in egresses.zip(joined) {
            node.joins_a_second = joined;
        }
    }

    fn keep_books(&mut self, seconds: f64) {
        let Step { in_the_dark, at_the_door, longest_wait } = self.step;
        self.books.watched += f64::from(self.watching()) * seconds;
        self.books.in_the_dark += f64::from(in_the_dark) * seconds;
        self.books.at_the_door += f64::from(at_the_door) * seconds;
        self.books.most_in_the_dark = self.books.most_in_the_dark.max(in_the_dark);
        self.books.longest_wait = self.books.longest_wait.max(longest_wait);
        let runs = |node: &Node| node.is_made() && !node.is_idle();
        self.books.egress_seconds += self.count(NodeType::Egress, runs) as f64 * seconds;
        self.books.relay_seconds += self.count(NodeType::Relay, runs) as f64 * seconds;
    }
}
