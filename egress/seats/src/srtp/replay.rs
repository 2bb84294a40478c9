//! Which packets have come already (RFC 3711 section 3.3.2): one that comes twice is dropped, and so is one that is too old to
//! know.

/// Packets behind the highest that are remembered.
const WIDTH: u64 = u128::BITS as u64;

/// Most SSRCs of a viewer. Each has numbers of its own: players report for every medium under an SSRC of its own.
const STREAMS: usize = 16;

/// The windows of all that one viewer sends by one protocol.
#[derive(Default)]
pub struct Windows {
    of: Vec<(u32, Window)>,
}

impl Windows {
    /// That of an SSRC; a new one if it was never heard of. `None` when there are too many.
    pub fn of(&self, ssrc: u32) -> Option<Window> {
        match self.of.iter().find(|(of, _)| *of == ssrc) {
            Some((_, window)) => Some(*window),
            None => (self.of.len() < STREAMS).then_some(Window::default()),
        }
    }

    /// Keeps what has become of it, now that the packet is known to be genuine.
    pub fn keep(&mut self, ssrc: u32, window: Window) {
        match self.of.iter_mut().find(|(of, _)| *of == ssrc) {
            Some((_, kept)) => *kept = window,
            // `of` gives no window to one too many.
            None => self.of.push((ssrc, window)),
        }
    }
}

/// What has come of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Highest index so far; none has come when `seen` is 0.
    highest: u64,
    /// Bit n: `highest` - n has come.
    seen: u128,
}

impl Window {
    /// The index of a packet by its sequence number: the one that is nearest to the highest (RFC 3711 section 3.3.1); the first
    /// packet's roll-over counter is 0. `None` when it would be from before that.
    pub fn index(&self, sequence: u16) -> Option<u64> {
        if self.seen == 0 {
            return Some(u64::from(sequence));
        }
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.checked_add_signed(i64::from(ahead))
    }

    /// This and a packet with this index; `None` when it has come, or is too old to know.
    pub fn with(mut self, index: u64) -> Option<Window> {
        if self.seen == 0 {
            return Some(Window { highest: index, seen: 1 });
        }
        if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead < WIDTH { self.seen << ahead } else { 0 } | 1;
            self.highest = index;
            return Some(self);
        }
        let behind = self.highest - index;
        if behind >= WIDTH || self.seen & 1 << behind != 0 {
            return None;
        }
        self.seen |= 1 << behind;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequence_numbers_are_taken_to_be_near_the_highest() {
        let at = |highest| Window::default().with(highest).unwrap();
        for (window, sequence, wanted) in [
            (Window::default(), 65_535, Some(65_535)),
            (at(10), 11, Some(11)),
            (at(10), 65_535, None),
            (at(65_535), 0, Some(65_536)),
            (at(65_536), 65_535, Some(65_535)),
            (at(65_536 + 40_000), 39_999, Some(65_536 + 39_999)),
            (at(65_536 + 40_000), 7_231, Some(2 * 65_536 + 7_231)),
            (at(65_536 + 40_000), 7_232, Some(65_536 + 7_232)),
            (at(65_536 + 40_000), 1_000, Some(2 * 65_536 + 1_000)),
        ] {
            assert_eq!(window.index(sequence), wanted, "{window:?} {sequence}");
        }
    }

    #[test]
    fn only_so_many_streams_are_remembered() {
        let mut windows = Windows::default();
        for ssrc in 0..2 * STREAMS as u32 {
            let window = windows.of(ssrc);
            assert_eq!(window.is_some(), ssrc < STREAMS as u32, "{ssrc}");
            window.into_iter().for_each(|window| windows.keep(ssrc, window));
        }
        assert_eq!(windows.of.len(), STREAMS);
        assert!(windows.of(0).is_some());
    }

    proptest! {
        /// Whatever comes in whatever order: nothing twice, and nothing that is new and recent is refused.
        #[test]
        fn nothing_passes_twice(steps in prop::collection::vec(-150_i64..150, 1..300)) {
            let (mut window, mut passed, mut index) = (Window::default(), HashSet::new(), 100_000_i64);
            for step in steps {
                index = (index + step).max(0);
                let index = index as u64;
                let highest = passed.iter().max().copied().unwrap_or(index);
                match window.with(index) {
                    Some(next) => {
                        prop_assert!(passed.insert(index), "{} twice", index);
                        window = next;
                    }
                    None => prop_assert!(passed.contains(&index) || index + WIDTH <= highest),
                }
            }
        }
    }
}
