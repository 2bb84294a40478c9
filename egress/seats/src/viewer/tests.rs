//! A stream's packets as viewers get them, whatever comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use node::media::{Codec, Kind, PerKind, Ssrc, VideoCodec, rtp};
use proptest::prelude::*;
use rtcp_types::prelude::*;

use super::*;
use crate::peer::Extensions;
use crate::rtcp::Ntp;
use crate::stream::{Intake, Put};

mod lossy;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn at(now: Duration) -> Moment {
    Moment { now, ntp: Ntp((1 << 40) + ((now.as_micros() as u64) << 32) / 1_000_000) }
}

fn taken(kind: Kind) -> Taken {
    let (payload_type, rtx, ssrc, rtx_ssrc, mid) = match kind {
        Kind::Audio => (109, None, 11, 12, "0"),
        Kind::Video => (120, Some(124), 21, 22, "1"),
    };
    Taken {
        mid: mid.into(),
        payload_type,
        rtx,
        ssrc,
        rtx_ssrc,
        extensions: Extensions::default(),
        nack: kind == Kind::Video,
        pli: true,
    }
}

/// A mountpoint of VP8 and Opus with a clock, and what comes to it.
struct World {
    intakes: PerKind<Intake>,
    streams: PerKind<Stream>,
    now: Duration,
}

/// What a viewer was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    number: u64,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl Got {
    fn fields(&self) -> rtp::Header {
        rtp::Header::read(&self.header).unwrap()
    }
}

impl World {
    fn new() -> World {
        let stream = |_| Stream { history: History::new(Duration::from_secs(2)), late: Vec::new() };
        let codec = |kind| if kind == Kind::Audio { Codec::Opus } else { Codec::Video(VideoCodec::Vp8) };
        World {
            intakes: PerKind::from_fn(|kind| Intake::new(codec(kind))),
            streams: PerKind::from_fn(stream),
            now: MS(10_000),
        }
    }

    /// A packet of one's own number and time. Its payload says its number.
    fn push(&mut self, kind: Kind, sequence: u16, timestamp: u32, keyframe: bool) -> Option<Put> {
        let fields = rtp::Header { payload_type: 96, sequence, timestamp, ssrc: Ssrc(7) };
        let begin: &[u8] = if keyframe { &[0x10, 2, 0, 0, 0x9d, 1, 0x2a] } else { &[0, 0, 0, 0, 0, 0, 0] };
        let packet = [&fields.bytes()[..], begin, &sequence.to_be_bytes()].concat();
        let packet = self.intakes[kind].take(&packet, self.now).ok()?;
        let (index, stream) = (packet.index, &mut self.streams[kind]);
        let put = stream.history.put(packet);
        if put == Put::Late {
            stream.late.push(index);
        }
        Some(put)
    }

    fn join(&self, media: PerKind<Option<Taken>>) -> Viewer {
        Viewer::new(media, &self.streams, at(self.now), PerKind::from([[1000, 5000]; 2])).unwrap()
    }

    /// Rounds for these, until there is no more.
    fn rounds(&mut self, viewers: &mut [(Viewer, Vec<Got>)]) {
        let mut more = true;
        while std::mem::take(&mut more) {
            for (viewer, got) in &mut *viewers {
                viewer.waits(&self.streams, MS(2000), self.now);
                more |= viewer.round(&self.streams, at(self.now), &mut |out| got.push(keep(out))).more;
            }
            Kind::BOTH.iter().for_each(|kind| self.streams[*kind].late.clear());
        }
    }

    fn hears(&self, viewer: &mut Viewer, compound: &[u8]) -> (Asks, Vec<Got>) {
        let mut got = Vec::new();
        let asks = viewer.hears(compound, &self.streams, at(self.now), &mut |out| got.push(keep(out)));
        (asks.unwrap(), got)
    }
}

fn keep(out: Outgoing<'_>) -> Got {
    Got { number: out.number.0, header: out.header.bytes().to_vec(), payload: out.payload.concat() }
}

fn video(taken: Taken) -> PerKind<Option<Taken>> {
    PerKind { audio: None, video: Some(taken) }
}

fn nack(ssrc: u32, sequences: &[u16]) -> Vec<u8> {
    let mut fci = rtcp_types::Nack::builder();
    for sequence in sequences {
        fci = fci.add_rtp_sequence(*sequence);
    }
    let packet = rtcp_types::TransportFeedback::builder(&fci).sender_ssrc(1).media_ssrc(ssrc);
    let mut bytes = vec![0; packet.calculate_size().unwrap()];
    packet.write_into(&mut bytes).unwrap();
    bytes
}

/// The number that the publisher gave a packet.
fn original_of(got: &Got) -> u16 {
    let [.., high, low] = got.payload[..] else { panic!("{got:?}") };
    u16::from_be_bytes([high, low])
}

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
fn a_newcomer_begins_with_a_keyframe() {
    // How long ago the last keyframe came, most that it may be, and whether the picture begins with it.
    for (age, cache, begins) in [(1900, 2000, true), (2100, 2000, false), (100, 0, false), (0, 0, true)] {
        let mut world = World::new();
        world.push(Kind::Video, 1, 0, true);
        world.now += MS(age);
        world.push(Kind::Video, 2, age as u32 * 90, false);
        let mut viewer = world.join(video(taken(Kind::Video)));
        assert_eq!(viewer.waits(&world.streams, MS(cache), world.now), !begins, "{age} {cache}");
        world.now += MS(500);
        world.push(Kind::Video, 3, (age as u32 + 500) * 90, true);
        let mut got = Vec::new();
        assert!(!viewer.waits(&world.streams, MS(cache), world.now));
        viewer.round(&world.streams, at(world.now), &mut |out| got.push(original_of(&keep(out))));
        assert_eq!(got, if begins { vec![1, 2, 3] } else { vec![3] }, "{age} {cache}");
    }
}

#[test]
fn who_waits_in_vain_gets_what_there_is() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    for n in 0..60 {
        world.push(Kind::Video, n, u32::from(n) * 9000, false);
        world.rounds(&mut viewers);
        world.now += MS(100);
    }
    assert_eq!(viewers[0].1.first().map(original_of), Some(51));
}

#[test]
fn who_is_too_far_behind_goes_on_with_a_keyframe() {
    let mut world = World::new();
    let mut viewers = [(world.join(PerKind::from_fn(|kind| Some(taken(kind)))), Vec::new())];
    world.push(Kind::Audio, 0, 0, false);
    world.push(Kind::Video, 0, 0, true);
    world.rounds(&mut viewers);
    // Ten pictures a second, three seconds without a round; two are kept.
    for n in 1..=30 {
        world.now += MS(100);
        world.push(Kind::Audio, n, u32::from(n) * 4800, false);
        world.push(Kind::Video, n, u32::from(n) * 9000, n == 25);
    }
    Kind::BOTH.iter().for_each(|kind| world.streams[*kind].history.forget(world.now));
    world.rounds(&mut viewers);
    let seen = |ssrc| {
        let of = viewers[0].1.iter().filter(move |got| got.fields().ssrc == Ssrc(ssrc));
        of.map(|got| got.number - 1000).collect::<Vec<_>>()
    };
    assert_eq!(seen(21), [0, 25, 26, 27, 28, 29, 30]);
    assert_eq!(seen(11), [0], "sound goes on with what comes next");
    assert_eq!(viewers[0].0.figures().dropped, 24 + 30);
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
fn what_is_asked_for_again_is_sent_again() {
    let mut world = World::new();
    let media = |rtx| video(Taken { rtx, ..taken(Kind::Video) });
    let mut viewers = [Some(124), None].map(|rtx| (world.join(media(rtx)), Vec::new()));
    for number in [0u16, 1, 2, 4] {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    // One that is there, twice; one that never came; one that was not sent yet; one from before the first.
    let request = nack(21, &[1002, 1003, 1005, 999]);
    let [with, without] = &mut viewers;
    let (asks, got) = world.hears(&mut with.0, &request);
    assert_eq!((asks, got.len()), (Asks::default(), 1));
    let fields = rtp::Header { payload_type: 124, sequence: 5000, timestamp: 0, ssrc: Ssrc(22) };
    assert_eq!((got[0].number, got[0].fields()), (5000, fields));
    assert_eq!(got[0].payload, [&1002u16.to_be_bytes()[..], &with.1[2].payload].concat());
    assert_eq!(world.hears(&mut with.0, &request).1[0].number, 5001, "again, in a number of its own");
    let (_, got) = world.hears(&mut without.0, &request);
    assert_eq!(got, [without.1[2].clone()], "the same in every byte");
    let figures = without.0.figures();
    assert_eq!((figures.packets, figures.resent, figures.unanswered), (5, 1, 1));
}

#[test]
fn what_is_sent_again_is_sent_twice_where_that_is_little() {
    let mut world = World::new();
    let media = |rtx| video(Taken { rtx, ..taken(Kind::Video) });
    let mut viewers = [Some(124), None].map(|rtx| (world.join(media(rtx)), Vec::new()));
    for number in 0..40 {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    for (viewer, _) in &mut viewers {
        let (_, first) = world.hears(viewer, &nack(21, &[1002, 1005, 1007]));
        assert_eq!(first.len(), 3);
        let mut copies = Vec::new();
        viewer.once_more(&world.streams, at(world.now), &mut |out| copies.push(keep(out)));
        assert_eq!(copies, [], "a moment later");
        viewer.once_more(&world.streams, at(world.now + MS(20)), &mut |out| copies.push(keep(out)));
        let payloads = |all: &[Got]| all.iter().map(|got| got.payload.clone()).collect::<Vec<_>>();
        assert_eq!(payloads(&copies), payloads(&first[..2]), "one of sixteen");
        let numbers = first.iter().chain(&copies).map(|got| got.number).collect::<Vec<_>>();
        // In numbers of their own, or the same in every byte.
        let wanted = match first[0].fields().payload_type {
            124 => [5000, 5001, 5002, 5003, 5004],
            _ => [1002, 1005, 1007, 1002, 1005],
        };
        assert_eq!(numbers, wanted);
        assert_eq!(viewer.figures().resent, 3, "as often as it asked");
    }
}

#[test]
fn nobody_is_sent_more_again_than_there_is_budget_for() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    for number in 0..400 {
        world.push(Kind::Video, number, 0, number == 0);
    }
    world.rounds(&mut viewers);
    let all: Vec<u16> = (1000..1400).collect();
    let (asks, got) = world.hears(&mut viewers[0].0, &nack(21, &all));
    assert_eq!((got.len(), asks.over_budget), (256, 144));
    assert_eq!(viewers[0].0.figures().unanswered, 144);
}

#[test]
fn keyframes_are_asked_for_of_the_picture_only() {
    let world = World::new();
    let mut viewer = world.join(PerKind::from_fn(|kind| Some(taken(kind))));
    for (ssrc, wanted) in [(21, true), (11, false), (99, false)] {
        let pli = node::keyframe::request(Ssrc(1), Ssrc(ssrc));
        assert_eq!(world.hears(&mut viewer, &pli).0.keyframe, wanted, "{ssrc}");
    }
}

#[test]
fn who_asks_for_keyframes_without_end_gets_few() {
    let mut world = World::new();
    let mut viewer = world.join(video(taken(Kind::Video)));
    let pli = node::keyframe::request(Ssrc(1), Ssrc(21));
    let (mut asked, mut too_soon) = (0, 0);
    for number in 0..1000 {
        world.now += MS(100);
        // One of ten is the keyframe that was asked for.
        world.push(Kind::Video, number, u32::from(number) * 9000, number % 10 == 0);
        let asks = world.hears(&mut viewer, &pli).0;
        let later = viewer.wants_keyframe(&world.streams, world.now);
        asked += u32::from(asks.keyframe) + u32::from(later);
        too_soon += asks.too_soon;
    }
    assert_eq!(asked, 4 + 99 / 5);
    assert!(too_soon > 900, "{too_soon}");
}

#[test]
fn who_asked_too_soon_need_not_ask_again() {
    let mut world = World::new();
    let mut viewer = world.join(video(taken(Kind::Video)));
    let pli = node::keyframe::request(Ssrc(1), Ssrc(21));
    for n in 0..5 {
        assert_eq!(world.hears(&mut viewer, &pli).0.keyframe, n < 4);
    }
    let wants =
        |viewer: &mut Viewer, world: &World, ms| viewer.wants_keyframe(&world.streams, world.now + MS(ms));
    assert_eq!(
        [4000, 5000, 5001, 20_000].map(|ms| wants(&mut viewer, &world, ms)),
        [false, true, false, false]
    );
    // Another's request has brought one meanwhile.
    (0..5).for_each(|_| drop(world.hears(&mut viewer, &pli)));
    world.now += MS(100);
    world.push(Kind::Video, 0, 0, true);
    assert!(!wants(&mut viewer, &world, 20_000));
}

#[test]
fn reports_bring_sound_and_picture_together() {
    let mut world = World::new();
    let mut viewers = [(world.join(PerKind::from_fn(|kind| Some(taken(kind)))), Vec::new())];
    // Sound and picture of one moment come 40 ms apart, and the picture's next packet is held up on its way.
    world.push(Kind::Audio, 0, 480_000, false);
    world.push(Kind::Video, 0, 90_000, true);
    world.now += MS(150);
    world.push(Kind::Audio, 1, 480_000 + 4800, false);
    world.push(Kind::Video, 1, 90_000 + 9000, false);
    world.rounds(&mut viewers);
    world.now += MS(150);
    let [(viewer, _)] = &mut viewers;
    let mut reports = Vec::new();
    viewer.report(&world.streams, at(world.now), |packet| reports.push(packet.to_vec()));
    let reports: Vec<(u32, u64, u32, u32)> = reports
        .iter()
        .map(|packet| {
            let report = rtcp_types::SenderReport::parse(&packet[..28]).unwrap();
            (report.ssrc(), report.ntp_timestamp(), report.rtp_timestamp(), report.packet_count())
        })
        .collect();
    let ntp = at(world.now).ntp.0;
    // 300 ms after the first packet, whatever came when.
    assert_eq!(reports[0].0, 11);
    assert!(
        reports[0].2.abs_diff(480_000 + 14_400) <= 1 && reports[1].2.abs_diff(90_000 + 27_000) <= 1,
        "{reports:?}"
    );
    assert_eq!((reports[0].1, reports[1].1, reports[0].3, reports[1].3), (ntp, ntp, 2, 2));
    let mut again = 0;
    viewer.report(&world.streams, at(world.now + MS(999)), |_| again += 1);
    assert_eq!(again, 0, "one a second");
    viewer.report(&world.streams, at(world.now + MS(1000)), |_| again += 1);
    assert_eq!(again, 2);
}

#[test]
fn figures_are_what_the_viewer_reports() {
    let mut world = World::new();
    let mut viewers = [(world.join(video(taken(Kind::Video))), Vec::new())];
    world.push(Kind::Video, 0, 0, true);
    world.rounds(&mut viewers);
    let [(viewer, _)] = &mut viewers;
    let sent = at(world.now).ntp;
    world.now += MS(80);
    let block = rtcp_types::ReportBlock::builder(21)
        .cumulative_lost(3)
        .interarrival_jitter(900)
        .last_sender_report_timestamp(sent.middle())
        .delay_since_last_sender_report_timestamp(65_536 / 20);
    let report = rtcp_types::ReceiverReport::builder(1).add_report_block(block);
    let mut bytes = vec![0; report.calculate_size().unwrap()];
    report.write_into(&mut bytes).unwrap();
    world.hears(viewer, &bytes);
    let figures = viewer.figures();
    assert_eq!((figures.lost, figures.jitter), (3, Some(MS(10))));
    let rtt = figures.rtt.unwrap();
    assert!(rtt.abs_diff(MS(30)) < MS(1), "{rtt:?}");
}

#[test]
fn two_streams_of_one_name_are_refused() {
    let world = World::new();
    let same =
        PerKind { audio: Some(Taken { ssrc: 22, ..taken(Kind::Audio) }), video: Some(taken(Kind::Video)) };
    let viewer = Viewer::new(same, &world.streams, at(world.now), PerKind::default());
    assert_eq!(viewer.unwrap_err(), SameSsrc);
}

#[test]
fn a_viewer_s_state_is_small() {
    // Beside it are a sealer and an opener, with a few contexts of OpenSSL.
    assert!(size_of::<Viewer>() < 1024, "{}", size_of::<Viewer>());
}
