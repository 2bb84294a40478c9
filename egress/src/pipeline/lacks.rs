//! [`Lacks`]: what of a stream is missing, as its packets show, without I/O.

use relay_common::stream::Stream;

use crate::repair::Seen;

/// What was said to be missing, and where the picture begins that comes at present.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lacks {
    /// The last extended number that was missing at any time, unless a keyframe came after it.
    until: Option<u32>,
    /// Timestamp of the packet that is furthest on, and the last extended number that came before it with another one.
    picture: u32,
    former: Option<u32>,
}

/// A packet that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The highest extended number before it came; none: it is the first.
    pub before: Option<u32>,
    /// Its number and timestamp.
    pub sequence: u16,
    pub timestamp: u32,
    /// It begins a keyframe.
    pub keyframe: bool,
}

impl Lacks {
    /// What a packet shows. `stream`: after it was taken. A thing is said a gap, a late packet and a keyframe, never one a packet.
    pub fn took(&mut self, stream: &Stream, taken: Taken) -> [Option<Seen>; 2] {
        let behind = (stream.highest as u16).wrapping_sub(taken.sequence);
        let Some(before) = taken.before else {
            self.picture = taken.timestamp;
            return [None; 2];
        };
        if behind != 0 {
            let number = stream.highest.wrapping_sub(u32::from(behind));
            let was_missing = self.until.is_some_and(|until| number <= until);
            return [was_missing.then_some(Seen::Late(number)), None];
        }
        let missing = stream.missing_since(before);
        if missing.is_some() {
            self.until = Some(stream.highest.wrapping_sub(1));
        }
        if taken.timestamp != self.picture {
            (self.picture, self.former) = (taken.timestamp, Some(before));
        }
        [missing.map(Seen::Gap), self.begins(taken.keyframe)]
    }

    /// What came before a keyframe is of no use after it. What is missing between the picture before and the first packet that was
    /// known for a keyframe's may be of either: the parameter sets, for one.
    fn begins(&mut self, keyframe: bool) -> Option<Seen> {
        let former = self.former.filter(|_| keyframe)?;
        let until = self.until?;
        if until <= former {
            self.until = None;
        }
        Some(Seen::Keyframe(former.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use relay_common::stream::{Arrival, Missing, units_per_ns};

    use super::*;

    /// What these packets show: number, picture, whether a keyframe begins.
    fn shown(packets: &[(u16, u32, bool)]) -> Vec<Seen> {
        let (mut lacks, mut stream) = (Lacks::default(), None::<Stream>);
        let mut seen = Vec::new();
        for (nth, (sequence, picture, keyframe)) in packets.iter().enumerate() {
            let timestamp = picture * 3000;
            let now = nth as u64 * 1_000_000;
            let arrival =
                Arrival { sequence: *sequence, timestamp, bytes: 100, now, rate: units_per_ns(90_000) };
            let before = stream.as_ref().map(|stream| stream.highest);
            match &mut stream {
                Some(stream) => assert!(stream.update(arrival), "{sequence}"),
                None => stream = Some(Stream::begin(arrival, [0; 16], 0)),
            }
            let taken = Taken { before, sequence: *sequence, timestamp, keyframe: *keyframe };
            seen.extend(lacks.took(&stream.unwrap(), taken).into_iter().flatten());
        }
        seen
    }

    fn gap(first: u32, count: u16) -> Seen {
        Seen::Gap(Missing { first, count })
    }

    #[test]
    fn a_gap_is_told_once_and_each_of_it_that_comes() {
        let packets = [(65_534, 1, false), (1, 1, false), (2, 1, false), (65_535, 1, false), (3, 2, false)];
        assert_eq!(shown(&packets), [gap(65_535, 2), Seen::Late(65_535)]);
    }

    #[test]
    fn what_was_before_the_first_is_late_and_was_never_missing() {
        assert!(shown(&[(10, 1, false), (8, 1, false), (11, 1, false)]).is_empty());
    }

    #[test]
    fn a_keyframe_is_told_while_something_is_missing_before_it() {
        assert!(shown(&[(1, 1, false), (2, 2, true), (3, 3, true)]).is_empty(), "nothing is");
        let lost = [(1, 1, false), (3, 1, false), (4, 2, true), (5, 2, true), (6, 3, true)];
        assert_eq!(shown(&lost), [gap(2, 1), Seen::Keyframe(4)], "once");
    }

    /// Of H264 the first packets may be parameter sets: without them the keyframe is of no use.
    #[test]
    fn what_is_missing_just_before_a_keyframe_may_be_its_beginning() {
        let packets = [(1, 1, false), (4, 2, true), (5, 2, false), (6, 3, false), (2, 2, false)];
        assert_eq!(shown(&packets), [gap(2, 2), Seen::Keyframe(2), Seen::Late(2)]);
    }

    #[test]
    fn what_was_of_no_use_any_more_is_not_told_of_when_it_comes() {
        let packets =
            [(1, 1, false), (3, 1, false), (4, 2, true), (2, 1, false), (6, 2, false), (5, 2, false)];
        assert_eq!(shown(&packets), [gap(2, 1), Seen::Keyframe(4), gap(5, 1), Seen::Late(2), Seen::Late(5)]);
    }
}
