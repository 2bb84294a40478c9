use proptest::prelude::*;

use super::*;

/// All that is said, in words.
fn said(packet: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut all = Vec::new();
    read(packet, |said| {
        all.push(match said {
            Said::Report(report) => format!("report of {} lost {}", report.ssrc, report.lost),
            Said::Lacks { ssrc, sequences } => {
                format!("lacks of {ssrc} {:?}", Vec::from_iter(sequences.iter()))
            }
            Said::KeyframeWanted { ssrc } => format!("keyframe of {ssrc}"),
            Said::Estimate(rate) => format!("estimate {rate}"),
            Said::Arrivals(arrivals) => {
                format!("arrivals {} {:?}", arrivals.number(), Vec::from_iter(arrivals.iter()))
            }
            Said::Leaves => "leaves".to_owned(),
        })
    })?;
    Ok(all)
}

const RR: [u8; 32] = [
    0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0, 1, 0, 0, 1, 0, 7, 0, 0, 0, 90, 0x12, 0x34, 0x56, 0x78, 0,
    1, 0, 0,
];
const NACK: [u8; 20] = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 5, 0b1000_0000, 1, 0xff, 0xff, 0, 1];
const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
const FIR: [u8; 28] =
    [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 3, 0, 0, 0, 0, 0, 0, 10, 3, 0, 0, 0];
const REMB: [u8; 24] =
    [0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0b0000_1001, 0x86, 0xa0, 0, 0, 0, 9];
/// Numbers 10 to 13: came, did not, came 1 ms later, came 1 ms before that.
const TRANSPORT_CC: [u8; 28] = [
    0x8f,
    205,
    0,
    6,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    9,
    0,
    10,
    0,
    4,
    0,
    0,
    1,
    7,
    0b1101_0001,
    0b1000_0000,
    0,
    4,
    0xff,
    0xfc,
    0,
    0,
];
const BYE: [u8; 8] = [0x81, 203, 0, 1, 0, 0, 0, 1];
const SDES: [u8; 12] = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0];

#[test]
fn what_players_say_is_understood() {
    let sr = [&[0x81, 200, 0, 12, 0, 0, 0, 1][..], &[0; 20], &RR[8..]].concat();
    for (packet, wanted) in [
        (&RR[..], vec!["report of 9 lost 256"]),
        (&sr, vec!["report of 9 lost 256"]),
        (&NACK, vec!["lacks of 9 [5, 6, 21, 65535, 0]"]),
        (&PLI, vec!["keyframe of 9"]),
        (&FIR, vec!["keyframe of 9", "keyframe of 10"]),
        (&REMB, vec!["estimate 400000"]),
        (
            &TRANSPORT_CC,
            vec!["arrivals 7 [(10, Some(64000)), (11, None), (12, Some(65000)), (13, Some(64000))]"],
        ),
        (&BYE, vec!["leaves"]),
        // Nothing for us: SDES, an extended report, an application's own, a NACK of another kind, a BYE of nobody.
        (&SDES, vec![]),
        (&[0x80, 207, 0, 1, 0, 0, 0, 1], vec![]),
        (&[0x80, 204, 0, 2, 0, 0, 0, 1, b'a', b'b', b'c', b'd'], vec![]),
        (&[0x83, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 5, 0, 1], vec![]),
        (&[0x80, 203, 0, 0], vec![]),
        // Shorter than their kind has to be.
        (&[0x81, 201, 0, 1, 0, 0, 0, 1], vec![]),
        (&[0x81, 205, 0, 1, 0, 0, 0, 1], vec![]),
        (&[0x81, 206, 0, 0], vec![]),
        (&[0x8f, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0], vec![]),
        (&[0x8f, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 10, 0, 1], vec![]),
    ] {
        assert_eq!(said(packet).unwrap(), wanted, "{packet:?}");
    }
    let all = [&RR[..], &SDES, &NACK, &PLI, &REMB, &BYE].concat();
    assert_eq!(said(&all).unwrap().len(), 5);
}

#[test]
fn what_is_not_whole_says_nothing() {
    let truncated = [&PLI[..], &NACK[..19]].concat();
    for packet in [
        &truncated[..],
        &[0x81],
        &[0x81, 206, 0],
        &[0x81, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9],
        // Of other versions.
        &[0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9],
        &[&PLI[..], &[0x01, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]].concat(),
        // Padding of nothing, and of more than there is.
        &[0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0],
        &[0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 13],
        &[0xa1, 206, 0, 0],
    ] {
        assert_eq!(said(packet), Err(Malformed), "{packet:?}");
    }
}

#[test]
fn padding_is_no_sequence_number() {
    let padded = [&[0xa1, 205, 0, 4][..], &NACK[4..16], &[0, 0, 0, 4]].concat();
    assert_eq!(said(&padded).unwrap(), ["lacks of 9 [5, 6, 21]"]);
}

#[test]
fn more_may_come_than_was_sent() {
    let mut report = RR;
    report[13..16].copy_from_slice(&[0xff, 0xff, 0xfe]);
    assert_eq!(said(&report).unwrap(), ["report of 9 lost -2"]);
}

#[test]
fn a_rate_may_be_as_high_as_the_format_has_it() {
    let mut remb = REMB;
    remb[17..20].copy_from_slice(&[0xff, 0xff, 0xff]);
    assert_eq!(said(&remb).unwrap(), [format!("estimate {}", u64::MAX)]);
}

/// Sixteen bytes that tell of 65,535 packets.
#[test]
fn a_few_bytes_are_no_long_work() {
    let runs = [0x3f, 0xff].repeat(8);
    let feedback =
        [&[0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9, 0, 10, 0xff, 0xff, 0, 0, 1, 7][..], &runs].concat();
    let mut packets = 0;
    read(&feedback, |said| {
        if let Said::Arrivals(arrivals) = said {
            packets += arrivals.iter().count();
        }
    })
    .unwrap();
    assert!(packets <= 1024, "{packets}");
}

#[test]
fn the_round_trip_is_what_the_receiver_did_not_wait() {
    let now = |middle: u32| Ntp(u64::from(middle) << 16);
    let report = Report {
        ssrc: 9,
        fraction_lost: 0,
        lost: 0,
        highest: 0,
        jitter: 0,
        last_report: 0xffff_0000,
        delay: 1 << 16,
    };
    for (now, report, wanted) in [
        (now(0x8000), report, Some(Duration::from_millis(500))),
        (now(0), report, Some(Duration::ZERO)),
        // It says that it has waited longer than there was time.
        (now(0xffff_ffff), report, None),
        (now(0x8000), Report { last_report: 0, ..report }, None),
    ] {
        assert_eq!(report.round_trip(now), wanted, "{now:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_do_harm(packet: Vec<u8>) {
        let _ = said(&packet);
    }

    /// Well-formed on the outside, anything within.
    #[test]
    fn no_contents_do_harm(packets in prop::collection::vec(
        (0..64_u8, 198..210_u8, prop::collection::vec(any::<u8>(), 0..64)), 0..4)
    ) {
        let mut compound = Vec::new();
        for (first, kind, mut body) in packets {
            body.truncate(body.len() / 4 * 4);
            compound.extend([0x80 | first, kind, 0, (body.len() / 4) as u8]);
            compound.extend(body);
        }
        let mut sequences = 0;
        let _ = read(&compound, |said| match said {
            Said::Lacks { sequences: lacks, .. } => sequences += lacks.iter().count(),
            Said::Arrivals(arrivals) => assert!(arrivals.iter().count() <= MOST_ARRIVALS),
            _ => {}
        });
        prop_assert!(sequences * 4 <= compound.len() * 17);
    }
}
