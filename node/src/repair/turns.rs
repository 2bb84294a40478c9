//! [`Turns`]: a child that sends requests without end leaves room for those of the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::budget::Budget;

/// Packets a second that are read of one child: more than twice what a node sends that lacks as much as it may ask for.
const A_SECOND: u64 = 5_000;
/// And so many at once: all of its streams have lost something.
const AT_ONCE: u64 = 256;
/// Most children that are told apart.
const MOST: usize = 1024;
/// Of whom nothing has come for so long nothing is remembered, ns: all that he may have is there again.
const IDLE: u64 = 1_000_000_000;

/// Requests of children, by address, before anybody has read them. Whether it is a child is for the caller to know.
#[derive(Debug, Default)]
pub struct Turns {
    children: BTreeMap<IpAddr, Budget>,
}

impl Turns {
    /// A packet has come from there: whether it is to be read. `now`: ns of any steady clock.
    pub fn has(&mut self, from: IpAddr, now: u64) -> bool {
        if self.children.len() >= MOST && !self.children.contains_key(&from) {
            self.children.retain(|_, budget| !budget.is_idle(now, IDLE));
            if self.children.len() >= MOST {
                return false;
            }
        }
        let budget = self.children.entry(from).or_insert_with(|| Budget::full(AT_ONCE, now));
        budget.gain(A_SECOND, AT_ONCE, now);
        budget.take(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn who_floods_takes_the_turn_of_nobody_else() {
        let mut turns = Turns::default();
        let read = (0..1_000_000).filter(|now| turns.has(at(1), now * 1_000)).count() as u64;
        assert!((A_SECOND..=A_SECOND + AT_ONCE).contains(&read), "{read}");
        assert!(turns.has(at(2), 1_000_000_000));
    }

    #[test]
    fn memory_has_an_end_and_who_comes_later_has_a_turn() {
        let mut turns = Turns::default();
        let read = (0..5_000).filter(|number| turns.has(at(*number), 0)).count();
        assert_eq!((read, turns.children.len()), (MOST, MOST));
        assert!(turns.has(at(9_000), IDLE));
    }
}
