//! Who may be connected without publishing, so that strangers take no encoder's place. An address has a share of these places, and
//! whoever has one and has said nothing makes room for the next: an encoder says what it publishes within a moment.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
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
}

#[derive(Debug)]
struct Seat {
    number: u64,
    from: IpAddr,
    /// It has said what it publishes, and may.
    known: bool,
    /// Whoever waits at the other end is told by this being gone.
    _sits: oneshot::Sender<()>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// So many in all, so many for each address.
    pub fn new(most: usize, each: usize) -> Arc<Places> {
        Arc::new(Places { most, each, waiting: Mutex::default() })
    }

    /// Somebody comes from an address. The receiver ends when another gets the place. `None`: there is none, because all who wait
    /// there are known.
    pub fn enter(self: &Arc<Places>, from: IpAddr) -> Option<(Place, oneshot::Receiver<()>)> {
        let mut waiting = self.lock();
        if waiting.from(from) >= self.each {
            waiting.send_away(from)?;
        } else if waiting.seats.len() >= self.most {
            // Of those who have most places, which is not this one's fault.
            let crowd = waiting.seats.iter().map(|seat| seat.from).max_by_key(|from| waiting.from(*from))?;
            waiting.send_away(crowd)?;
        }
        let number = waiting.next;
        waiting.next += 1;
        let (sits, taken) = oneshot::channel();
        waiting.seats.push(Seat { number, from, known: false, _sits: sits });
        Some((Place { places: self.clone(), number }, taken))
    }

    /// How many there are.
    pub fn taken(&self) -> usize {
        self.lock().seats.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn from(&self, from: IpAddr) -> usize {
        self.seats.iter().filter(|seat| seat.from == from).count()
    }

    /// The one that has waited longest without having said anything.
    fn send_away(&mut self, from: IpAddr) -> Option<()> {
        let longest = self.seats.iter().position(|seat| seat.from == from && !seat.known)?;
        self.seats.remove(longest);
        Some(())
    }
}

impl Place {
    /// It has said what it publishes, and may: nobody gets its place any more.
    pub fn keep(&self) {
        let mut waiting = self.places.lock();
        if let Some(seat) = waiting.seats.iter_mut().find(|seat| seat.number == self.number) {
            seat.known = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().seats.retain(|seat| seat.number != self.number);
    }
}

/// Whose share of the places a connection takes: an IPv4 address, or an IPv6 network of 64 bits, of which one host can use all
/// addresses.
pub fn whose(from: SocketAddr) -> IpAddr {
    match from.ip().to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
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
        let mut strangers: Vec<_> = (0..2).map(|_| places.enter(from(1)).unwrap()).collect();
        let (_encoder, mut stays) = places.enter(from(2)).unwrap();
        for _ in 0..100 {
            strangers.push(places.enter(from(1)).unwrap());
        }
        assert_eq!(places.taken(), 3);
        let gone: Vec<bool> = strangers.iter_mut().map(|(_, taken)| is_gone(taken)).collect();
        assert_eq!(gone.iter().filter(|gone| !**gone).count(), 2, "the last two");
        assert!(!gone[100] && !gone[101] && !is_gone(&mut stays));
    }

    #[test]
    fn whoever_has_said_what_it_publishes_keeps_its_place() {
        let places = Places::new(8, 2);
        let (encoder, mut stays) = places.enter(from(1)).unwrap();
        encoder.keep();
        let (_stranger, mut goes) = places.enter(from(1)).unwrap();
        let (second, _) = places.enter(from(1)).unwrap();
        assert!(!is_gone(&mut stays) && is_gone(&mut goes));
        second.keep();
        assert!(places.enter(from(1)).is_none(), "both publish in a moment");
        drop(encoder);
        assert!(places.enter(from(1)).is_some());
    }

    #[test]
    fn when_all_places_are_taken_the_largest_crowd_makes_room() {
        let places = Places::new(4, 3);
        let mut crowd: Vec<_> = (0..3).map(|_| places.enter(from(1)).unwrap()).collect();
        let (_one, mut stays) = places.enter(from(2)).unwrap();
        let (_next, _) = places.enter(from(3)).unwrap();
        assert!(is_gone(&mut crowd[0].1) && !is_gone(&mut crowd[1].1) && !is_gone(&mut stays));
        drop(crowd);
        assert_eq!(places.taken(), 2);
    }

    #[test]
    fn a_host_has_one_share() {
        let whose = |address: &str| whose(address.parse().unwrap());
        assert_eq!(whose("10.0.0.1:1"), whose("[::ffff:10.0.0.1]:2"));
        assert_eq!(whose("[fd00::1]:1"), whose("[fd00::2:3]:1"));
        assert_ne!(whose("[fd00::1]:1"), whose("[fd00:0:0:1::1]:1"));
    }
}
