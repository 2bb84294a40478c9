//! Events that are to be delivered, and when which is tried. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Events that wait; of more the oldest are left out.
const MOST: usize = 1000;
/// The pause after the first attempt that failed; each further one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An event that nobody has taken for so long is given up.
const OLDEST: Duration = Duration::from_secs(10 * 60);
/// One that the receiver refuses is tried so often: it may be about to be put right.
const REFUSALS: u32 = 4;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, by which a receiver knows one that comes again.
    pub id: String,
    /// What is sent.
    pub body: String,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until there is another event.
    Nothing,
    /// Nothing for so long.
    Wait(Duration),
    /// This is to be sent.
    Send(Event),
}

/// The queue: what is at its front is tried until it is gone.
#[derive(Debug, Default)]
pub struct Queue {
    events: VecDeque<(Event, Duration)>,
    /// How often the one at the front was tried in vain.
    attempts: u32,
    /// When it may be tried next.
    due: Duration,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// One more, at this time. Gives how many were left out for it.
    pub fn push(&mut self, event: Event, now: Duration) -> u64 {
        let full = self.events.len() >= MOST;
        if full {
            // The front may be on its way: the one behind it goes.
            self.events.remove(1);
        }
        self.events.push_back((event, now));
        u64::from(full)
    }

    /// What is to be done at this time.
    pub fn next(&self, now: Duration) -> Next {
        match self.events.front() {
            None => Next::Nothing,
            Some(_) if now < self.due => Next::Wait((self.due - now).min(LONGEST_PAUSE)),
            Some((event, _)) => Next::Send(event.clone()),
        }
    }

    /// It was taken.
    pub fn delivered(&mut self, id: &str) {
        self.pop(id);
    }

    /// It was not, and may be `later`, or not. Whether it is tried again.
    pub fn failed(&mut self, id: &str, later: bool, now: Duration) -> bool {
        let Some((front, since)) = self.events.front() else { return false };
        if front.id != id {
            return false;
        }
        self.attempts += 1;
        if now >= *since + OLDEST || (!later && self.attempts >= REFUSALS) {
            self.pop(id);
            return false;
        }
        let pause = FIRST_PAUSE * 2u32.saturating_pow((self.attempts - 1).min(10));
        self.due = now + pause.min(LONGEST_PAUSE);
        true
    }

    fn pop(&mut self, id: &str) {
        if self.events.front().is_some_and(|(front, _)| front.id == id) {
            self.events.pop_front();
            (self.attempts, self.due) = (0, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: impl ToString) -> Event {
        Event { id: id.to_string(), body: String::new() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn events_go_in_order_and_each_until_it_is_taken() {
        let mut queue = Queue::default();
        assert_eq!(queue.next(at(0)), Next::Nothing);
        queue.push(event("a"), at(0));
        queue.push(event("b"), at(0));
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(queue.next(at(now)), Next::Send(event("a")), "{now}");
            assert!(queue.failed("a", true, at(now)));
            assert_eq!(queue.next(at(now)), Next::Wait(at(pause)));
            now += pause;
        }
        queue.delivered("a");
        assert_eq!(queue.next(at(now)), Next::Send(event("b")), "at once");
        queue.delivered("a");
        assert_eq!(queue.len(), 1, "what is said twice counts once");
    }

    #[test]
    fn what_is_refused_or_too_old_is_given_up() {
        let mut queue = Queue::default();
        queue.push(event("a"), at(0));
        queue.push(event("b"), at(0));
        let tried = (0..10).take_while(|n| queue.failed("a", false, at(*n))).count();
        assert_eq!((tried, queue.len()), (3, 1));
        assert!(queue.failed("b", true, at(599)) && !queue.failed("b", true, at(600)));
        assert_eq!((queue.len(), queue.next(at(600))), (0, Next::Nothing));
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut queue = Queue::default();
        let left_out: u64 = (0..5000).map(|n| queue.push(event(n), at(0))).sum();
        assert_eq!((queue.len(), left_out), (MOST, 4000));
        assert_eq!(queue.next(at(0)), Next::Send(event(0)), "what is on its way stays");
        queue.delivered("0");
        assert_eq!(queue.next(at(0)), Next::Send(event(4001)));
    }
}
