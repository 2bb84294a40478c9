//! Egresses are put under slots: warm ones first, then those that need but be started, then new ones; in each case those of the zone that
//! has fewest, and of these the fullest, so that few relays are begun.
//!
//! An egress stands in its slot's zone, so that a stream crosses between zones once, and a zone that is lost takes along its own only.

use std::collections::BTreeMap;

use node::record::NodeType;

use super::Planner;
use super::slots::{Readiness, Slot};
use crate::action::{Kind, SlotUse, Urgency};
use crate::books::lives;
use crate::decide::Verdict;
use crate::provision::Spec;

impl Planner<'_, '_> {
    /// Egresses that live and whose parent does not get another one at once, whatever was decided; and as many more as were decided, of which
    /// those come first that need but be attached.
    pub fn grow(&mut self) {
        let more = if self.decision.verdict == Verdict::ScaleOut { self.decision.count as usize } else { 0 };
        let lost: Vec<_> = self.books.lost().take(self.settings.limits.step_out as usize).collect();
        let there = lost.iter().copied().chain(self.books.spare().take(more));
        let mut wanted: Vec<Option<Spec>> =
            there.map(|node| Some(self.spec_of(NodeType::Egress, &node.id, "", &node.zone))).collect();
        wanted.resize(lost.len() + more, None);
        let (reason, urgency) = match more {
            0 => ("they live, and their parent does not".to_owned(), Urgency::Critical),
            _ => (self.decision.reason.clone(), self.decision.urgency),
        };

        let mut slots = self.usable();
        let mut zones: BTreeMap<String, u32> = BTreeMap::new();
        let mut put: BTreeMap<usize, Vec<Spec>> = BTreeMap::new();
        for egress in wanted {
            let Some(at) = self.choose(&mut slots, &zones) else { break };
            let slot = &mut slots[at];
            slot.room -= 1;
            let (relay, zone) = (slot.relay.clone(), slot.zone.clone());
            let zone = if zone.is_empty() { self.emptiest_zone(&zones) } else { zone };
            let egress = match egress {
                Some(egress) => Spec { parent: relay.clone(), ..egress },
                None => self.spec(NodeType::Egress, &relay, &zone),
            };
            *zones.entry(egress.zone.clone()).or_default() += 1;
            put.entry(at).or_default().push(egress);
        }
        for (at, egresses) in put {
            let Slot { relay, start, .. } = slots[at].clone();
            for egress in &egresses {
                self.give_child(&egress.parent);
            }
            let kind = Kind::Grow { slot: SlotUse { relay, start }, egresses };
            self.push(kind, reason.clone(), urgency);
        }
    }

    /// Slots that there are.
    fn usable(&self) -> Vec<Slot> {
        let room = self.most_children(None);
        let idle = self.idle().into_iter().map(|(relay, zone)| Slot {
            state: Readiness::Cold,
            relay,
            zone,
            room,
            start: None,
        });
        self.warm().into_iter().chain(idle).collect()
    }

    /// Where the next one goes. A slot is made if there is none; `None`: nobody could feed it.
    fn choose(&mut self, slots: &mut Vec<Slot>, more: &BTreeMap<String, u32>) -> Option<usize> {
        let nodes = &self.books.seen().nodes;
        let of_zone = |zone: &str| {
            let there = nodes
                .iter()
                .filter(|node| node.role == Some(NodeType::Egress) && lives(node) && node.zone == zone);
            there.count() + more.get(zone).copied().unwrap_or(0) as usize
        };
        let with_room = slots.iter().enumerate().filter(|(_, slot)| slot.room > 0);
        let best = with_room.min_by_key(|(_, slot)| {
            let begun = slot.state == Readiness::Warm || slot.start.is_some();
            (slot.state, of_zone(&slot.zone), !begun, slot.room, &slot.relay)
        });
        let best = best.map(|(at, slot)| (at, slot.state == Readiness::Cold && slot.start.is_none()));
        if let Some((at, false)) = best {
            return Some(at);
        }
        // While making fails only what runs is used.
        if self.decision.paused {
            return None;
        }
        let parent = self.parent_of_slot()?;
        self.give_child(&parent);
        if let Some((at, true)) = best {
            let Slot { relay, zone, .. } = &slots[at];
            let start = self.spec_of(NodeType::Relay, relay, &parent, zone);
            slots[at].start = Some(start);
            return Some(at);
        }
        let zone = self.emptiest_zone(more);
        let start = self.spec(NodeType::Relay, &parent, &zone);
        let (room, relay) = (self.most_children(None), start.name.clone());
        slots.push(Slot { state: Readiness::New, relay, zone, room, start: Some(start) });
        Some(slots.len() - 1)
    }
}
