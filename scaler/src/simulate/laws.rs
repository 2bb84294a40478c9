//! What must be true of a tree, whatever happens: each law that is broken is a sentence.

use std::collections::{BTreeMap, BTreeSet};

use node::record::NodeType;

use super::world::{INJECTION, Machine, Node, World};
use crate::action::{Action, Kind};
use crate::model::{Ms, Observation};
use crate::settings::Settings;

/// What is of no use and nobody takes away is an orphan after this, ms: longer than it takes until a node is given up, and undone.
const ORPHAN_AFTER: Ms = 600_000;
/// An action has ended by then, ms, whatever the back end does.
const ENDS_WITHIN: Ms = 3_600_000;
/// So soon, ms, there are no more egresses than a maximum that has been lowered.
const LOWERED_WITHIN: Ms = 120_000;
/// Of each law, so many sentences.
const MOST_SENTENCES: usize = 3;
/// More than this part more viewers, and it is right to make more egresses soon after some were taken away.
const MORE_VIEWERS: f64 = 1.05;

/// Looked at all the time.
pub struct Laws {
    settings: Settings,
    /// Until then there may be more than the maximum, which has been lowered.
    over_until: Ms,
    /// Law, and what broke it.
    broken: BTreeMap<&'static str, Vec<String>>,
    /// Egresses were made last, and taken away last; viewers who were there then, and machines that had died.
    made: Option<Ms>,
    taken: Option<(Ms, f64, u32)>,
    /// Since when something is not as it should be, by what it is.
    since: BTreeMap<String, Ms>,
    /// Nothing can be done about it now.
    is_hindered: bool,
}

impl Laws {
    /// Of a tree with these settings.
    pub fn new(settings: &Settings) -> Laws {
        Laws {
            settings: settings.clone(),
            over_until: 0,
            broken: BTreeMap::new(),
            made: None,
            taken: None,
            since: BTreeMap::new(),
            is_hindered: false,
        }
    }

    /// What was broken, a sentence each.
    pub fn broken(&self) -> Vec<String> {
        let sentences =
            self.broken.iter().flat_map(|(law, why)| why.iter().map(move |why| format!("{law}: {why}")));
        sentences.collect()
    }

    fn breaks(&mut self, law: &'static str, now: Ms, why: String) {
        let sentences = self.broken.entry(law).or_default();
        if sentences.len() < MOST_SENTENCES {
            sentences.push(format!("at {} s, {why}", now / 1000));
        }
    }

    /// For a while things can be as they should not be: no back end, or nobody who decides.
    pub fn hinder(&mut self, is_hindered: bool) {
        self.is_hindered = is_hindered;
    }

    /// Somebody has changed the maximum: after a while it holds.
    pub fn maximum_is(&mut self, maximum: u32, now: Ms) {
        self.settings.limits.maximum = maximum;
        self.over_until = now + LOWERED_WITHIN;
    }

    /// Something is going to be done.
    pub fn is_recorded(&mut self, action: &Action, seen: &Observation, world: &World) {
        let now = world.now;
        let viewers = f64::from(world.watching() + world.waiting());
        match &action.kind {
            Kind::Grow { .. } => {
                let rest = (self.settings.pace.in_rest * 1000.0) as Ms;
                let just_taken = self.taken.filter(|(at, ..)| now < at + rest);
                if let Some((at, then, died)) = just_taken
                    && viewers < then * MORE_VIEWERS
                    && died == world.books.died
                {
                    let ago = (now - at) / 1000;
                    self.breaks(
                        "no flapping",
                        now,
                        format!("egresses are made {ago} s after others were taken away: {}", action.reason),
                    );
                }
                self.made = Some(now);
            }
            Kind::Shrink { nodes } => self.is_shrunk(action, nodes, seen, world, viewers),
            Kind::Slot { .. } | Kind::Clear { .. } => {}
        }
    }

    fn is_shrunk(
        &mut self,
        action: &Action,
        nodes: &[String],
        seen: &Observation,
        world: &World,
        viewers: f64,
    ) {
        let now = world.now;
        let going: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
        let serves = |node: &&crate::model::Node| node.serves() && going.contains(node.id.as_str());
        // What serves nobody is cleared away whenever that is seen.
        if seen.nodes.iter().filter(serves).count() == 0 {
            return;
        }
        let stays = |node: &&crate::model::Node| node.serves() && !going.contains(node.id.as_str());
        let left = seen.nodes.iter().filter(stays).count();
        let free: u32 = seen.nodes.iter().filter(stays).map(crate::model::Node::free).sum();
        let moved: u32 =
            seen.nodes.iter().filter(|node| going.contains(node.id.as_str())).map(|node| node.viewers).sum();
        if left < self.settings.limits.baseline as usize {
            self.breaks(
                "never under the baseline",
                now,
                format!("{left} egresses would be left: {}", action.reason),
            );
        }
        let maximum = self.settings.limits.maximum as usize;
        let is_over = seen.nodes.iter().filter(|node| node.serves()).count() > maximum;
        let ready = if is_over { 0 } else { self.settings.limits.ready_places };
        if is_over && left < maximum {
            self.breaks("no fewer than the maximum", now, format!("{left} would be left: {}", action.reason));
        }
        if free < moved + ready {
            self.breaks(
                "some places stay free",
                now,
                format!("{free} for {moved} who are moved: {}", action.reason),
            );
        }
        for (session, carriers) in &seen.carriers {
            if carriers.iter().all(|carrier| going.contains(carrier.as_str())) {
                self.breaks("somebody carries each session", now, format!("nobody would carry {session}"));
            }
        }
        let rest = (self.settings.pace.in_rest * 1000.0) as Ms;
        if let Some(at) = self.made.filter(|at| now < at + rest && !is_over) {
            let ago = (now - at) / 1000;
            self.breaks(
                "no flapping",
                now,
                format!("egresses are taken away {ago} s after others were made: {}", action.reason),
            );
        }
        self.taken = Some((now, viewers, world.books.died));
    }

    /// As it is now.
    pub fn look(&mut self, world: &World, running: &[Action]) {
        let now = world.now;
        let counts = |node: &Node| matches!(node.machine, Machine::Starts(_) | Machine::Lives);
        let egresses = world.count(NodeType::Egress, counts);
        if egresses > self.settings.limits.maximum as usize && now >= self.over_until {
            self.breaks("never over the maximum", now, format!("there are {egresses} egresses"));
        }
        let mut children: BTreeMap<&str, u32> = BTreeMap::new();
        for (name, node) in &world.nodes {
            if node.viewers > node.max_viewers {
                self.breaks("nobody on a full node", now, format!("{name} has {} viewers", node.viewers));
            }
            if let Some(parent) = node.parent.as_deref().filter(|parent| *parent != INJECTION) {
                *children.entry(parent).or_default() += 1;
            }
        }
        for (parent, number) in children {
            if number > self.settings.template.children {
                self.breaks("no relay has too many children", now, format!("{parent} has {number}"));
            }
        }
        if world.books.thrown_out > 0 {
            self.breaks("nobody is thrown out", now, format!("{} viewers were", world.books.thrown_out));
        }
        for action in running {
            if now > action.created + ENDS_WITHIN {
                self.breaks(
                    "every action ends",
                    now,
                    format!("{} of {} s has not", action.id, action.created / 1000),
                );
            }
        }
        self.look_for_orphans(world, running);
    }

    /// What is of no use for long.
    fn look_for_orphans(&mut self, world: &World, running: &[Action]) {
        let now = world.now;
        if self.is_hindered {
            self.since.clear();
            return;
        }
        let busy: BTreeSet<&str> = running.iter().flat_map(Action::nodes).collect();
        let mut found = Vec::new();
        for (name, node) in world.nodes.iter().filter(|(name, _)| !busy.contains(name.as_str())) {
            if let Some(what) = orphaned(world, node) {
                found.push(format!("{name} ({:?}) {what}", node.role));
            }
        }
        for slot in world.slots.iter().filter(|slot| !world.nodes.get(*slot).is_some_and(Node::lives)) {
            found.push(format!("{slot} is offered as a slot and does not live"));
        }
        let takes = world.count(NodeType::Egress, |node| node.plays() && node.takes(now));
        if takes < self.settings.limits.baseline as usize {
            found.push("fewer egresses than the baseline".to_owned());
        }
        self.since.retain(|what, _| found.contains(what));
        for what in found {
            let since = *self.since.entry(what.clone()).or_insert(now);
            if now > since + ORPHAN_AFTER {
                self.breaks("nothing is left lying about", now, format!("{what}, since {} s", since / 1000));
                self.since.insert(what, now);
            }
        }
    }
}

/// Why it is of no use.
fn orphaned(world: &World, node: &Node) -> Option<&'static str> {
    let parent = node.parent.as_ref();
    match node.machine {
        Machine::Lives if parent.is_none() && node.role != NodeType::Injection => {
            Some("lives and is in no tree")
        }
        Machine::Lives if node.role == NodeType::Egress && !node.has_media => Some("lives and gets no media"),
        Machine::Lives if node.draining => Some("drains and stays"),
        Machine::Starts(_) => Some("is being started and never lives"),
        Machine::Dead => Some("is dead and still there"),
        Machine::Gone if parent.is_some() => Some("is gone and still in the tree"),
        Machine::Cold if node.role == NodeType::Egress => Some("is cold"),
        _ if parent.is_some_and(|parent| !world.nodes.contains_key(parent)) => {
            Some("has a parent that is not there")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use node::overview::State;

    use super::*;
    use crate::action::Urgency;
    use crate::simulate::chance::Dice;
    use crate::simulate::figures::Costs;
    use crate::simulate::world::{BackEnd, Hardware};

    fn world() -> World {
        let costs = Costs::measured().unwrap();
        World::new(10_000_000, Hardware::default(), costs, BackEnd::MACHINES, 0.0, Dice::new(1))
    }

    /// Egresses that serve, each with so many viewers.
    fn seen(viewers: &[u32]) -> Observation {
        let node = |(n, viewers): (usize, &u32)| crate::model::Node {
            id: format!("e{n}"),
            role: Some(NodeType::Egress),
            parent: Some("r".to_owned()),
            standby: Vec::new(),
            state: State::Ok,
            viewers: *viewers,
            max_viewers: 1000,
            zone: String::new(),
            packets_per_second: 0.0,
            bits_per_second: 0.0,
            url: None,
        };
        let nodes: Vec<_> = viewers.iter().enumerate().map(node).collect();
        let carriers = nodes.iter().map(|node| node.id.clone()).collect();
        Observation {
            nodes,
            carriers: BTreeMap::from([("s".to_owned(), carriers)]),
            ..Observation::default()
        }
    }

    fn action(kind: Kind) -> Action {
        Action { id: "a".to_owned(), kind, reason: "why".to_owned(), urgency: Urgency::Low, created: 0 }
    }

    fn shrink(names: &[&str]) -> Action {
        action(Kind::Shrink { nodes: names.iter().map(|name| (*name).to_owned()).collect() })
    }

    fn grow() -> Action {
        let slot = crate::action::SlotUse { relay: "r".to_owned(), start: None };
        action(Kind::Grow { slot, egresses: Vec::new() })
    }

    fn egress(machine: Machine, parent: Option<&str>) -> Node {
        let node = Node::new(NodeType::Egress, "", machine, 0, 1000);
        Node { parent: parent.map(str::to_owned), heard: Some(0), has_media: true, had_media: true, ..node }
    }

    fn broken(laws: &Laws) -> Vec<&'static str> {
        laws.broken.keys().copied().collect()
    }

    #[test]
    fn what_takes_too_much_away_is_seen() {
        let world = world();
        let mut laws = Laws::new(&Settings::default());
        laws.is_recorded(&shrink(&["e9"]), &seen(&[10; 10]), &world);
        assert!(laws.broken().is_empty(), "{:?}", laws.broken());
        laws.is_recorded(&shrink(&["e0"]), &seen(&[10; 8]), &world);
        assert_eq!(broken(&laws), ["never under the baseline"]);
        laws.is_recorded(&shrink(&["e0"]), &seen(&[950; 10]), &world);
        assert!(broken(&laws).contains(&"some places stay free"));
        let mut lonely = seen(&[0; 10]);
        lonely.carriers.insert("t".to_owned(), BTreeSet::from(["e3".to_owned()]));
        laws.is_recorded(&shrink(&["e3"]), &lonely, &world);
        assert!(broken(&laws).contains(&"somebody carries each session"));
    }

    #[test]
    fn a_maximum_that_has_been_lowered_holds_after_a_while_and_no_more_go_than_must() {
        let mut world = world();
        let mut laws = Laws::new(&Settings::default());
        for n in 0..20 {
            world.nodes.insert(format!("e{n}"), egress(Machine::Lives, Some(&format!("r{}", n / 10))));
        }
        laws.maximum_is(18, world.now);
        laws.look(&world, &[]);
        laws.is_recorded(&grow(), &seen(&[900; 20]), &world);
        laws.is_recorded(&shrink(&["e0", "e1"]), &seen(&[900; 20]), &world);
        assert!(laws.broken().is_empty(), "{:?}", laws.broken());
        laws.is_recorded(&shrink(&["e0", "e1", "e2"]), &seen(&[100; 20]), &world);
        assert_eq!(broken(&laws), ["no fewer than the maximum"]);
        world.now += LOWERED_WITHIN;
        laws.look(&world, &[]);
        assert!(broken(&laws).contains(&"never over the maximum"));
    }

    #[test]
    fn an_out_and_an_in_without_a_reason_are_flapping() {
        let mut world = world();
        let mut laws = Laws::new(&Settings::default());
        laws.is_recorded(&grow(), &seen(&[10; 10]), &world);
        world.now += 200_000;
        laws.is_recorded(&shrink(&["e0"]), &seen(&[10; 10]), &world);
        assert_eq!(broken(&laws), ["no flapping"]);

        let mut laws = Laws::new(&Settings::default());
        laws.is_recorded(&shrink(&["e0"]), &seen(&[10; 10]), &world);
        world.now += 400_000;
        laws.is_recorded(&grow(), &seen(&[10; 10]), &world);
        assert!(broken(&laws).is_empty(), "after its rest");
        laws.is_recorded(&shrink(&["e0"]), &seen(&[10; 10]), &world);
        world.now += 200_000;
        world.books.died += 1;
        laws.is_recorded(&grow(), &seen(&[10; 10]), &world);
        assert_eq!(broken(&laws), ["no flapping"], "once: the second had a reason");
        assert_eq!(laws.broken().len(), 1);
    }

    #[test]
    fn too_many_nodes_children_or_viewers_are_seen() {
        let mut world = world();
        let mut laws = Laws::new(&Settings::default());
        for n in 0..101 {
            world.nodes.insert(format!("e{n}"), egress(Machine::Lives, Some("r")));
        }
        world.nodes.get_mut("e1").unwrap().viewers = 1001;
        laws.look(&world, &[]);
        let wanted = ["never over the maximum", "no relay has too many children", "nobody on a full node"];
        assert_eq!(broken(&laws), wanted);
    }

    #[test]
    fn what_is_left_lying_about_is_seen_in_time() {
        for (machine, parent, is_offered, what) in [
            (Machine::Lives, None, false, "is in no tree"),
            (Machine::Dead, Some("r"), false, "is dead and still there"),
            (Machine::Gone, Some("r"), false, "is gone and still in the tree"),
            (Machine::Starts(None), None, false, "never lives"),
            (Machine::Dead, None, true, "is offered as a slot"),
        ] {
            let mut world = world();
            let settings = Settings {
                limits: crate::settings::Limits { baseline: 0, ..Default::default() },
                ..Default::default()
            };
            let mut laws = Laws::new(&settings);
            world.nodes.insert("x".to_owned(), egress(machine, parent));
            if is_offered {
                world.slots.insert("x".to_owned());
            }
            laws.look(&world, &[]);
            world.now += ORPHAN_AFTER;
            laws.look(&world, &[]);
            assert!(laws.broken().is_empty(), "not yet");
            world.now += 1;
            laws.look(&world, std::slice::from_ref(&shrink(&["y"])));
            let all = laws.broken();
            assert!(all.iter().any(|law| law.contains(what)), "{what}: {all:?}");
        }
    }

    #[test]
    fn who_is_below_the_baseline_for_long_is_seen() {
        let mut world = world();
        let mut laws = Laws::new(&Settings::default());
        laws.hinder(true);
        laws.look(&world, &[]);
        world.now += 2 * ORPHAN_AFTER;
        laws.look(&world, &[]);
        laws.hinder(false);
        laws.look(&world, &[]);
        assert!(laws.broken().is_empty(), "nobody could do anything about it");
        world.now += 2 * ORPHAN_AFTER;
        laws.look(&world, &[]);
        assert!(laws.broken()[0].contains("fewer egresses than the baseline"), "{:?}", laws.broken());
    }
}
