//! [`Line`]: who waits for a turn, and whose is the next. Clients have one after the other (round robin), so that nobody waits
//! longer because another client has sent many.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use tokio::sync::oneshot;

/// Those who wait for a `T`.
pub(super) struct Line<T> {
    /// Turns that nobody has; none while somebody waits.
    free: usize,
    /// Number of whoever came last.
    last: u64,
    clients: HashMap<IpAddr, OfOne<T>>,
    /// Those of them of whom somebody waits: the first has the next turn.
    order: VecDeque<IpAddr>,
}

/// Those of a client.
struct OfOne<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Turns that it was given while somebody of it waited.
    given: u64,
}

struct Waiting<T> {
    number: u64,
    /// What its client had been given when it came.
    given: u64,
    turn: oneshot::Sender<T>,
}

/// Somebody has come.
pub(super) enum Came<T> {
    /// It has a turn.
    Free,
    /// It has this number, and hears when it is its turn.
    Waits(u64, oneshot::Receiver<T>),
}

impl<T> Line<T> {
    /// All are free.
    pub(super) fn new(free: usize) -> Line<T> {
        Line { free, last: 0, clients: HashMap::new(), order: VecDeque::new() }
    }

    /// Somebody wants a turn.
    pub(super) fn comes(&mut self, client: IpAddr) -> Came<T> {
        if self.free > 0 {
            self.free -= 1;
            return Came::Free;
        }
        self.last += 1;
        let (turn, heard) = oneshot::channel();
        let of_one = self.clients.entry(client).or_insert_with(|| {
            self.order.push_back(client);
            OfOne { waiting: VecDeque::new(), given: 0 }
        });
        of_one.waiting.push_back(Waiting { number: self.last, given: of_one.given, turn });
        Came::Waits(self.last, heard)
    }

    /// Somebody's turn is over: whose is it? It is free if nobody waits.
    pub(super) fn next(&mut self) -> Option<oneshot::Sender<T>> {
        while let Some(client) = self.order.pop_front() {
            let Some(of_one) = self.clients.get_mut(&client) else { continue };
            let next = of_one.waiting.pop_front();
            of_one.given += 1;
            if of_one.waiting.is_empty() {
                self.clients.remove(&client);
            } else {
                self.order.push_back(client);
            }
            if let Some(next) = next {
                return Some(next.turn);
            }
        }
        self.free += 1;
        None
    }

    /// Whether who has this number would have had a turn if its client had sent nobody else: others wait, too, and its client
    /// was given turns meanwhile.
    pub(super) fn is_kept_by_its_own(&self, client: IpAddr, number: u64) -> bool {
        let Some(of_one) = self.clients.get(&client) else { return false };
        let came = of_one.place(number).and_then(|place| of_one.waiting.get(place));
        self.clients.len() > 1 && came.is_some_and(|came| of_one.given > came.given)
    }

    /// Who has this number does not wait any more.
    pub(super) fn leaves(&mut self, client: IpAddr, number: u64) {
        let Some(of_one) = self.clients.get_mut(&client) else { return };
        if let Some(place) = of_one.place(number) {
            of_one.waiting.remove(place);
        }
        if of_one.waiting.is_empty() {
            self.clients.remove(&client);
            self.order.retain(|other| *other != client);
        }
    }

    /// Turns that nobody has, and clients of whom somebody waits.
    #[cfg(test)]
    pub(super) fn look(&self) -> (usize, usize) {
        assert_eq!(self.clients.len(), self.order.len());
        (self.free, self.order.len())
    }
}

impl<T> OfOne<T> {
    /// Where in the line who has this number is.
    fn place(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()
    }
}
