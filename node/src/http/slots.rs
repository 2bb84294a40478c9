//! The connections that there are, and which of them gives way when there is room for no more. Pure.
//!
//! An answer that a peer does not take, though there is more of it, is being answered for so long and no longer.
//!
//! A few places are spare: they are given out when in all others something is being answered, and only so that whoever
//! watches the node gets an answer ([`super::limits::WATCHED`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub most: usize,
    /// Of one owner.
    pub most_of_one: usize,
    /// Besides, for those that come when all others are busy.
    pub spare: usize,
}

/// Connections, each with what belongs to it.
#[derive(Debug)]
pub struct Slots<T> {
    room: Room,
    next: u64,
    all: BTreeMap<u64, Slot<T>>,
    spare: usize,
    /// How many an owner has.
    of: HashMap<IpAddr, usize>,
    /// Those in which nothing is being answered: whether spare, since when, or from when on.
    idle: BTreeSet<(bool, Duration, u64)>,
    idle_of: BTreeSet<(IpAddr, Duration, u64)>,
}

#[derive(Debug)]
struct Slot<T> {
    owner: Option<IpAddr>,
    spare: bool,
    /// How many requests are being answered: in HTTP/2 there can be several.
    under_way: usize,
    /// How many answers wait for the peer to take more of them.
    waiting: usize,
    /// Since when nothing is being answered, or from when on the peer is not waited for any more.
    since: Duration,
    belongs: T,
}

/// A place that was given out.
#[derive(Debug, PartialEq, Eq)]
pub struct Entered<T> {
    /// Its name.
    pub id: u64,
    /// It is a spare one.
    pub spare: bool,
    /// What belonged to whoever has to give way for it.
    pub gone: Option<T>,
    /// What there would be too many of otherwise.
    pub met: Option<Full>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// In all of them something is being answered.
    All,
    /// In all that this owner may have.
    OfOne,
}

impl<T> Slots<T> {
    /// Room for so many.
    pub fn new(room: Room) -> Slots<T> {
        Slots {
            room,
            next: 0,
            all: BTreeMap::new(),
            spare: 0,
            of: HashMap::new(),
            idle: BTreeSet::new(),
            idle_of: BTreeSet::new(),
        }
    }

    /// Somebody has connected. When there is no room, what has been idle for longest gives way: if this owner has as many as
    /// one may have, of its own, else of all. `owner`: `None` for a proxy, which connects for many.
    pub fn enter(&mut self, owner: Option<IpAddr>, belongs: T, now: Duration) -> Result<Entered<T>, Full> {
        let mut gone = owner.map(|owner| self.make_room_of(owner, now)).transpose()?.flatten();
        let mut met = gone.is_some().then_some(Full::OfOne);
        let mut spare = false;
        if gone.is_none() && self.all.len() - self.spare >= self.room.most {
            met = Some(Full::All);
            gone = self.longest_idle(false, now).and_then(|id| self.leave(id));
            spare = gone.is_none();
            if spare && self.spare >= self.room.spare {
                gone = self.longest_idle(true, now).and_then(|id| self.leave(id));
                if gone.is_none() {
                    return Err(Full::All);
                }
            }
        }
        let id = self.next;
        self.next += 1;
        self.spare += usize::from(spare);
        self.all.insert(id, Slot { owner: None, spare, under_way: 0, waiting: 0, since: now, belongs });
        self.idle.insert((spare, now, id));
        if let Some(owner) = owner {
            self.belongs_to(id, owner);
        }
        Ok(Entered { id, spare, gone, met })
    }

    /// It has turned out whose it is. Gives what belonged to whoever has to give way; when nobody can, the connection has
    /// to end.
    pub fn turns_out(&mut self, id: u64, owner: IpAddr, now: Duration) -> Result<Option<T>, Full> {
        let gone = self.make_room_of(owner, now)?;
        self.belongs_to(id, owner);
        Ok(gone)
    }

    /// A request has come whole.
    pub fn begins(&mut self, id: u64) {
        self.change(id, |slot| slot.under_way += 1);
    }

    /// Some of its answer has been handed over, and more follows when the peer has taken that. It has until then.
    pub fn waits(&mut self, id: u64, until: Duration) {
        self.change(id, |slot| {
            slot.under_way = slot.under_way.saturating_sub(1);
            slot.waiting += 1;
            slot.since = slot.since.max(until);
        });
    }

    /// The peer has taken it.
    pub fn goes_on(&mut self, id: u64) {
        self.change(id, |slot| {
            slot.waiting = slot.waiting.saturating_sub(1);
            slot.under_way += 1;
        });
    }

    /// It has been answered. `waited`: the last that was said of it is that it waits.
    pub fn ends(&mut self, id: u64, waited: bool, now: Duration) {
        self.change(id, |slot| {
            let counted = if waited { &mut slot.waiting } else { &mut slot.under_way };
            *counted = counted.saturating_sub(1);
            if slot.waiting == 0 {
                slot.since = now;
            }
        });
    }

    /// The connection has ended.
    pub fn leave(&mut self, id: u64) -> Option<T> {
        let slot = self.all.remove(&id)?;
        self.spare -= usize::from(slot.spare);
        self.idle.remove(&(slot.spare, slot.since, id));
        if let Some(owner) = slot.owner {
            self.idle_of.remove(&(owner, slot.since, id));
            let has = self.of.entry(owner).or_default();
            *has = has.saturating_sub(1);
            if *has == 0 {
                self.of.remove(&owner);
            }
        }
        Some(slot.belongs)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    fn belongs_to(&mut self, id: u64, owner: IpAddr) {
        let Some(slot) = self.all.get_mut(&id) else { return };
        slot.owner = Some(owner);
        if slot.under_way == 0 {
            self.idle_of.insert((owner, slot.since, id));
        }
        *self.of.entry(owner).or_default() += 1;
    }

    /// Changes what is being answered, and with it the place among those that may give way.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Slot<T>)) {
        let Some(slot) = self.all.get_mut(&id) else { return };
        self.idle.remove(&(slot.spare, slot.since, id));
        if let Some(owner) = slot.owner {
            self.idle_of.remove(&(owner, slot.since, id));
        }
        change(slot);
        if slot.under_way > 0 {
            return;
        }
        self.idle.insert((slot.spare, slot.since, id));
        if let Some(owner) = slot.owner {
            self.idle_of.insert((owner, slot.since, id));
        }
    }

    fn make_room_of(&mut self, owner: IpAddr, now: Duration) -> Result<Option<T>, Full> {
        if self.of.get(&owner).copied().unwrap_or_default() < self.room.most_of_one {
            return Ok(None);
        }
        let first = (owner, Duration::ZERO, 0);
        let longest =
            self.idle_of.range(first..).next().filter(|(of, since, _)| *of == owner && *since <= now);
        longest.map(|(.., id)| *id).map(|id| self.leave(id)).ok_or(Full::OfOne)
    }

    fn longest_idle(&self, spare: bool, now: Duration) -> Option<u64> {
        let first = self.idle.range((spare, Duration::ZERO, 0)..).next();
        first.filter(|(of, since, _)| *of == spare && *since <= now).map(|(.., id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn slots<T>(most: usize, most_of_one: usize, spare: usize) -> Slots<T> {
        Slots::new(Room { most, most_of_one, spare })
    }

    #[test]
    fn the_one_that_has_been_idle_for_longest_gives_way() {
        let mut slots = slots(3, 3, 0);
        let ids = ["a", "b", "c"].map(|name| slots.enter(None, name, at(0)).unwrap());
        assert!(ids.iter().all(|entered| entered.gone.is_none()), "there was room");
        let [a, b, c] = ids.map(|entered| entered.id);
        slots.begins(a);
        slots.begins(b);
        slots.ends(b, false, at(10));
        assert_eq!(slots.enter(None, "d", at(20)).unwrap().gone, Some("c"), "idle since 0");
        assert_eq!(slots.leave(c), None);
        let e = slots.enter(None, "e", at(30)).unwrap();
        assert_eq!(e.gone, Some("b"), "idle since 10");
        slots.begins(e.id);
        assert_eq!(slots.enter(None, "f", at(40)).unwrap().gone, Some("d"));
        for id in 0..10 {
            slots.begins(id);
        }
        assert_eq!(slots.enter(None, "g", at(50)), Err(Full::All));
        assert_eq!(slots.leave(a), Some("a"));
        assert_eq!(slots.enter(None, "g", at(60)).map(|entered| entered.gone), Ok(None));
    }

    #[test]
    fn a_connection_is_busy_until_its_last_request_is_answered() {
        let mut slots = slots(1, 1, 0);
        let one = slots.enter(None, "a", at(0)).unwrap().id;
        slots.begins(one);
        slots.begins(one);
        slots.ends(one, false, at(1));
        assert_eq!(slots.enter(None, "b", at(2)), Err(Full::All));
        slots.ends(one, false, at(3));
        assert_eq!(slots.enter(None, "b", at(4)).unwrap().gone, Some("a"));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_busy_for_a_while() {
        let owner = "10.0.0.1".parse().ok();
        let mut slots = slots(2, 2, 0);
        let [stuck, live] = ["stuck", "live"].map(|name| slots.enter(owner, name, at(0)).unwrap().id);
        slots.begins(live);
        slots.begins(stuck);
        slots.waits(stuck, at(10));
        assert_eq!(slots.enter(owner, "a", at(9)), Err(Full::OfOne));
        slots.goes_on(stuck);
        assert_eq!(slots.enter(owner, "a", at(20)), Err(Full::OfOne), "something is being answered again");
        slots.waits(stuck, at(30));
        // Another request on the same connection changes nothing about it.
        slots.begins(stuck);
        slots.ends(stuck, false, at(25));
        assert_eq!(slots.enter(owner, "a", at(29)), Err(Full::OfOne));
        let entered = slots.enter(owner, "a", at(30)).unwrap();
        assert_eq!((entered.gone, entered.met), (Some("stuck"), Some(Full::OfOne)));
        // What has been answered is idle from then on, and no later.
        slots.begins(entered.id);
        slots.waits(entered.id, at(99));
        slots.ends(entered.id, true, at(40));
        assert_eq!(slots.enter(None, "b", at(40)).unwrap().gone, Some("a"));
    }

    #[test]
    fn spare_ones_are_given_out_when_all_others_are_busy() {
        let mut slots = slots(1, 9, 2);
        let busy = slots.enter(None, "busy", at(0)).unwrap();
        slots.begins(busy.id);
        let [a, b] = ["a", "b"].map(|name| slots.enter(None, name, at(1)).unwrap());
        assert!(!busy.spare && a.spare && b.spare);
        let c = slots.enter(None, "c", at(2)).unwrap();
        assert_eq!((c.spare, c.gone), (true, Some("a")), "they give way to each other");
        slots.begins(b.id);
        slots.begins(c.id);
        assert_eq!(slots.enter(None, "d", at(3)), Err(Full::All));
        slots.leave(busy.id);
        let d = slots.enter(None, "d", at(4)).unwrap();
        assert_eq!((d.spare, d.gone), (false, None));
        slots.leave(b.id);
        slots.leave(c.id);
        assert_eq!((slots.len(), slots.spare), (1, 0));
    }

    #[test]
    fn one_owner_gives_way_to_itself() {
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let mut slots = slots(9, 2, 0);
        let a = slots.enter(Some(one), "a", at(0)).unwrap().id;
        let b = slots.enter(Some(other), "b", at(1)).unwrap().id;
        slots.enter(Some(one), "c", at(2)).unwrap();
        assert_eq!(
            slots.enter(Some(one), "d", at(3)).unwrap().gone,
            Some("a"),
            "its own, though there is room"
        );
        for id in a..9 {
            slots.begins(id);
        }
        assert_eq!(slots.enter(Some(one), "e", at(4)), Err(Full::OfOne));
        assert_eq!(slots.enter(Some(other), "e", at(4)).unwrap().gone, None);
        // A proxy says only later for whom it has connected.
        slots.leave(b);
        let late = slots.enter(None, "f", at(5)).unwrap().id;
        assert_eq!(slots.turns_out(late, one, at(5)), Err(Full::OfOne));
        assert_eq!(slots.leave(late), Some("f"));
        let late = slots.enter(None, "g", at(5)).unwrap().id;
        assert_eq!(slots.turns_out(late, other, at(5)), Ok(None));
        let third = slots.enter(None, "h", at(6)).unwrap();
        assert_eq!(
            slots.turns_out(third.id, other, at(6)).unwrap(),
            Some("e"),
            "the older of its two idle ones"
        );
    }
}
