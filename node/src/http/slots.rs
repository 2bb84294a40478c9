//! The connections that there are, and which of them gives way when there is room for no more. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// Connections, each with what belongs to it.
#[derive(Debug)]
pub struct Slots<T> {
    most: usize,
    next: u64,
    all: BTreeMap<u64, Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Since when nothing is being answered; `None` while something is.
    idle: Option<Duration>,
    belongs: T,
}

/// All of as many connections as there may be are being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<T> Slots<T> {
    /// Room for so many.
    pub fn new(most: usize) -> Slots<T> {
        Slots { most, next: 0, all: BTreeMap::new() }
    }

    /// Somebody has connected: gives a name, and what belonged to whoever has to give way for it, which is the one that
    /// has been idle for longest.
    pub fn enter(&mut self, belongs: T, now: Duration) -> Result<(u64, Option<T>), Full> {
        let mut gone = None;
        if self.all.len() >= self.most {
            let idle = self.all.iter().filter_map(|(id, slot)| Some((slot.idle?, *id)));
            let (_, id) = idle.min().ok_or(Full)?;
            gone = self.leave(id);
        }
        let id = self.next;
        self.next += 1;
        self.all.insert(id, Slot { idle: Some(now), belongs });
        Ok((id, gone))
    }

    /// A request has come whole.
    pub fn begins(&mut self, id: u64) {
        if let Some(slot) = self.all.get_mut(&id) {
            slot.idle = None;
        }
    }

    /// It has been answered.
    pub fn ends(&mut self, id: u64, now: Duration) {
        if let Some(slot) = self.all.get_mut(&id) {
            slot.idle = Some(now);
        }
    }

    /// The connection has ended.
    pub fn leave(&mut self, id: u64) -> Option<T> {
        self.all.remove(&id).map(|slot| slot.belongs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_has_been_idle_for_longest_gives_way() {
        let at = Duration::from_millis;
        let mut slots = Slots::new(3);
        let ids = ["a", "b", "c"].map(|name| slots.enter(name, at(0)).unwrap());
        assert!(ids.iter().all(|(_, gone)| gone.is_none()), "there was room");
        let [a, b, c] = ids.map(|(id, _)| id);
        slots.begins(a);
        slots.begins(b);
        slots.ends(b, at(10));
        assert_eq!(slots.enter("d", at(20)).unwrap().1, Some("c"), "idle since 0");
        assert_eq!(slots.leave(c), None);
        let (e, gone) = slots.enter("e", at(30)).unwrap();
        assert_eq!(gone, Some("b"), "idle since 10");
        slots.begins(e);
        assert_eq!(slots.enter("f", at(40)).unwrap().1, Some("d"));
        for id in 0..10 {
            slots.begins(id);
        }
        assert_eq!(slots.enter("g", at(50)), Err(Full));
        assert_eq!(slots.leave(a), Some("a"));
        assert_eq!(slots.enter("g", at(60)).map(|(_, gone)| gone), Ok(None));
    }
}
