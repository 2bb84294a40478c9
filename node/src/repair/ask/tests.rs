use relay_common::stream::Arrival;

use super::*;
use crate::repair::WITHIN;

const fn ms(time: u64) -> u64 {
    time * 1_000_000
}

fn asker() -> Asker<u32> {
    Asker::new(WITHIN)
}

/// All requests until that time, and when they went out.
fn until(asker: &mut Asker<u32>, end: u64) -> Vec<(u64, Ask<u32>)> {
    let mut asks = Vec::new();
    while let Some(due) = asker.due().filter(|due| *due <= end) {
        asks.extend(asker.take(due).into_iter().map(|ask| (due, ask)));
    }
    asks
}

#[test]
fn what_is_missing_is_asked_for_after_a_moment_and_again_until_the_deadline() {
    let mut asker = asker();
    asker.missing(7, 0x1_0005, 3, ms(100));
    assert!(asker.take(ms(101)).is_empty(), "it may only be late");
    let asks = until(&mut asker, ms(400));
    assert_eq!(asks[0], (ms(102), Ask { stream: 7, numbers: vec![5, 6, 7], before: 0 }));
    let times: Vec<_> = asks.iter().map(|(at, ask)| (at / ms(1), ask.before)).collect();
    assert_eq!(times, [(102, 0), (132, 1), (162, 2), (192, 3), (222, 4)]);
    let figures = asker.figures();
    assert_eq!((figures.missing, figures.asked, figures.repeated, figures.requests), (3, 3, 12, 5));
    assert_eq!((figures.expired, figures.given_up(), asker.outstanding()), (3, 3, 0));
    assert_eq!(asker.figures_of(&7).expired, 3);
}

#[test]
fn what_comes_late_is_not_asked_for_and_then_waited_for_longer() {
    let mut asker = asker();
    asker.missing(7, 5, 1, ms(100));
    asker.missing(7, 7, 1, ms(100));
    assert_eq!(asker.came(&7, 5, ms(101)), Some(Came::Late));
    assert_eq!(asker.came(&7, 5, ms(101)), None, "once");
    assert_eq!(asker.came(&8, 7, ms(101)), None, "another stream");
    assert_eq!(until(&mut asker, ms(103)).len(), 1);
    // It comes 10 ms late, though it was asked for: an answer would take 40.
    (0..20).for_each(|number| {
        let at = ms(1_000 + 100 * u64::from(number));
        asker.missing(7, 100 + number, 1, at);
        let asked = until(&mut asker, at + ms(20))[0].0;
        asker.came(&7, 100 + number, asked + ms(40));
    });
    asker.missing(7, 200, 1, ms(4_000));
    until(&mut asker, ms(4_003));
    assert_eq!(asker.came(&7, 200, ms(4_010)), Some(Came::Late));
    asker.missing(7, 201, 1, ms(5_000));
    assert_eq!(until(&mut asker, ms(5_020))[0].0, ms(5_012) + ms(1) / 2);
}

#[test]
fn an_answer_tells_the_round_trip_unless_it_was_asked_for_twice() {
    let mut asker = asker();
    for number in 0..40 {
        let at = ms(1_000 * (1 + u64::from(number)));
        asker.missing(7, number, 1, at);
        let asked = until(&mut asker, at + ms(5))[0].0;
        assert_eq!(asker.came(&7, number, asked + ms(12)), Some(Came::Repaired));
    }
    assert_eq!(asker.round_trips().collect::<Vec<_>>(), [(7, Some(ms(12)))]);
    asker.missing(7, 50, 1, ms(90_000));
    let asks = until(&mut asker, ms(90_040));
    assert_eq!(asks[1].0 - asks[0].0, ms(18));
    assert_eq!(asker.came(&7, 50, ms(90_041)), Some(Came::Repaired));
    assert_eq!(asker.round_trips().collect::<Vec<_>>(), [(7, Some(ms(12)))]);
    asker.missing(8, 1, 1, ms(95_000));
    let asks = until(&mut asker, ms(95_100));
    assert_eq!(asks[1].0 - asks[0].0, ms(18), "another stream begins with what is known");
}

#[test]
fn what_cannot_come_in_time_is_not_asked_for_again() {
    let mut asker = asker();
    asker.missing(7, 1, 1, ms(1));
    until(&mut asker, ms(5));
    assert_eq!(asker.came(&7, 1, ms(93)), Some(Came::Repaired));
    asker.missing(7, 100, 1, ms(100_000));
    assert_eq!(until(&mut asker, ms(101_000)).len(), 1);
    assert_eq!(asker.figures().expired, 1);
}

#[test]
fn nobody_asks_for_what_a_keyframe_made_useless_nor_of_a_stream_that_ended() {
    let mut asker = asker();
    asker.missing(7, 10, 10, ms(1));
    asker.take(ms(3));
    asker.useless_before(&7, 15);
    assert_eq!(asker.take(ms(40))[0].numbers, [15, 16, 17, 18, 19]);
    assert_eq!(asker.ended(&7).useless, 10);
    assert_eq!((asker.due(), asker.outstanding()), (None, 0));
    assert_eq!((asker.figures().useless, asker.figures().given_up()), (10, 0), "viewers do not miss it");
}

#[test]
fn a_sequence_that_begins_again_ends_the_one_before() {
    let mut asker = asker();
    asker.missing(7, 10, 2, ms(1));
    asker.missing(7, 0x2_0010, 1, ms(2));
    assert_eq!(until(&mut asker, ms(10))[0].1.numbers, [0x10]);
    assert_eq!(asker.figures().useless, 2);
}

#[test]
fn a_gap_that_is_too_large_is_given_up_at_once_and_so_is_what_there_is_no_room_for() {
    let mut asker = asker();
    asker.missing(7, 10, 1025, ms(1));
    assert_eq!((asker.outstanding(), asker.figures().too_many), (0, 1025));
    asker.missing(7, 10, 1000, ms(1));
    asker.missing(7, 2000, 25, ms(1));
    assert_eq!((asker.outstanding(), asker.figures().too_many), (1000, 1050));
    for stream in 100..120 {
        asker.missing(stream, 10, 1000, ms(1));
    }
    assert!(asker.outstanding() <= MOST);
    assert_eq!(asker.figures().missing, asker.outstanding() as u64 + asker.figures().too_many);
    for stream in 0..100_000 {
        asker.missing(stream, 1, 1, ms(2));
        asker.came(&stream, 1, ms(2));
    }
    assert!(asker.streams.len() <= MOST_STREAMS);
}

#[test]
fn however_much_is_missing_requests_have_a_budget() {
    let mut asker = asker();
    for stream in 0..40 {
        asker.missing(stream, 1, 1, 0);
        asker.take(ms(3));
        assert_eq!(asker.came(&stream, 1, ms(5)), Some(Came::Repaired));
    }
    // As many streams, which lose each second packet.
    let mut number = 3;
    for now in (10..1_010).map(ms) {
        for stream in 0..40 {
            asker.missing(stream, number, 1, now);
        }
        number += 2;
        asker.take(now);
    }
    let figures = asker.figures();
    assert!(figures.requests <= REQUESTS + REQUESTS / 100 + REQUESTS_AT_ONCE, "{figures:?}");
    assert!(figures.requests >= REQUESTS / 2, "{figures:?}");
    assert_eq!(figures.missing, 40_040);
}

#[test]
fn numbers_at_the_end_of_all_numbers_do_no_harm() {
    let mut asker = asker();
    asker.missing(7, u32::MAX - 2, 100, u64::MAX - 10);
    asker.take(u64::MAX);
    asker.useless_before(&7, u32::MAX);
    assert_eq!(asker.outstanding(), 0);
}

#[test]
fn what_is_to_be_looked_at_is_what_would_be_asked_for_or_given_up() {
    let mut asker = asker();
    asker.missing(7, 10, 2, ms(0));
    asker.missing(8, 20, 1, ms(1));
    let waiting = |asker: &Asker<u32>, now| {
        let due = asker.waiting(now).into_iter();
        due.map(|Due { stream, numbers, asked }| (stream, numbers, asked)).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&asker, ms(1)), []);
    assert_eq!(waiting(&asker, ms(2)), [(7, vec![10, 11], vec![])]);
    assert_eq!(waiting(&asker, ms(3)), [(7, vec![10, 11], vec![]), (8, vec![20], vec![])]);
    asker.take(ms(2));
    asker.missing(7, 5, 1, ms(4));
    asker.missing(7, 30, 1, ms(10));
    asker.take(ms(12));
    assert_eq!(waiting(&asker, ms(32)), [(7, vec![10, 11], vec![])], "5 has been asked for, too");
    let all = vec![5, 10, 11, 30];
    assert_eq!(waiting(&asker, ms(42)), [(7, all.clone(), all), (8, vec![20], vec![20])]);
}

#[test]
fn whoever_is_near_and_never_answers_is_not_asked_all_the_time() {
    let mut asker = asker();
    asker.missing(7, 1, 1, ms(1));
    until(&mut asker, ms(3));
    assert_eq!(asker.came(&7, 1, ms(4)), Some(Came::Repaired));
    asker.missing(7, 2, 1, ms(100));
    let times: Vec<_> = until(&mut asker, ms(400)).iter().map(|(at, _)| (at - ms(100)) / ms(1)).collect();
    assert_eq!(times, [1, 6, 11, 16, 21, 31, 51, 91]);
}

#[test]
fn what_a_fast_stream_has_left_far_behind_is_given_up_though_its_time_is_not_over() {
    let mut asker = asker();
    asker.missing(7, 1_000, 4, ms(100));
    asker.missing(7, 1_400, 1, ms(120));
    asker.gone_on(&7, 1_000 + u32::from(REACH) / 2);
    assert_eq!(asker.outstanding(), 5);
    asker.gone_on(&7, 1_002 + u32::from(REACH) / 2);
    assert_eq!((asker.outstanding(), asker.figures().expired, asker.figures_of(&7).expired), (3, 2, 2));
    // The sender has begun again: nothing of before will come.
    asker.gone_on(&7, 0x2_0000);
    assert_eq!((asker.outstanding(), asker.due()), (0, None));
    asker.gone_on(&8, 5);
}

#[test]
fn what_has_come_and_what_is_far_behind_by_now_is_not_asked_for() {
    let arrival = |sequence| Arrival { sequence, timestamp: 0, bytes: 100, now: 0, rate: 0 };
    let mut asker = asker();
    let mut known = Stream::begin(arrival(9), [0; 16], 1);
    assert!([12, 11].into_iter().all(|sequence| known.update(arrival(sequence))));
    asker.missing(7, 10, 2, ms(1));
    let waiting = asker.waiting(ms(4));
    assert_eq!((waiting.len(), waiting[0].stream, &waiting[0].numbers[..]), (1, 7, &[10, 11][..]));
    let looked = Looked::at(&known, &waiting[0].numbers, |number| ms(u64::from(number)));
    let asks = asker.take_after([(7, Some(looked))], ms(4));
    assert_eq!(asks.into_iter().map(|ask| ask.numbers).collect::<Vec<_>>(), [[10]]);
    assert_eq!((asker.outstanding(), asker.figures().late), (1, 1));
    (13..13 + REACH / 2).for_each(|sequence| assert!(known.update(arrival(sequence))));
    let looked = Looked::at(&known, &[10], |number| panic!("{number} has not come"));
    assert!(asker.take_after([(7, Some(looked))], ms(5)).is_empty());
    assert_eq!((asker.outstanding(), asker.figures().expired), (0, 1));
}

/// A stranger who puts somebody's address on his packets has that one asked: not by more than can be done without.
#[test]
fn who_never_answers_is_asked_seldom_however_many_streams_he_has() {
    let mut asker = asker();
    let mut number = 1;
    for now in (0..1_000).map(ms) {
        (0..20).for_each(|stream| asker.missing(stream * 10_000 + number, number, 900, now));
        number += 901;
        asker.take(now);
    }
    let figures = asker.figures();
    assert!(figures.requests <= DOUBTFUL + DOUBTFUL_AT_ONCE, "{figures:?}");
}

/// A sender that leaves out numbers has every node below ask for them in vain: what others have lost is asked for all the same.
#[test]
fn who_answers_no_more_is_asked_again_seldom_until_he_does() {
    let mut asker = asker();
    asker.missing(7, 1, 1, 0);
    asker.take(ms(3));
    assert_eq!(asker.came(&7, 1, ms(5)), Some(Came::Repaired));
    let gaps = 1_000;
    for gap in 1..=gaps {
        let now = ms(10 * u64::from(gap));
        asker.missing(7, 2 * gap + 1, 1, now);
        until(&mut asker, now);
    }
    let figures = asker.figures();
    assert_eq!(figures.asked, 1 + u64::from(gaps) - 1, "each once, but for the last: {figures:?}");
    let again = figures.requests - figures.asked;
    assert!(again <= u64::from(PATIENCE) + 10 * DOUBTFUL + DOUBTFUL_AT_ONCE, "{figures:?}");
    assert_eq!(asker.came(&7, 2 * gaps - 1, ms(10_001)), Some(Came::Repaired));
    let before = asker.figures().requests;
    until(&mut asker, ms(10_100));
    assert!(asker.figures().requests > before + 3, "he is asked like anybody");
}

/// The first answers took long, the machine was busy: that holds for none after these.
#[test]
fn a_round_trip_that_has_become_much_shorter_is_measured_again() {
    let mut asker = asker();
    for number in 1..=20 {
        let at = ms(1_000 * u64::from(number));
        asker.missing(7, number, 1, at);
        let asked = until(&mut asker, at + ms(21))[0].0;
        let after = if number == 1 { ms(20) } else { ms(1) };
        asker.came(&7, number, asked + after);
    }
    assert_eq!(asker.round_trips().collect::<Vec<_>>(), [(7, Some(ms(1)))]);
    let figures = asker.figures();
    assert_eq!((figures.late, figures.repaired), (2, 18), "{figures:?}");
}

/// Between `waiting` and this whoever asks looks at the stream: with what it saw nothing is asked for in vain.
#[test]
fn what_was_seen_meanwhile_is_not_asked_for() {
    let mut asker = asker();
    asker.missing(7, 1_000, 6, ms(0));
    asker.missing(8, 20, 1, ms(0));
    asker.missing(9, 30, 1, ms(0));
    let looked = |came: &[(u32, u64)], begins, highest| Some(Looked { came: came.to_vec(), begins, highest });
    let highest = 1_000 + u32::from(REACH) / 2 + 1;
    let seen = [(7, looked(&[(1_003, ms(1))], Some(1_002), highest)), (8, None), (9, looked(&[], None, 31))];
    let asks = asker.take_after(seen, ms(2));
    let asked: Vec<_> = asks.into_iter().map(|ask| (ask.stream, ask.numbers)).collect();
    assert_eq!(asked, [(7, vec![1_002, 1_004, 1_005]), (9, vec![30])]);
    let figures = asker.figures();
    assert_eq!((figures.late, figures.useless, figures.expired, figures.asked), (1, 3, 0, 4), "{figures:?}");
}

#[test]
fn whoever_begins_anew_misses_nothing_and_what_was_counted_stays() {
    let mut asker = asker();
    asker.missing(7, 10, 3, ms(0));
    asker.take(ms(2));
    asker.begin_anew();
    assert_eq!(
        (asker.outstanding(), asker.due(), asker.figures().missing, asker.figures().expired),
        (0, None, 3, 3)
    );
    asker.missing(7, 20, 1, ms(10));
    assert_eq!(until(&mut asker, ms(13))[0].1.numbers, [20]);
}

#[test]
fn that_much_never_comes_is_said_while_it_is_so() {
    let mut asker = asker();
    let second = 1_000_000_000;
    for at in 0..180 {
        asker.missing(7, 1_000 * at as u32, 2, at * second);
        until(&mut asker, at * second + ms(500));
        assert_eq!(asker.warning(at * second + ms(500)).is_some(), at >= 60, "{at}");
    }
    assert!(asker.warning(180 * second).unwrap().contains("nothing that was asked for has come"));
    assert_eq!(asker.warning(400 * second), None);
}
