//! Warm and cold slots are kept at the template's numbers: lost ones are noticed since they are not there, and made anew.

use node::overview::State;
use node::record::NodeType;

use super::Planner;
use crate::action::{Kind, Urgency};
use crate::books::count;
use crate::decide::Verdict;
use crate::provision::Spec;

impl Planner<'_, '_> {
    /// What lacks is made; what is too much goes, one warm slot at a time.
    pub fn pools(&mut self) {
        let each = self.most_children(None);
        let wanted = self.settings.template.warm.saturating_mul(each);
        let warm: u32 = self.warm().iter().map(|slot| slot.room).sum();
        let mut room = warm.saturating_add(self.room_coming(each));
        if self.decision.paused {
            return;
        }
        while room < wanted && self.make_warm() {
            room = room.saturating_add(each);
        }
        self.cold();
        if warm > wanted && self.decision.verdict != Verdict::ScaleOut && !self.books.is_changing() {
            self.end_warm(warm - wanted);
        }
    }

    /// Room of slots that are on their way.
    fn room_coming(&self, each: u32) -> u32 {
        let depth = self.settings.template.depth;
        let all = self.books.running().iter().chain(&self.plan);
        let room = all.map(|action| match &action.kind {
            Kind::Slot { relay, warm: true } => {
                let is_slot = self.books.level(&relay.parent).is_some_and(|level| level + 1 >= depth);
                // One that is there already is counted with the others.
                let is_there = self.warm().iter().any(|slot| slot.relay == relay.name);
                if is_slot && !is_there { each } else { 0 }
            }
            Kind::Grow { slot, egresses } if slot.start.is_some() => {
                let is_there = self.warm().iter().any(|warm| warm.relay == slot.relay);
                if is_there { 0 } else { each.saturating_sub(count(egresses.len())) }
            }
            _ => 0,
        });
        room.fold(0, u32::saturating_add)
    }

    /// One more slot that runs. `false`: there is nobody who could feed it, or there are too many already.
    fn make_warm(&mut self) -> bool {
        let idle = self.idle().into_iter().next();
        if idle.is_none() && self.relays() >= self.most_relays() {
            return false;
        }
        let Some(parent) = self.parent_of_slot() else { return false };
        let relay = match idle {
            Some((name, zone)) => self.spec_of(NodeType::Relay, &name, &parent, &zone),
            None => self.new_relay(&parent),
        };
        self.give_child(&parent);
        self.push(
            Kind::Slot { relay, warm: true },
            "there are fewer warm slots than the template wants".to_owned(),
            Urgency::High,
        );
        true
    }

    /// Slots that are made and do not run.
    fn cold(&mut self) {
        let is_cold = |name: &String| self.books.machine(name).is_some_and(|machine| !machine.running);
        let mut idle = self.idle();
        idle.retain(|(name, _)| is_cold(name));
        let coming = self.books.running().iter();
        let coming = coming.filter(|action| matches!(action.kind, Kind::Slot { warm: false, .. })).count();
        let wanted = self.settings.template.cold as usize;
        for _ in idle.len() + coming..wanted {
            if self.relays() >= self.most_relays() {
                return;
            }
            let Some(parent) = self.parent_of_slot() else { return };
            let relay = self.new_relay(&parent);
            let reason = "there are fewer cold slots than the template wants".to_owned();
            self.push(Kind::Slot { relay, warm: false }, reason, Urgency::Low);
        }
        let nodes: Vec<String> = idle.into_iter().skip(wanted).map(|(name, _)| name).collect();
        if !nodes.is_empty() {
            let reason = "there are more cold slots than the template wants".to_owned();
            self.push(Kind::Clear { nodes }, reason, Urgency::Low);
        }
    }

    /// A relay of the back end that has no children goes, if the pool has so much room without it.
    fn end_warm(&mut self, beyond: u32) {
        let mut empty = self.warm();
        empty.retain(|slot| {
            slot.room <= beyond
                && self.children(&slot.relay) == 0
                && self.books.machine(&slot.relay).is_some_and(|machine| machine.running)
                && !self.books.is_busy(&slot.relay)
                && !self.used.contains(&slot.relay)
        });
        // The newest name: those who have been there longest are known to work.
        let Some(slot) = empty.pop() else { return self.end_above() };
        let reason = "there are more warm slots than the template wants".to_owned();
        self.push(Kind::Shrink { nodes: vec![slot.relay] }, reason, Urgency::Low);
    }

    /// A relay between injection and slots goes when it feeds nobody and others have room for whoever comes next.
    fn end_above(&mut self) {
        let depth = self.settings.template.depth;
        let above: Vec<_> = self
            .books
            .seen()
            .nodes
            .iter()
            .filter(|node| node.role == Some(NodeType::Relay) && node.state == State::Ok)
            .filter(|node| self.books.level(&node.id).is_some_and(|level| level < depth))
            .collect();
        let is_empty = |name: &str| self.children(name) == 0;
        let have_room = |level: Option<u32>, but: &str| {
            above.iter().any(|node| {
                node.id != but
                    && self.books.level(&node.id) == level
                    && self.children(&node.id) * 2 <= self.most_children(Some(node))
            })
        };
        let can = above.iter().rev().find(|node| {
            is_empty(&node.id)
                && self.books.machine(&node.id).is_some_and(|machine| machine.running)
                && !self.books.is_busy(&node.id)
                && have_room(self.books.level(&node.id), &node.id)
        });
        if let Some(name) = can.map(|node| node.id.clone()) {
            let reason = "it feeds no other relay, and others have room".to_owned();
            self.push(Kind::Shrink { nodes: vec![name] }, reason, Urgency::Low);
        }
    }

    fn new_relay(&mut self, parent: &str) -> Spec {
        let zone = self.zone_of_next_slot();
        self.spec(NodeType::Relay, parent, &zone)
    }

    /// The zone that has fewest egresses and slots with room for fewest.
    fn zone_of_next_slot(&self) -> String {
        let each = self.most_children(None);
        let warm = self.warm().into_iter().map(|slot| (slot.zone, slot.room));
        let idle = self.idle().into_iter().map(|(_, zone)| (zone, each));
        let coming = self.books.running().iter().chain(&self.plan).filter_map(|action| match &action.kind {
            Kind::Slot { relay, .. } => Some((relay.zone.clone(), each)),
            _ => None,
        });
        let mut room = std::collections::BTreeMap::new();
        for (zone, more) in warm.chain(idle).chain(coming) {
            *room.entry(zone).or_default() += more;
        }
        self.emptiest_zone(&room)
    }

    /// Relays that the back end has or gets.
    fn relays(&self) -> u32 {
        let machines = self.books.seen().machines.iter().flatten();
        let relays = machines.filter(|(_, machine)| machine.role == NodeType::Relay).map(|(name, _)| name);
        let all = self.books.running().iter().chain(&self.plan);
        let coming = all.filter_map(|action| match &action.kind {
            Kind::Slot { relay, .. } => Some(&relay.name),
            Kind::Grow { slot, .. } => slot.start.as_ref().map(|relay| &relay.name),
            _ => None,
        });
        let all: std::collections::BTreeSet<&String> = relays.chain(coming).collect();
        count(all.len())
    }

    /// More are never needed, even if as many as the pools have are dead and not cleared yet.
    fn most_relays(&self) -> u32 {
        let template = &self.settings.template;
        let pools = template.warm.saturating_add(template.cold);
        let mut most = self.settings.limits.maximum.div_ceil(self.most_children(None)).saturating_add(pools);
        let mut above = most;
        for _ in 1..template.depth {
            above = above.div_ceil(template.children.max(1));
            most = most.saturating_add(above);
        }
        most.saturating_add(pools).saturating_add(1)
    }
}
