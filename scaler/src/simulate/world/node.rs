//! A node of the modelled tree: a machine that the back end has, and what the tree is told of it.

use node::contract::{NODE_DOUBTED, NODE_TTL};
use node::record::NodeType;

use crate::model::Ms;

/// What has become of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// It is there and was never started: a cold slot.
    Cold,
    /// It runs, and the node on it will live from then on; `None`: never, it hangs.
    Starts(Option<Ms>),
    /// The node lives.
    Lives,
    /// It has been told to end and is gone by then.
    Ends(Ms),
    /// It died, and the back end still lists it.
    Dead,
    /// There is none.
    Gone,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub role: NodeType,
    /// Where it stands.
    pub zone: String,
    /// The machine.
    pub machine: Machine,
    /// When that was made.
    pub created: Ms,
    /// When it was last heard of; `None`: it has not registered, or said that it goes.
    pub heard: Option<Ms>,
    /// Its parent, as Redis has it.
    pub parent: Option<String>,
    /// All of its parents up to an injection live.
    pub has_media: bool,
    /// Media has come to it before.
    pub had_media: bool,
    /// It gives away whom it has.
    pub draining: bool,
    /// Who watches.
    pub viewers: u32,
    /// Most who can.
    pub max_viewers: u32,
    /// Viewers who have come in the last step, a second.
    pub joins_a_second: f64,
}

impl Node {
    /// A machine of the back end that nobody has heard of yet.
    pub fn new(role: NodeType, zone: &str, machine: Machine, created: Ms, max_viewers: u32) -> Node {
        Node {
            role,
            zone: zone.to_owned(),
            machine,
            created,
            heard: None,
            parent: None,
            has_media: false,
            had_media: false,
            draining: false,
            viewers: 0,
            max_viewers,
            joins_a_second: 0.0,
        }
    }

    /// It does what it does.
    pub fn lives(&self) -> bool {
        matches!(self.machine, Machine::Lives)
    }

    /// The back end has it.
    pub fn is_made(&self) -> bool {
        self.machine != Machine::Gone
    }

    /// It costs nothing: it was never started, or is dead.
    pub fn is_idle(&self) -> bool {
        matches!(self.machine, Machine::Cold | Machine::Dead)
    }

    /// Media goes from it to viewers.
    pub fn plays(&self) -> bool {
        self.role == NodeType::Egress && self.lives() && self.has_media
    }

    /// For how long nobody has heard of it, ms; `None`: its registration has expired, or there never was one.
    pub fn unheard(&self, now: Ms) -> Option<u64> {
        let unheard = if self.lives() { 0 } else { now.saturating_sub(self.heard?) };
        self.heard.filter(|_| u128::from(unheard) < NODE_TTL.as_millis()).map(|_| unheard)
    }

    /// Nobody has heard of it for some seconds.
    pub fn is_doubtful(&self, now: Ms) -> bool {
        self.unheard(now).is_some_and(|unheard| u128::from(unheard) > NODE_DOUBTED.as_millis())
    }

    /// Viewers are sent to it: so the others believe, who do not know yet that it died.
    pub fn takes(&self, now: Ms) -> bool {
        self.role == NodeType::Egress
            && self.had_media
            && !self.draining
            && (self.has_media || !self.lives())
            && self.unheard(now).is_some()
            && !self.is_doubtful(now)
    }
}
