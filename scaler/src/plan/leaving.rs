//! Which egresses go. Pure.

use std::collections::BTreeMap;

use crate::books::{Books, count};
use crate::decide::percent;
use crate::model::Node;
use crate::settings::Settings;

/// So many times the ready places stay free, so that the next viewer does not bring back whom he has just seen go.
const STAYS_READY: f64 = 1.25;
/// Zones may differ by so many egresses.
const UNEVEN: usize = 2;

/// How many egresses serve beyond the maximum, which has been lowered since they were made.
pub fn beyond_maximum(settings: &Settings, books: &Books<'_>) -> u32 {
    count(books.staying().count()).saturating_sub(settings.limits.maximum)
}

/// Up to `most` egresses that can go, the emptiest first, if there are so many viewers: made by the back end, no session's last carrier, and
/// those that stay are enough: with places ready, or, beyond the maximum, with one for each viewer. Zones stay as even as they are.
pub fn leaving<'a>(settings: &Settings, books: &Books<'a>, viewers: u32, most: u32) -> Vec<&'a Node> {
    let beyond = beyond_maximum(settings, books);
    let mut going = Going { settings, books, viewers, beyond, stay: books.staying().collect() };
    let mut gone = Vec::new();
    while gone.len() < most as usize {
        let Some(next) = going.next() else { break };
        going.stay.retain(|node| node.id != next.id);
        gone.push(next);
    }
    gone
}

/// What an egress carries is carried by one that stays, too.
pub fn is_carried_by_others(books: &Books<'_>, name: &str) -> bool {
    let mut carried = books.seen().carriers.values().filter(|carriers| carriers.contains(name));
    books.seen().carriers_unknown.is_none()
        && carried
            .all(|carriers| books.staying().any(|other| other.id != name && carriers.contains(&other.id)))
}

struct Going<'a, 'b> {
    settings: &'b Settings,
    books: &'b Books<'a>,
    viewers: u32,
    /// So many are to go, whatever is ready without them.
    beyond: u32,
    stay: Vec<&'a Node>,
}

impl<'a> Going<'a, '_> {
    /// The emptiest; of such, one of the fullest zone, and of the relay that has the fewest left.
    fn next(&self) -> Option<&'a Node> {
        if count(self.stay.len()) <= self.settings.limits.baseline.max(1) {
            return None;
        }
        let places = self.stay.iter().map(|node| node.max_viewers).fold(0, u32::saturating_add);
        let (zones, beside) = (self.zones(), self.beside());
        let can = self.stay.iter().filter(|node| {
            self.are_enough(places.saturating_sub(node.max_viewers))
                && self.books.machine(&node.id).is_some_and(|machine| machine.running)
                && !self.books.is_busy(&node.id)
                && stay_even(&zones, &node.zone)
                && self.is_no_last_carrier(node)
        });
        let next = can.min_by_key(|node| {
            let zone = zones.get(node.zone.as_str()).copied().unwrap_or(0);
            let beside = node.parent.as_deref().and_then(|parent| beside.get(parent)).copied().unwrap_or(0);
            (node.viewers, std::cmp::Reverse(zone), beside, node.id.as_str())
        });
        next.copied()
    }

    /// So many places are enough for all, and for those who may come.
    fn are_enough(&self, places: u32) -> bool {
        if self.beyond > 0 {
            return places >= self.viewers;
        }
        let ready = (f64::from(self.settings.limits.ready_places) * STAYS_READY).ceil() as u32;
        percent(self.viewers, places) < self.settings.thresholds.places_in
            && places >= self.viewers.saturating_add(ready)
    }

    fn is_no_last_carrier(&self, node: &Node) -> bool {
        let carried = self.books.seen().carriers.values();
        let mut carried = carried.filter(|carriers| carriers.contains(&node.id));
        carried
            .all(|carriers| self.stay.iter().any(|other| other.id != node.id && carriers.contains(&other.id)))
    }

    /// Egresses that stay, by zone.
    fn zones(&self) -> BTreeMap<&str, usize> {
        let wanted = self.settings.template.zones.iter().map(|zone| (zone.as_str(), 0));
        let mut zones: BTreeMap<&str, usize> = wanted.collect();
        for node in &self.stay {
            *zones.entry(node.zone.as_str()).or_default() += 1;
        }
        zones
    }

    /// Egresses that stay, by parent.
    fn beside(&self) -> BTreeMap<&str, usize> {
        let mut beside = BTreeMap::new();
        for parent in self.stay.iter().filter_map(|node| node.parent.as_deref()) {
            *beside.entry(parent).or_default() += 1;
        }
        beside
    }
}

/// Zones are as even as before, or even enough, when one goes from this.
fn stay_even(zones: &BTreeMap<&str, usize>, from: &str) -> bool {
    let uneven = |zones: &mut dyn Iterator<Item = usize>| {
        zones.fold((usize::MAX, 0), |(fewest, most), zone| (zone.min(fewest), zone.max(most)))
    };
    let (fewest, most) = uneven(&mut zones.values().copied());
    let (fewest_after, most_after) =
        uneven(&mut zones.iter().map(|(zone, egresses)| egresses - usize::from(*zone == from)));
    most_after - fewest_after <= UNEVEN.max(most - fewest)
}
