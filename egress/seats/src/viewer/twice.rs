//! What is sent again, once more: on a way that loses packets it may be lost, too. Who asked asks again only after its round trip and
//! more (libwebrtc, which does not know that, after a tenth of a second), and by then its picture stands still. So it gets a second
//! copy a moment later, as long as these are few beside all that it is sent: where much is lost, more would make it worse.

use std::collections::VecDeque;
use std::time::Duration;

use node::media::Kind;

/// How much later: what loses one packet often loses the next ones, too. It is sent when there is housekeeping, some ms after.
const LATER: Duration = Duration::from_millis(10);
/// Packets that are sent for each second copy.
const ONE_IN: u32 = 16;
/// Second copies at once after a while without.
const MOST: u32 = 16;

/// A viewer's second copies.
#[derive(Debug, Default)]
pub struct Twice {
    /// Packets sent that no second copy has been for.
    sent: u32,
    waiting: VecDeque<(Duration, Kind, u16)>,
}

impl Twice {
    /// A packet was sent for the first time.
    pub fn sent(&mut self) {
        self.sent = (self.sent + 1).min(ONE_IN * MOST);
    }

    /// The packet with this sequence number was sent again.
    pub fn again(&mut self, kind: Kind, sequence: u16, now: Duration) {
        if self.sent >= ONE_IN {
            self.sent -= ONE_IN;
            self.waiting.push_back((now + LATER, kind, sequence));
        }
    }

    /// What is to be sent now, one after the other.
    pub fn next(&mut self, now: Duration) -> Option<(Kind, u16)> {
        let due = self.waiting.front().is_some_and(|(due, ..)| *due <= now);
        let (_, kind, sequence) = due.then(|| self.waiting.pop_front()).flatten()?;
        Some((kind, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn they_are_few_beside_all_that_is_sent() {
        let mut twice = Twice::default();
        twice.again(Kind::Video, 1, MS(0));
        assert_eq!(twice.next(MS(1000)), None, "nothing was sent yet");
        (0..100_000).for_each(|_| twice.sent());
        (0..100).for_each(|sequence| twice.again(Kind::Video, sequence, MS(1000)));
        assert_eq!(twice.next(MS(1009)), None, "a moment later");
        let copies = std::iter::from_fn(|| twice.next(MS(1010))).map(|(_, sequence)| sequence);
        assert_eq!(copies.collect::<Vec<u16>>(), (0..16).collect::<Vec<u16>>());
        (0..31).for_each(|_| twice.sent());
        (0..3).for_each(|sequence| twice.again(Kind::Video, sequence, MS(2000)));
        assert_eq!((twice.next(MS(3000)), twice.next(MS(3000))), (Some((Kind::Video, 0)), None));
    }
}
