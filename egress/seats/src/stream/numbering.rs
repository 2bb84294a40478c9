//! From a stream's sequence numbers and timestamps to those of all its publications together.
//!
//! A publication's numbers begin anywhere. Viewers are to see one stream all the same: the first packet of another publication
//! follows the last of the one before, and its timestamp is later by the time in between. (Passed on as they are, such numbers
//! freeze a browser's picture.)

use std::time::Duration;

use node::media::Kind;
use node::media::continuity::Continuity;
use node::media::rtp::Header;

/// Index of the first packet: so that those which should have come before it have one, too.
const FIRST: u64 = 1 << 16;
/// How long packets of a publication come after the first of the next.
const OVERLAP: Duration = Duration::from_secs(1);
/// A publication's first packet is later than the last one's last by this part of a second at least: two pictures never have
/// the same timestamp.
const STEP: u32 = 100;

/// Numbers a stream's packets through.
#[derive(Clone, Debug)]
pub struct Numbering {
    clock: u32,
    /// The one that goes on.
    publication: Option<Publication>,
    /// The one before, and when it ended.
    before: Option<(Publication, Duration)>,
}

/// Where a packet belongs in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// See [`super::Packet::index`].
    pub index: u64,
    /// See [`super::Packet::timestamp`].
    pub timestamp: u32,
}

/// Packets whose numbers follow each other.
#[derive(Clone, Copy, Debug)]
struct Publication {
    continuity: Continuity,
    /// The one that is furthest on, in the publication's numbers.
    furthest: Header,
    /// Its place.
    place: Place,
    /// When it came.
    at: Duration,
}

impl Publication {
    fn begin(clock: u32, header: Header, place: Place, now: Duration) -> Publication {
        let mut continuity = Continuity::new(clock);
        continuity.begins_anew(header, now);
        Publication { continuity, furthest: header, place, at: now }
    }

    /// Takes a packet in and says where it belongs, unless it is none of this publication.
    fn takes(&mut self, header: Header, now: Duration) -> Option<Place> {
        // What does not follow leaves no trace here.
        let mut continuity = self.continuity;
        if continuity.begins_anew(header, now) {
            return None;
        }
        self.continuity = continuity;
        let step = header.sequence.wrapping_sub(self.furthest.sequence).cast_signed();
        let place = Place {
            index: self.place.index.checked_add_signed(i64::from(step))?,
            timestamp: self
                .place
                .timestamp
                .wrapping_add(header.timestamp.wrapping_sub(self.furthest.timestamp)),
        };
        if step > 0 {
            (self.furthest, self.place, self.at) = (header, place, now);
        }
        Some(place)
    }
}

impl Numbering {
    /// Of a stream of this kind, from its first packet on.
    pub fn new(kind: Kind) -> Numbering {
        Numbering { clock: kind.clock_rate(), publication: None, before: None }
    }

    /// Where a packet belongs. `None`: nowhere, since it is of a publication that is over, and what came after has its place.
    pub fn place(&mut self, header: Header, now: Duration) -> Option<Place> {
        let Some(publication) = &mut self.publication else {
            let place = Place { index: FIRST, timestamp: header.timestamp };
            self.publication = Some(Publication::begin(self.clock, header, place, now));
            return Some(place);
        };
        if let Some(place) = publication.takes(header, now) {
            return Some(place);
        }
        let ended = publication.place;
        if let Some((before, since)) = &mut self.before
            && now.saturating_sub(*since) < OVERLAP
        {
            let last = before.place.index;
            // A copy: what is over does not go on.
            if let Some(place) = { *before }.takes(header, now) {
                return (place.index <= last).then_some(place);
            }
        }
        let passed = now.saturating_sub(publication.at).as_secs_f64() * f64::from(self.clock);
        let passed = (passed as u64 as u32).max(self.clock / STEP);
        let place = Place { index: ended.index + 1, timestamp: ended.timestamp.wrapping_add(passed) };
        self.before = Some((*publication, now));
        *publication = Publication::begin(self.clock, header, place, now);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use node::media::Ssrc;
    use proptest::prelude::*;

    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 96, ssrc: Ssrc(7), sequence, timestamp }
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn what_follows_has_the_next_number() {
        let mut numbering = Numbering::new(Kind::Video);
        // Sequence number, timestamp, ms, index behind the first, timestamp behind the first.
        let table: [(u16, u32, u64, i64, i32); 7] = [
            (65_534, 100, 0, 0, 0),
            (65_535, 100, 0, 1, 0),
            (1, 3100, 33, 3, 3000),
            // Late, twice the same, from before the first.
            (0, 3100, 34, 2, 3000),
            (1, 3100, 35, 3, 3000),
            (65_533, 0u32.wrapping_sub(2900), 36, -1, -3000),
            (2, 6100, 66, 4, 6000),
        ];
        for (sequence, timestamp, at, index, ticks) in table {
            let place = numbering.place(header(sequence, timestamp), MS(at)).unwrap();
            let wanted = Place {
                index: FIRST.checked_add_signed(index).unwrap(),
                timestamp: 100u32.wrapping_add_signed(ticks),
            };
            assert_eq!(place, wanted, "{sequence}");
        }
    }

    #[test]
    fn another_publication_follows_without_a_seam() {
        let mut numbering = Numbering::new(Kind::Video);
        let first = numbering.place(header(1000, 5000), MS(0)).unwrap();
        let second = numbering.place(header(1001, 8000), MS(33)).unwrap();
        let anew = numbering.place(header(40_000, 3_000_000_000), MS(533)).unwrap();
        assert_eq!(anew, Place { index: first.index + 2, timestamp: second.timestamp + 45_000 });
        // Those of the first that come now still have their places; what would have followed it has none.
        assert_eq!(numbering.place(header(999, 5000), MS(534)).map(|place| place.index), Some(FIRST - 1));
        assert_eq!(numbering.place(header(1002, 11_000), MS(535)), None);
        let next = numbering.place(header(40_001, 3_000_003_000), MS(566)).unwrap();
        assert_eq!(next, Place { index: anew.index + 1, timestamp: anew.timestamp + 3000 });
        // A second later nothing of it can be on its way any more: whoever has these numbers publishes.
        let again = numbering.place(header(1002, 11_000), MS(1600)).unwrap();
        assert_eq!(again.index, next.index + 1);
    }

    #[test]
    fn a_publication_that_begins_at_once_is_later_all_the_same() {
        let mut numbering = Numbering::new(Kind::Audio);
        let first = numbering.place(header(1, 0), MS(0)).unwrap();
        let anew = numbering.place(header(30_000, 9), MS(0)).unwrap();
        assert_eq!(anew, Place { index: first.index + 1, timestamp: first.timestamp + 480 });
    }

    proptest! {
        /// However packets of one publication are lost, sent twice and out of order (by less than what counts as late), the
        /// index differs as the true number does.
        #[test]
        fn indices_differ_as_packets_do(
            start: u16,
            ticks: u32,
            steps in prop::collection::vec((0u64..40, 0u64..900), 1..300),
        ) {
            let mut numbering = Numbering::new(Kind::Video);
            let (mut furthest, mut first) = (2000u64, None);
            for (forward, back) in steps {
                furthest += forward;
                let number = furthest - back;
                let timestamp = ticks.wrapping_add(number as u32 * 90);
                let place =
                    numbering.place(header(start.wrapping_add(number as u16), timestamp), MS(furthest)).unwrap();
                let (number_0, place_0): (u64, Place) = *first.get_or_insert((number, place));
                prop_assert_eq!(place.index.wrapping_sub(place_0.index), number.wrapping_sub(number_0));
                prop_assert_eq!(
                    place.timestamp.wrapping_sub(place_0.timestamp),
                    (number as u32).wrapping_sub(number_0 as u32).wrapping_mul(90)
                );
            }
        }

        #[test]
        fn no_numbers_make_it_panic(packets: Vec<(u16, u32, u16)>) {
            let (mut numbering, mut now) = (Numbering::new(Kind::Video), Duration::ZERO);
            for (sequence, timestamp, later) in packets {
                now += MS(later.into());
                let _ = numbering.place(header(sequence, timestamp), now);
            }
        }
    }
}
