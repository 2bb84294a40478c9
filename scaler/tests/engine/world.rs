//! A tree that does at once, or after a while, what is planned for it.

use std::collections::{BTreeMap, BTreeSet};

use node::overview::State;
use node::record::NodeType;
use scaler::action::{Action, Kind, Urgency};
use scaler::decide::{Decision, Memory, Verdict, decide};
use scaler::model::{Figures, Machine, Ms, Node, Observation, Reading};
use scaler::plan::{Ids, plan};
use scaler::provision::Spec;
use scaler::settings::Settings;
use scaler::think::{Thought, think};

/// When it all begins.
pub const BEGIN: Ms = 1_800_000_000_000;

/// A tree, its back end, and what is being done to it.
#[derive(Clone, Debug)]
pub struct World {
    pub settings: Settings,
    pub memory: Memory,
    pub now: Ms,
    pub nodes: BTreeMap<String, Node>,
    pub machines: BTreeMap<String, Machine>,
    pub slots: BTreeSet<String>,
    pub carriers: BTreeMap<String, BTreeSet<String>>,
    pub figures: Figures,
    pub running: Vec<(Action, Ms)>,
    /// Places of an egress that is made.
    pub places: u32,
    /// What an action takes, ms.
    pub takes: Ms,
    /// Actions fail.
    pub fails: bool,
    looks: u32,
}

impl World {
    /// An injection, and `egresses` for 300 viewers each, made by the back end, 16 under a relay.
    pub fn with(egresses: usize) -> World {
        let mut world = World {
            settings: Settings::default(),
            memory: Memory::default(),
            now: BEGIN,
            nodes: BTreeMap::new(),
            machines: BTreeMap::new(),
            slots: BTreeSet::new(),
            carriers: BTreeMap::new(),
            figures: Figures::default(),
            running: Vec::new(),
            places: 300,
            takes: 0,
            fails: false,
            looks: 0,
        };
        world.add("i", NodeType::Injection, None);
        for n in 0..egresses {
            let relay = format!("r{}", n / 16);
            if n % 16 == 0 {
                world.add(&relay, NodeType::Relay, Some("i"));
                world.machine(&relay, true);
                world.slots.insert(relay.clone());
            }
            let egress = format!("e{n:02}");
            world.add(&egress, NodeType::Egress, Some(&relay));
            world.machine(&egress, true);
        }
        world.calm();
        world
    }

    /// The same, with the pools that the template wants.
    pub fn with_pools(egresses: usize) -> World {
        let mut world = World::with(egresses);
        world.add("warm", NodeType::Relay, Some("i"));
        world.machine("warm", true);
        world.slots.insert("warm".to_owned());
        world.machine("cold-1", false);
        world.machine("cold-2", false);
        for name in ["cold-1", "cold-2"] {
            world.machines.get_mut(name).unwrap().role = NodeType::Relay;
        }
        world
    }

    pub fn add(&mut self, name: &str, role: NodeType, parent: Option<&str>) {
        let is_egress = role == NodeType::Egress;
        let node = Node {
            id: name.to_owned(),
            role: Some(role),
            parent: parent.map(str::to_owned),
            standby: Vec::new(),
            state: State::Ok,
            viewers: 0,
            max_viewers: if is_egress { self.places } else { 0 },
            zone: String::new(),
            packets_per_second: 187.0,
            bits_per_second: 1.4e6,
            url: None,
        };
        self.nodes.insert(name.to_owned(), node);
    }

    pub fn machine(&mut self, name: &str, running: bool) {
        let role = self.nodes.get(name).and_then(|node| node.role).unwrap_or(NodeType::Egress);
        let created = self.now - 3_600_000;
        let machine = Machine { role, running, created, zone: String::new() };
        self.machines.insert(name.to_owned(), machine);
    }

    pub fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).unwrap()
    }

    /// Prometheus has nothing to complain of, and says so now.
    pub fn calm(&mut self) {
        let is = |value| Some(Reading { value, at: self.now });
        self.figures = Figures {
            cpu: is(0.1),
            memory: is(0.2),
            drops: is(0.0),
            scraped: is(1.0),
            port_pool: None,
            overloaded: BTreeSet::new(),
            problem: None,
            unwanted: false,
        };
    }

    /// So many watch, spread evenly over who serves.
    pub fn viewers(&mut self, viewers: u32) {
        let mut left = viewers;
        for node in self.nodes.values_mut() {
            node.viewers = 0;
        }
        let serving: Vec<String> =
            self.nodes.values().filter(|node| node.serves()).map(|node| node.id.clone()).collect();
        for (n, name) in serving.iter().enumerate() {
            let node = self.nodes.get_mut(name).unwrap();
            node.viewers = left.div_ceil((serving.len() - n) as u32).min(node.max_viewers);
            node.state = if node.viewers == node.max_viewers { State::Full } else { State::Ok };
            left -= node.viewers;
        }
    }

    pub fn seen(&self) -> Observation {
        Observation {
            tree: "t".to_owned(),
            read: Some(self.now),
            problem: None,
            nodes: self.nodes.values().cloned().collect(),
            carriers: self.carriers.clone(),
            carriers_unknown: None,
            figures: self.figures.clone(),
            machines: Some(self.machines.clone()),
            slots: self.slots.clone(),
        }
    }

    pub fn running(&self) -> Vec<Action> {
        self.running.iter().map(|(action, _)| action.clone()).collect()
    }

    /// What is decided now, and remembered.
    pub fn decide(&mut self) -> Decision {
        let decision = self.decide_on(&self.seen());
        // Both are kept as JSON between two looks.
        let json = serde_json::to_string(&self.memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&json).unwrap(), self.memory, "{json}");
        let json = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision, "{json}");
        decision
    }

    /// What is decided on this, and remembered.
    pub fn decide_on(&mut self, seen: &Observation) -> Decision {
        let (decision, memory) = decide(&self.settings, &self.memory, seen, &self.running(), self.now);
        self.memory = memory;
        decision
    }

    /// What is planned now.
    pub fn plan(&mut self, decision: &Decision) -> Vec<Action> {
        self.looks += 1;
        let mut ids = Ids::new(format!("x{}", self.looks));
        plan(&self.settings, &self.seen(), decision, &self.running(), &mut ids, self.now)
    }

    /// A look, with all that follows; time goes on.
    pub fn look(&mut self) -> (Decision, Vec<Action>) {
        let seen = self.seen();
        self.look_on(&seen)
    }

    /// A look that sees this.
    pub fn look_on(&mut self, seen: &Observation) -> (Decision, Vec<Action>) {
        self.looks += 1;
        let mut ids = Ids::new(format!("x{}", self.looks));
        let running = self.running();
        let Thought { decision, actions, memory } =
            think(&self.settings, &self.memory, seen, &running, &mut ids, self.now);
        self.memory = memory;
        for action in &actions {
            self.running.push((action.clone(), self.now + self.takes));
        }
        self.carry_out();
        self.now += (self.settings.pace.look * 1_000.0) as Ms;
        (decision, actions)
    }

    /// Looks for so many seconds with the same viewers and figures; every decision but NOOP, with its time.
    pub fn looks(&mut self, seconds: u64, viewers: u32) -> Vec<(Ms, Verdict, u32)> {
        let end = self.now + seconds * 1_000;
        let mut all = Vec::new();
        while self.now < end {
            self.viewers(viewers);
            self.calm();
            let at = self.now;
            let (decision, _) = self.look();
            if decision.verdict != Verdict::Noop {
                all.push((at, decision.verdict, decision.count));
            }
        }
        all
    }

    fn carry_out(&mut self) {
        let (due, running) =
            std::mem::take(&mut self.running).into_iter().partition(|(_, due)| *due <= self.now);
        self.running = running;
        let due: Vec<(Action, Ms)> = due;
        for (action, _) in due {
            if !self.fails {
                self.done(&action.kind);
            }
            self.memory.ended(&action, !self.fails, self.now);
        }
    }

    fn start(&mut self, spec: &Spec) {
        if !self.nodes.get(&spec.name).is_some_and(|node| node.state != State::Gone) {
            self.add(&spec.name, spec.role, Some(&spec.parent));
        }
        let node = self.node(&spec.name);
        (node.parent, node.state) = (Some(spec.parent.clone()), State::Ok);
        node.zone.clone_from(&spec.zone);
        let machine = Machine { role: spec.role, running: true, created: self.now, zone: spec.zone.clone() };
        self.machines.insert(spec.name.clone(), machine);
    }

    /// An action has been carried out.
    pub fn done(&mut self, kind: &Kind) {
        match kind {
            Kind::Slot { relay, warm: true } => {
                self.start(relay);
                self.slots.insert(relay.name.clone());
            }
            Kind::Slot { relay, warm: false } => {
                let machine =
                    Machine { role: relay.role, running: false, created: self.now, zone: relay.zone.clone() };
                self.machines.insert(relay.name.clone(), machine);
            }
            Kind::Grow { slot, egresses } => {
                if let Some(relay) = &slot.start {
                    self.start(relay);
                    self.slots.insert(relay.name.clone());
                }
                assert!(self.nodes.contains_key(&slot.relay), "{} does not run", slot.relay);
                for egress in egresses {
                    assert_eq!(egress.parent, slot.relay);
                    self.start(egress);
                }
            }
            Kind::Shrink { nodes } | Kind::Clear { nodes } => {
                for name in nodes {
                    self.nodes.remove(name);
                    self.machines.remove(name);
                    self.slots.remove(name);
                    self.carriers.values_mut().for_each(|carriers| {
                        carriers.remove(name);
                    });
                }
            }
        }
    }

    pub fn egresses(&self) -> u32 {
        let egresses = self.nodes.values().filter(|node| node.role == Some(NodeType::Egress));
        egresses.count() as u32
    }
}

/// Specs of the egresses that actions make or attach.
pub fn grown(actions: &[Action]) -> Vec<&Spec> {
    let grows = actions.iter().filter_map(|action| match &action.kind {
        Kind::Grow { egresses, .. } => Some(egresses),
        _ => None,
    });
    grows.flatten().collect()
}

/// Relays that are made, and whether they are started.
pub fn slots(actions: &[Action]) -> Vec<(&str, bool)> {
    let slots = actions.iter().filter_map(|action| match &action.kind {
        Kind::Slot { relay, warm } => Some((relay.name.as_str(), *warm)),
        _ => None,
    });
    slots.collect()
}

/// Names of nodes that go orderly.
pub fn shrunk(actions: &[Action]) -> Vec<&str> {
    let shrinks = actions.iter().filter_map(|action| match &action.kind {
        Kind::Shrink { nodes } => Some(nodes),
        _ => None,
    });
    shrinks.flatten().map(String::as_str).collect()
}

/// Names of nodes that are cleared away.
pub fn cleared(actions: &[Action]) -> Vec<&str> {
    let clears = actions.iter().filter_map(|action| match &action.kind {
        Kind::Clear { nodes } => Some(nodes),
        _ => None,
    });
    clears.flatten().map(String::as_str).collect()
}

/// A decision for so many more.
pub fn out(count: u32) -> Decision {
    Decision {
        verdict: Verdict::ScaleOut,
        count,
        wanted: count,
        reason: "a test".to_owned(),
        urgency: Urgency::High,
        metrics: BTreeMap::new(),
        warnings: Vec::new(),
        known: true,
        paused: false,
        dead: Vec::new(),
        useless: Vec::new(),
    }
}
