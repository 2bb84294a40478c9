//! A stream's numbers and times as viewers see them, whatever comes in.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever is lost, late, or comes twice: every viewer's numbers differ as the publisher's do, none is sent twice, and all
    /// that came after a viewer's first packet is sent to it.
    #[test]
    fn every_viewer_s_numbers_are_the_publisher_s(
        start: u16,
        steps in prop::collection::vec((0u64..30, 0u64..60, 0u8..8), 1..250),
    ) {
        let mut world = World::new();
        let mut viewers: Vec<(Viewer, Vec<Got>)> = Vec::new();
        let (mut furthest, mut came) = (100u64, BTreeSet::new());
        for (n, (forward, back, what)) in steps.into_iter().enumerate() {
            world.now += MS(1);
            furthest += forward;
            let number = furthest - back;
            let sequence = start.wrapping_add(number as u16);
            let put = world.push(Kind::Video, sequence, number as u32 * 90, n % 50 == 0).unwrap();
            let first_time = !came.contains(&number);
            prop_assert_eq!(matches!(put, Put::Next | Put::Late), first_time && put != Put::Old);
            if put != Put::Old {
                came.insert(number);
            }
            match what {
                0 if viewers.len() < 5 => viewers.push((world.join(video(taken(Kind::Video))), Vec::new())),
                1..4 => world.rounds(&mut viewers),
                _ => {}
            }
        }
        world.rounds(&mut viewers);
        for (viewer, got) in &viewers {
            let Some(first) = got.first() else { continue };
            prop_assert_eq!(first.number, 1000);
            let mut numbers = BTreeMap::new();
            for packet in got {
                let (fields, original) = (packet.fields(), original_of(packet));
                prop_assert_eq!(fields.sequence, packet.number as u16);
                prop_assert_eq!(
                    (packet.number as u16).wrapping_sub(1000),
                    original.wrapping_sub(original_of(first))
                );
                prop_assert!(numbers.insert(packet.number, original).is_none(), "sent twice");
            }
            let since = u64::from(original_of(first).wrapping_sub(start));
            prop_assert_eq!(numbers.len(), came.range(since..).count());
            prop_assert_eq!(viewer.figures().packets, got.len() as u64);
        }
    }

    #[test]
    fn no_feedback_does_harm(packets: Vec<Vec<u8>>, sequences: Vec<u16>) {
        let mut world = World::new();
        let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
        for sequence in 0..50 {
            world.push(Kind::Video, sequence, 0, sequence == 0);
        }
        world.rounds(&mut viewers);
        let [(viewer, _)] = &mut viewers;
        for packet in &packets {
            let _ = viewer.hears(packet, &world.streams, at(world.now), &mut |_| {});
        }
        let (_, got) = world.hears(viewer, &nack(21, &sequences));
        prop_assert!(got.iter().all(|packet| packet.payload.len() == 11));
    }
}

#[test]
fn another_publication_is_seen_as_the_same_stream() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    world.push(Kind::Video, 9000, 0, true);
    world.push(Kind::Video, 9001, 3000, false);
    world.rounds(&mut viewers);
    world.now += MS(500);
    world.push(Kind::Video, 40_000, 77_000_000, true);
    world.push(Kind::Video, 40_001, 77_003_000, false);
    world.rounds(&mut viewers);
    let seen: Vec<_> = viewers[0].1.iter().map(|got| (got.number, got.fields().timestamp)).collect();
    assert_eq!(seen, [(1000, 0), (1001, 3000), (1002, 48_000), (1003, 51_000)]);
}

#[test]
fn sequence_numbers_begin_again_and_late_ones_know_it() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    // The viewer's 1000 is the publisher's 0: its sequence number is 0 again at the publisher's 64,536.
    for number in (0..70_000u32).filter(|number| *number != 64_530) {
        world.now += MS(1);
        world.push(Kind::Video, number as u16, number * 90, number == 0);
        world.streams.video.history.forget(world.now);
        if number == 64_540 {
            world.rounds(&mut viewers);
            assert_eq!(world.push(Kind::Video, 64_530, 64_530 * 90, false), Some(Put::Late));
        }
        world.rounds(&mut viewers);
    }
    let got = &viewers[0].1;
    assert_eq!(got.len(), 70_000);
    let late = got.iter().position(|packet| original_of(packet) == 64_530).unwrap();
    let seen = |packet: &Got| (Number(packet.number).roc(), packet.fields().sequence);
    assert_eq!((seen(&got[late]), seen(&got[late - 1])), ((0, 65_530), (1, 4)));
    assert_eq!(got.last().map(seen), Some((1, (1000 + 69_999 - 65_536) as u16)));
}

#[test]
fn sound_begins_at_once_and_each_has_its_own_numbers() {
    let mut world = World::new();
    world.push(Kind::Audio, 7, 0, false);
    world.push(Kind::Video, 7, 0, true);
    let media = PerKind::from_fn(|kind| Some(taken(kind)));
    let mut viewers = [(world.join(media), Vec::new())];
    world.push(Kind::Audio, 8, 960, false);
    world.rounds(&mut viewers);
    let seen: Vec<_> = viewers[0].1.iter().map(|got| got.fields()).collect();
    let wanted = |payload_type, ssrc, timestamp| rtp::Header {
        payload_type,
        sequence: 1000,
        timestamp,
        ssrc: Ssrc(ssrc),
    };
    assert_eq!(seen, [wanted(109, 11, 960), wanted(120, 21, 0)]);
}

#[test]
fn extensions_are_the_viewer_s() {
    let mut world = World::new();
    let extensions = Extensions { mid: Some(4), transport_cc: Some(3), abs_send_time: Some(15) };
    let with = |rtx| video(Taken { extensions, rtx, ..taken(Kind::Video) });
    let mut viewers = [Some(124), None].map(|rtx| (world.join(with(rtx)), Vec::new()));
    world.push(Kind::Video, 0, 0, true);
    for number in 1..=256 {
        world.push(Kind::Video, number, 0, false);
    }
    world.rounds(&mut viewers);
    let of = |viewer: usize, packet: usize| -> &[u8] { &viewers[viewer].1[packet].header[12..] };
    assert_eq!(of(0, 1), [0xbe, 0xde, 0, 2, 0x40, b'1', 0, 0, 0x31, 0, 1, 0]);
    assert_eq!(of(0, 256), [0xbe, 0xde, 0, 1, 0x31, 1, 0, 0], "by now it knows whose they are");
    // What is sent again must be the same in every byte, so nothing in it depends on when it is sent.
    assert_eq!(of(1, 1), [0xbe, 0xde, 0, 1, 0x40, b'1', 0, 0]);
}

#[test]
fn two_streams_of_one_name_are_refused() {
    let world = World::new();
    let same =
        PerKind { audio: Some(Taken { ssrc: 22, ..taken(Kind::Audio) }), video: Some(taken(Kind::Video)) };
    let viewer = Viewer::new(same, &world.streams, at(world.now), PerKind::default());
    assert_eq!(viewer.unwrap_err(), SameSsrc);
}
