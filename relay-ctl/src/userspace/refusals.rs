//! To whom packets do not go several in a message, because the kernel has refused that. It refuses a whole message where it
//! would take each packet: when a segment with its headers is longer than the route's MTU, where single packets are sent as
//! fragments (EMSGSIZE, before Linux 6.14 EINVAL), and on ways with IPsec or, before Linux 6.11, without checksum offload (EIO).

use std::collections::HashMap;

/// For how long, in ns. What was in the way may be gone by then, and to find out costs one call.
const WHILE: u64 = 10_000_000_000;

/// What was refused lately. No clock here: times are CLOCK_MONOTONIC ns.
#[derive(Default)]
pub struct Refusals {
    /// By address, IPv4 mapped: the way there is what matters.
    by_address: HashMap<[u8; 16], Refusal>,
}

struct Refusal {
    /// Shortest segment refused: the MTU lets shorter ones through.
    length: usize,
    until: u64,
}

impl Refusals {
    /// May packets of this length go there several in a message?
    pub fn allow(&self, address: &[u8; 16], length: usize, now: u64) -> bool {
        // Hashing nothing in the common case.
        self.by_address.is_empty()
            || self
                .by_address
                .get(address)
                .is_none_or(|refusal| length < refusal.length || now >= refusal.until)
    }

    /// Packets of this length were refused together and then taken one by one.
    pub fn note(&mut self, address: [u8; 16], length: usize, now: u64) {
        self.by_address.retain(|_, refusal| now < refusal.until);
        let refusal = self.by_address.entry(address).or_insert(Refusal { length, until: 0 });
        refusal.length = refusal.length.min(length);
        refusal.until = now + WHILE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    #[test]
    fn what_was_refused_is_not_tried_again_for_a_while() {
        let mut refusals = Refusals::default();
        assert!(refusals.allow(&A, 1400, 0));
        refusals.note(A, 1400, 5);
        assert!(!refusals.allow(&A, 1400, 5) && !refusals.allow(&A, 1500, 4 + WHILE));
        assert!(refusals.allow(&A, 1399, 5), "shorter ones fit");
        assert!(refusals.allow(&B, 1400, 5), "another way");
        assert!(refusals.allow(&A, 1400, 5 + WHILE), "the way may have changed");
    }

    #[test]
    fn the_shortest_refused_counts_until_all_is_forgotten() {
        let mut refusals = Refusals::default();
        refusals.note(A, 1400, 0);
        refusals.note(A, 200, 1);
        refusals.note(A, 1000, 2);
        assert!(!refusals.allow(&A, 200, 2) && refusals.allow(&A, 199, 2));
        refusals.note(B, 100, 2 + WHILE);
        assert_eq!(refusals.by_address.len(), 1, "no more are kept than are of use");
        refusals.note(A, 1400, 2 + WHILE);
        assert!(refusals.allow(&A, 200, 2 + WHILE));
    }
}
