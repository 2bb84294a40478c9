//! What there is of a tree, what is on its way and what is leaving, counted once for all who decide. Pure.

use std::collections::{BTreeMap, BTreeSet};

use node::overview::State;
use node::record::NodeType;

use crate::action::{Action, Kind};
use crate::model::{Machine, Node, Observation};

/// A tree and what is being done to it.
pub struct Books<'a> {
    seen: &'a Observation,
    nodes: BTreeMap<&'a str, &'a Node>,
    running: &'a [Action],
    /// Whom a running action names, in whatever part.
    busy: BTreeSet<&'a str>,
    /// Those that a running action takes away.
    going: BTreeSet<&'a str>,
    /// Egresses that a running action makes or attaches, and that do not serve yet.
    coming: BTreeSet<&'a str>,
    /// By parent, those that are to be its children soon among them.
    children: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Books<'a> {
    /// Of a tree and the actions that run.
    pub fn new(seen: &'a Observation, running: &'a [Action]) -> Books<'a> {
        let nodes: BTreeMap<&str, &Node> = seen.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut books = Books {
            seen,
            nodes,
            running,
            busy: BTreeSet::new(),
            going: BTreeSet::new(),
            coming: BTreeSet::new(),
            children: BTreeMap::new(),
        };
        for node in &seen.nodes {
            // Whoever stands by sends as much as a parent does, and is as little to be taken away.
            for parent in node.parent.iter().chain(&node.standby) {
                books.children.entry(parent).or_default().insert(&node.id);
            }
        }
        for action in running {
            books.enter(&action.kind);
        }
        books
    }

    fn enter(&mut self, kind: &'a Kind) {
        match kind {
            Kind::Slot { relay, warm } => {
                self.busy.insert(&relay.name);
                if *warm {
                    self.children.entry(&relay.parent).or_default().insert(&relay.name);
                }
            }
            Kind::Grow { slot, egresses } => {
                if let Some(relay) = &slot.start {
                    self.busy.insert(&relay.name);
                    self.children.entry(&relay.parent).or_default().insert(&relay.name);
                }
                for egress in egresses {
                    self.busy.insert(&egress.name);
                    self.children.entry(&slot.relay).or_default().insert(&egress.name);
                    if !self.node(&egress.name).is_some_and(Node::serves) {
                        self.coming.insert(&egress.name);
                    }
                }
            }
            Kind::Shrink { nodes } | Kind::Clear { nodes } => {
                self.busy.extend(nodes.iter().map(String::as_str));
                self.going.extend(nodes.iter().map(String::as_str));
            }
        }
    }

    /// What was seen.
    pub fn seen(&self) -> &'a Observation {
        self.seen
    }

    /// What is being done.
    pub fn running(&self) -> &'a [Action] {
        self.running
    }

    /// A node that was seen.
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.nodes.get(name).copied()
    }

    /// Whether a node was seen that is neither gone nor merely named.
    pub fn lives(&self, name: &str) -> bool {
        self.node(name).is_some_and(lives)
    }

    /// What the back end has under this name.
    pub fn machine(&self, name: &str) -> Option<&'a Machine> {
        self.seen.machines.as_ref()?.get(name)
    }

    /// A running action has to do with it.
    pub fn is_busy(&self, name: &str) -> bool {
        self.busy.contains(name)
    }

    /// A running action takes it away.
    pub fn is_going(&self, name: &str) -> bool {
        self.going.contains(name)
    }

    /// How many egresses are on their way: those that are being made, and those that need but another parent and get one at once.
    pub fn coming(&self) -> u32 {
        count(self.coming.len() + self.lost().count())
    }

    /// Children of a node, present and future ones, and those that it stands by for.
    pub fn children(&self, name: &str) -> u32 {
        self.children.get(name).map_or(0, |children| count(children.len()))
    }

    /// Egresses that viewers can be sent to, and that nothing takes away.
    pub fn staying(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.seen.nodes.iter().filter(|node| node.serves() && !self.is_going(&node.id))
    }

    /// Egresses that belong to the tree and cannot do their job, whatever the reason.
    pub fn ill(&self) -> impl Iterator<Item = &'a Node> + '_ {
        let is_ill = |node: &&Node| {
            node.role == Some(NodeType::Egress)
                && node.parent.is_some()
                && matches!(node.state, State::Degraded | State::CutOff | State::Doubtful | State::Gone)
        };
        self.seen.nodes.iter().filter(is_ill).filter(|node| !self.is_busy(&node.id))
    }

    /// Egresses of the tree of which nobody has heard for some seconds.
    pub fn doubtful(&self) -> impl Iterator<Item = &'a str> + '_ {
        let is_doubtful = |node: &&Node| node.role == Some(NodeType::Egress) && node.state == State::Doubtful;
        self.seen.nodes.iter().filter(is_doubtful).map(|node| node.id.as_str())
    }

    /// Egresses of the back end that live and whose parent does not.
    pub fn lost(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.adoptable().filter(|node| node.parent.is_some())
    }

    /// Egresses of the back end that live and have no parent, such as those that somebody has detached: they are used before new ones
    /// are made.
    pub fn spare(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.adoptable().filter(|node| node.parent.is_none())
    }

    /// Those need but be attached, somewhere.
    fn adoptable(&self) -> impl Iterator<Item = &'a Node> + '_ {
        let fits = |node: &&Node| {
            node.role == Some(NodeType::Egress)
                && matches!(node.state, State::CutOff | State::Unattached)
                && self.machine(&node.id).is_some_and(|machine| machine.running)
                && !self.is_busy(&node.id)
                && !node.parent.as_deref().and_then(|parent| self.node(parent)).is_some_and(works)
        };
        self.seen.nodes.iter().filter(fits)
    }

    /// A relay most of whose egresses say that nothing comes from it: it is dead, and has not been missed yet, or gets nothing itself.
    pub fn gives_nothing(&self, relay: &str) -> bool {
        let children = self.seen.nodes.iter().filter(|node| node.parent.as_deref() == Some(relay));
        let (mut cut_off, mut serving) = (0, 0);
        for child in children {
            cut_off += usize::from(child.state == State::CutOff);
            serving += usize::from(child.serves());
        }
        cut_off > serving
    }

    /// Viewers of all who may have some: those of a node that is being emptied need a place, too. Those of a node that nobody has heard
    /// of have gone elsewhere.
    pub fn viewers(&self) -> u32 {
        let has = |node: &&Node| lives(node) && node.state != State::Doubtful;
        let viewers = self.seen.nodes.iter().filter(has).map(|node| u64::from(node.viewers)).sum::<u64>();
        u32::try_from(viewers).unwrap_or(u32::MAX)
    }

    /// How many egresses there are, be it for the moment, those on their way among them: what counts against the maximum.
    pub fn existing(&self) -> u32 {
        let nodes = self.seen.nodes.iter().filter(|node| node.role == Some(NodeType::Egress) && lives(node));
        let nodes = nodes.map(|node| node.id.as_str());
        let machines = self.seen.machines.iter().flatten();
        let machines = machines.filter(|(_, machine)| machine.role == NodeType::Egress);
        let machines = machines.map(|(name, _)| name.as_str());
        let all: BTreeSet<&str> = nodes.chain(machines).chain(self.coming.iter().copied()).collect();
        count(all.len())
    }

    /// Egresses are being made or taken away.
    pub fn is_changing(&self) -> bool {
        self.running.iter().any(|action| match &action.kind {
            Kind::Grow { .. } | Kind::Shrink { .. } => true,
            Kind::Slot { .. } | Kind::Clear { .. } => false,
        })
    }

    /// How many edges a node is below its injection; `None`: no way leads there.
    pub fn level(&self, name: &str) -> Option<u32> {
        const DEEPEST: u32 = 32;
        let mut at = name;
        for level in 0..DEEPEST {
            let node = self.node(at)?;
            if node.role == Some(NodeType::Injection) {
                return Some(level);
            }
            at = node.parent.as_deref()?;
        }
        None
    }
}

/// It is neither gone nor merely named.
pub fn lives(node: &Node) -> bool {
    !matches!(node.state, State::Gone | State::Unknown)
}

/// It lives, and has been heard of.
pub fn works(node: &Node) -> bool {
    lives(node) && node.state != State::Doubtful
}

/// Of what is as many as nodes of a tree.
pub fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
