//! Between two parents a stream comes by two ways, and is taken once: each packet, whichever way it comes first.

use proptest::prelude::*;

use super::arrival;
use relay_common::stream::Elsewhere::{Collision, Repeated};
use relay_common::stream::{REACH, Standing, Stream};

const WAYS: [([u8; 16], u16); 2] = [([1; 16], 4_000), ([2; 16], 4_000)];
/// Between two packets, ns: 10,000 a second.
const STEP: u64 = 100_000;

/// As the data planes take a packet: true if it is forwarded.
fn takes(stream: &mut Option<Stream>, way: usize, sequence: u16, now: u64) -> bool {
    takes_at(stream, way, sequence, 0, now)
}

/// The same with a timestamp.
fn takes_at(stream: &mut Option<Stream>, way: usize, sequence: u16, timestamp: u32, now: u64) -> bool {
    let ((address, port), packet) = (WAYS[way], arrival(sequence, timestamp, now));
    let Some(stream) = stream else {
        *stream = Some(Stream::begin(packet, address, port));
        return true;
    };
    let is_own = stream.is_from(&address, port);
    if is_own && stream.once == 0 {
        return stream.update(packet);
    }
    let standing = if is_own { Standing::Own } else { Standing::Twin };
    stream.take_once(&address, port, packet, standing) != Repeated
}

/// What comes, in its order: (when, by which way, number). `delays` and `lost`, by way and number: how many packets late, and not at all.
fn arrivals(
    count: u64,
    delay: impl Fn(usize, u64) -> u64,
    lost: impl Fn(usize, u64) -> bool,
) -> Vec<(u64, usize, u64)> {
    let all = (0..count).flat_map(|number| [0, 1].map(|way| (way, number)));
    let come = all.filter(|(way, number)| !lost(*way, *number));
    let mut come: Vec<_> = come.map(|(way, number)| (number + delay(way, number), way, number)).collect();
    come.sort_unstable();
    come
}

/// Which numbers are forwarded, from a start anywhere.
fn forwarded(start: u16, come: &[(u64, usize, u64)]) -> (Vec<u64>, Stream) {
    let mut stream = None;
    let mut out = Vec::new();
    for (at, way, number) in come {
        if takes(&mut stream, *way, start.wrapping_add(*number as u16), 1_000_000_000 + at * STEP) {
            out.push(*number);
        }
    }
    out.sort_unstable();
    (out, stream.unwrap())
}

#[test]
fn whichever_way_is_the_longer_each_packet_is_taken_once() {
    for (one, two) in [(0, 0), (7, 0), (0, 7), (0, 200), (300, 0), (u64::from(REACH) - 1, 0)] {
        let come = arrivals(5_000, |way, _| [one, two][way], |_, _| false);
        let (out, stream) = forwarded(65_000, &come);
        // The first to come may be one that the longer way has brought already.
        assert_eq!(out, Vec::from_iter(0..5_000), "{one}, {two} late");
        assert_eq!((stream.packets, stream.lost(), stream.duplicates, stream.restarts), (5_000, 0, 0, 0));
    }
}

#[test]
fn what_one_way_loses_the_other_brings() {
    for (one, two) in [(0, 0), (0, 150), (500, 0)] {
        let lost = |way: usize, number: u64| number > 100 && (number / 50) % 2 == way as u64;
        let (out, stream) = forwarded(3, &arrivals(5_000, |way, _| [one, two][way], lost));
        assert_eq!(out, Vec::from_iter(0..5_000), "{one}, {two} late");
        assert_eq!(stream.lost(), 0);
    }
}

#[test]
fn what_is_too_far_behind_to_tell_is_not_taken_and_begins_nothing() {
    let late = u64::from(REACH) + 200;
    for late in [[late, 0], [0, late]] {
        // Both have been here from the first packet on.
        let (out, stream) = forwarded(
            9,
            &arrivals(20_000, |way, number| if number == 0 { 0 } else { late[way] }, |_, _| false),
        );
        assert_eq!(out, Vec::from_iter(0..20_000));
        assert_eq!(stream.restarts, 0);
    }
}

#[test]
fn the_stream_comes_from_the_way_that_is_left_soon_after_the_other_fails() {
    let lost = |way: usize, number: u64| way == 0 && number > 1_000;
    let (out, stream) = forwarded(9, &arrivals(1_200, |way, _| 10 * way as u64, lost));
    assert_eq!(out, Vec::from_iter(0..1_200));
    assert!(stream.is_from(&WAYS[1].0, WAYS[1].1));
}

#[test]
fn a_sender_that_begins_again_is_heard_when_nothing_new_has_come_for_a_moment() {
    let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
    let mut stream = Some(stream);
    let ended = 1_000_000_000 + 1_000 * STEP;
    for (after, sequence, taken) in [
        (1, 40_000, false),
        (400, 40_001, false),
        // At a number that has come of late, which is likelier than a beginning.
        (600, 500, false),
        (601, 40_002, true),
        (602, 40_003, true),
        (5_603, 40_000, true),
        (5_604, 40_001, true),
    ] {
        assert_eq!(takes(&mut stream, 0, sequence, ended + after * 1_000_000), taken, "after {after} ms");
    }
}

/// Whatever one packet says, those of the two ways go on being taken.
#[test]
fn a_stray_packet_far_ahead_costs_nothing() {
    for ahead in [REACH + 1, 1_500, 2_999] {
        let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
        let (mut stream, last) = (Some(stream), 1_000_000_000 + 1_000 * STEP);
        assert!(!takes(&mut stream, 1, 1_008 + ahead, last));
        for number in 1_009..2_009 {
            let now = last + u64::from(number) * STEP;
            assert!(takes(&mut stream, 0, number, now), "{number} after one {ahead} ahead");
            assert!(!takes(&mut stream, 1, number, now));
        }
    }
}

#[test]
fn after_a_long_loss_the_second_packet_goes_on() {
    let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
    let (mut stream, last) = (Some(stream), 1_000_000_000 + 1_000 * STEP);
    for (number, taken) in [(3_000, false), (3_001, true), (3_002, true)] {
        assert_eq!(takes(&mut stream, 0, number, last), taken, "{number}");
    }
    let stream = stream.unwrap();
    assert_eq!((stream.restarts, stream.lost()), (0, 1_992));
}

/// A parent that is none any more for some seconds: what the network doubles then is nobody's business.
#[test]
fn some_seconds_after_the_second_way_was_heard_last_a_stream_is_like_any_other() {
    let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
    let (mut stream, last) = (Some(stream), 1_000_000_000 + 1_000 * STEP);
    assert!(takes(&mut stream, 0, 1_009, last) && !takes(&mut stream, 0, 1_009, last));
    assert!(takes(&mut stream, 0, 1_010, last + 6_000_000_000));
    assert!(!takes(&mut stream, 0, 1_010, last + 6_000_000_000));
    let stream = stream.unwrap();
    assert_eq!((stream.once, stream.duplicates), (0, 1));
}

/// Of one of two parents it is looked for as long as it is that, and only reports may have come before.
#[test]
fn however_long_the_other_of_two_parents_is_silent_it_is_looked_what_has_come() {
    let mut stream = Stream::begin_with_rtcp(1_000_000_000, WAYS[0].0, WAYS[0].1 + 1);
    stream.expect_another_way(1_000_000_000);
    let mut take = |way: usize, sequence, second: u64, standing| {
        let ((address, port), packet) = (WAYS[way], arrival(sequence, 0, second * 1_000_000_000));
        let became = stream.take_once(&address, port, packet, standing);
        (became != Repeated, stream.once)
    };
    assert_eq!(take(0, 40_000, 1, Standing::Twin), (true, 1));
    assert_eq!(take(1, 40_000, 1, Standing::Twin), (false, 1));
    for second in 2..100 {
        let number = 40_000 + second as u16;
        assert_eq!(take(0, number, second, Standing::OneOfTwo), (true, 1), "{second} s");
        assert_eq!(take(0, number, second, Standing::OneOfTwo), (false, 1), "{second} s");
    }
    assert_eq!(take(1, 40_099, 100, Standing::Twin), (false, 1));
    // A parent beside whom there is none any more.
    assert_eq!(take(0, 40_100, 101, Standing::Own), (true, 1));
    assert_eq!(take(0, 40_101, 106, Standing::Own), (true, 0));
    assert_eq!((stream.packets, stream.restarts, stream.first_seen), (101, 0, 1_000_000_000));
}

/// What has begun again has, whoever else finds the same silence.
#[test]
fn what_begins_again_after_a_silence_comes_once_by_two_ways() {
    for (silence, begins) in [(600, 40_000), (6_000, 500), (6_000, 1_008)] {
        let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
        let (mut stream, last) = (Some(stream), 1_000_000_000 + 1_000 * STEP);
        for number in 0..100 {
            let now = last + silence * 1_000_000 + u64::from(number) * STEP;
            let taken = [1, 0].map(|way| takes(&mut stream, way, begins + number, now));
            assert_eq!(taken, [true, false], "{number} from {begins} after {silence} ms");
        }
        let stream = stream.unwrap();
        assert_eq!((stream.packets, stream.restarts, stream.lost()), (1_100, 1, 0));
    }
}

/// The sender begins again, on another timeline, while two parents send what it sends: whichever way is the longer, what it sent last
/// and first comes once, for the own way says where the stream is.
#[test]
fn a_sender_that_begins_again_on_another_timeline_comes_once_by_two_ways() {
    let all = [[0, 0], [0, 30], [0, 500]];
    // At a number of long before, and at one that has just come.
    for (late, begins) in all.into_iter().flat_map(|late| [(late, 41_500), (late, 1_000)]) {
        let mut stream = None;
        let mut out = Vec::new();
        for (at, way, number) in arrivals(3_000, |way, _| late[way], |_, _| false) {
            let (sequence, timestamp) = match number < 1_500 {
                true => (number as u16, 9_000 + 9 * number as u32),
                false => (begins + (number - 1_500) as u16, 90_000_000 + 9 * number as u32),
            };
            if takes_at(&mut stream, way, sequence, timestamp, 1_000_000_000 + at * STEP) {
                out.push(number);
            }
        }
        assert_eq!(out, Vec::from_iter(0..3_000), "{late:?} late, from {begins}");
        assert_eq!(stream.unwrap().restarts, 1);
    }
}

/// A second sender of the SSRC is neither a way of the stream nor a reason to go on looking for one.
#[test]
fn so_it_is_while_a_rival_sends() {
    let (_, stream) = forwarded(9, &arrivals(1_000, |_, _| 0, |_, _| false));
    let (mut stream, last) = (Some(stream), 1_000_000_000 + 999 * STEP);
    for (count, after) in (0..).zip((50..8_000).step_by(50)) {
        let (number, now) = (1_009 + count, last + after * 1_000_000);
        let rival = arrival(number + 40_000, 0, now);
        assert!(takes(&mut stream, 0, number, now));
        assert_eq!(stream.as_mut().unwrap().elsewhere(&[3; 16], 4_000, rival), Collision);
        assert!(!takes(&mut stream, 0, number, now), "again after {after} ms");
    }
    assert_eq!(stream.unwrap().once, 0);
}

proptest! {
    /// Two ways, each with its own length, jitter and loss, in bursts as sockets deliver them.
    #[test]
    fn two_random_ways_bring_each_packet_once(
        start in any::<u16>(),
        ways in prop::array::uniform2((0..400u64, 1..40u64, 0..5u64)),
        seed in any::<u64>(),
    ) {
        let random = |way: usize, number: u64, salt: u64| {
            let mixed = (seed ^ salt ^ number.wrapping_mul(2) ^ way as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
        };
        let delay = |way: usize, number: u64| {
            let (length, burst, _) = ways[way];
            length + burst - number % burst + random(way, number, 1) % 3
        };
        let lost = |way: usize, number: u64| random(way, number, 2) % 100 < ways[way].2;
        let come = arrivals(3_000, delay, lost);
        let (out, stream) = forwarded(start, &come);
        let wanted: Vec<u64> = (0..3_000).filter(|number| !(lost(0, *number) && lost(1, *number))).collect();
        prop_assert_eq!(out, wanted);
        prop_assert_eq!(stream.restarts, 0);
    }
}
