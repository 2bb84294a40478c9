//! Who may be connected without publishing, so that strangers take no encoder's place. An address has a share of these places, and
//! whoever has one and has said nothing makes room for the next: an encoder says what it publishes within a moment. Who has said so,
//! and may, takes nobody's place any more: it claims its session, which one does at a time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    each: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order in which they came.
    seats: Vec<Seat>,
    next: u64,
    /// Sessions that somebody is about to publish to.
    claims: BTreeSet<String>,
}

#[derive(Debug)]
struct Seat {
    number: u64,
    from: IpAddr,
    /// Whoever sits here is told by this being gone.
    sits: oneshot::Sender<()>,
}

/// A place, or a claim, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
    claim: Option<(String, oneshot::Sender<()>)>,
}

impl Places {
    /// So many in all, so many for each address.
    pub fn new(most: usize, each: usize) -> Arc<Places> {
        Arc::new(Places { most, each, waiting: Mutex::default() })
    }

    /// Somebody comes from an address. The receiver ends when another gets the place.
    pub fn enter(self: &Arc<Places>, from: IpAddr) -> (Place, oneshot::Receiver<()>) {
        let mut waiting = self.lock();
        if waiting.from(from) >= self.each {
            waiting.send_away(from);
        } else if waiting.seats.len() >= self.most {
            // Of those who have most places, which is not this one's fault.
            let crowd = waiting.seats.iter().map(|seat| seat.from).max_by_key(|from| waiting.from(*from));
            crowd.into_iter().for_each(|crowd| waiting.send_away(crowd));
        }
        let number = waiting.next;
        waiting.next += 1;
        let (sits, taken) = oneshot::channel();
        waiting.seats.push(Seat { number, from, sits });
        (Place { places: self.clone(), number, claim: None }, taken)
    }

    /// How many there are that do not publish yet.
    pub fn taken(&self) -> usize {
        let waiting = self.lock();
        waiting.seats.len() + waiting.claims.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn from(&self, from: IpAddr) -> usize {
        self.seats.iter().filter(|seat| seat.from == from).count()
    }

    /// The one that has waited longest.
    fn send_away(&mut self, from: IpAddr) {
        if let Some(longest) = self.seats.iter().position(|seat| seat.from == from) {
            self.seats.remove(longest);
        }
    }
}

impl Place {
    /// It has said what it publishes, and may: the place is free, and the session its. `false`: another is about to publish
    /// to it.
    pub fn claim(&mut self, session: &str) -> bool {
        let mut waiting = self.places.lock();
        let Some(seat) = waiting.seats.iter().position(|seat| seat.number == self.number) else {
            return false;
        };
        if !waiting.claims.insert(session.to_owned()) {
            return false;
        }
        let seat = waiting.seats.remove(seat);
        self.claim = Some((session.to_owned(), seat.sits));
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.places.lock();
        waiting.seats.retain(|seat| seat.number != self.number);
        if let Some((session, _)) = &self.claim {
            waiting.claims.remove(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn is_gone(taken: &mut oneshot::Receiver<()>) -> bool {
        taken.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn an_address_uses_its_share_and_not_anothers() {
        let places = Places::new(8, 2);
        let mut strangers: Vec<_> = (0..2).map(|_| places.enter(from(1))).collect();
        let (_encoder, mut stays) = places.enter(from(2));
        for _ in 0..100 {
            strangers.push(places.enter(from(1)));
        }
        assert_eq!(places.taken(), 3);
        let gone: Vec<bool> = strangers.iter_mut().map(|(_, taken)| is_gone(taken)).collect();
        assert_eq!(gone.iter().filter(|gone| !**gone).count(), 2, "the last two");
        assert!(!gone[100] && !gone[101] && !is_gone(&mut stays));
    }

    #[test]
    fn a_claim_takes_nobodys_place_and_loses_none() {
        let places = Places::new(8, 2);
        let (mut encoder, mut stays) = places.enter(from(1));
        assert!(encoder.claim("s1"));
        let mut strangers: Vec<_> = (0..3).map(|_| places.enter(from(1))).collect();
        assert!(!is_gone(&mut stays) && is_gone(&mut strangers[0].1) && !is_gone(&mut strangers[1].1));
        assert_eq!(places.taken(), 3);
        assert!(!strangers[0].0.claim("s3"), "its place is another's");
        assert!(!strangers[1].0.claim("s1") && strangers[1].0.claim("s2"));
        drop(encoder);
        assert!(strangers[2].0.claim("s1"));
        drop(strangers);
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn when_all_places_are_taken_the_largest_crowd_makes_room() {
        let places = Places::new(4, 3);
        let mut crowd: Vec<_> = (0..3).map(|_| places.enter(from(1))).collect();
        let (_one, mut stays) = places.enter(from(2));
        let (_next, _) = places.enter(from(3));
        assert!(is_gone(&mut crowd[0].1) && !is_gone(&mut crowd[1].1) && !is_gone(&mut stays));
        drop(crowd);
        assert_eq!(places.taken(), 2);
    }
}
