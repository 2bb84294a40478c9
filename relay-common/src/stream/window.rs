//! Which of the last packets of a stream have come.

use crate::atomic;
use crate::rtp::MAX_DROPOUT;

/// Words of the window.
const WORDS: usize = 32;
/// So many numbers behind the highest the window remembers: 99 ms of 10,000 packets/s, and much more of what people watch.
pub const REACH: u16 = 32 * (WORDS as u16 - 1);

/// So often a word is tried to be written that another CPU writes meanwhile.
const TRIES: usize = 8;

/// Words that another CPU may be ahead by.
const FURTHEST: u32 = WORDS as u32 + MAX_DROPOUT as u32 / 32;

/// A ring of words: each is for 32 extended sequence numbers in a row, says in its upper half which, and in its lower half what of
/// them has come. So that going on costs one write, however far and however long the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Window([u64; WORDS]);

impl Window {
    /// Nothing has come.
    pub const EMPTY: Window = Window([0; WORDS]);

    /// True when the packet has come: one of the last [`REACH`].
    #[inline(always)]
    pub(super) fn has(&self, extended: u32) -> bool {
        let word = self.0[word_of(extended)];
        (word >> 32) as u32 == extended >> 5 && word >> (extended & 31) & 1 != 0
    }

    /// The packet has come, not more than [`REACH`] behind the highest.
    #[inline(always)]
    pub(super) fn note(&mut self, extended: u32) {
        let word = &mut self.0[word_of(extended)];
        if (*word >> 32) as u32 != extended >> 5 {
            // It was for numbers of a round before.
            *word = ((extended >> 5) as u64) << 32;
        }
        *word |= 1 << (extended & 31);
    }

    /// Notes that the packet has come; false if that was so. Two CPUs may do so at once: of one packet one of them is told true, and
    /// neither undoes what the other notes.
    #[inline(always)]
    pub(super) fn claim(&mut self, extended: u32) -> bool {
        let (round, bit) = (extended >> 5, 1 << (extended & 31));
        let word = &mut self.0[word_of(extended)];
        let mut known = *word;
        for _ in 0..TRIES {
            let held = (known >> 32) as u32;
            // The other one has gone on by a round of the window meanwhile: this one is too old to tell.
            let is_past = held != round && held.wrapping_sub(round) <= FURTHEST;
            if is_past || held == round && known & bit != 0 {
                return false;
            }
            let come = if held == round { known } else { (round as u64) << 32 };
            let found = atomic::exchange(word, known, come | bit);
            if found == known {
                return true;
            }
            known = found;
        }
        // So often nobody else notes one of 32 numbers meanwhile; if so, it is better sent twice than not at all.
        true
    }
}

/// Where in the window an extended sequence number is.
#[inline(always)]
fn word_of(extended: u32) -> usize {
    (extended >> 5) as usize % WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_claimed_once_and_none_that_is_too_old() {
        // The last of these is the last extended number that there is.
        for first in [0, 0xffff, u32::MAX - 4_999] {
            let mut window = Window::EMPTY;
            for number in (0..5_000).map(|number| first + number) {
                assert!(window.claim(number) && window.has(number) && !window.claim(number), "{number}");
                if let Some(former) = number.checked_sub(u32::from(REACH)).filter(|former| *former >= first) {
                    assert!(window.has(former) && !window.claim(former), "{former}");
                }
            }
            let (last, old) = (first + 4_999, first + 4_999 - 32 * WORDS as u32);
            assert!(!window.claim(old), "another has taken its place");
            assert!(window.has(last) && !window.has(old));
        }
    }
}
