use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const PLAIN: Piece = Piece {
    ssrc: 1,
    like: Likeness { source: [0; 16], source_port: 1000, ttl: 64, class: 0 },
    length: 200,
    alone: false,
};

fn group(pieces: &[Piece]) -> Vec<Vec<usize>> {
    let mut runs = Runs::default();
    runs.group(pieces.iter().copied());
    runs.spans().map(|span| runs.order()[span].to_vec()).collect()
}

fn of_length(length: usize) -> Piece {
    Piece { length, ..PLAIN }
}

#[test]
fn equal_packets_go_together_and_a_shorter_one_is_the_last() {
    let lengths =
        |lengths: &[usize]| group(&lengths.iter().map(|length| of_length(*length)).collect::<Vec<_>>());
    assert_eq!(lengths(&[]), Vec::<Vec<usize>>::new());
    assert_eq!(lengths(&[200]), [[0]]);
    assert_eq!(lengths(&[200, 200, 200]), [[0, 1, 2]]);
    assert_eq!(lengths(&[200, 200, 199, 199]), [vec![0, 1, 2], vec![3]]);
    assert_eq!(lengths(&[200, 199, 200]), [vec![0, 1], vec![2]]);
    assert_eq!(lengths(&[199, 200]), [[0], [1]]);
}

#[test]
fn two_streams_in_turn_make_two_runs() {
    let other = Piece { ssrc: 2, length: 1200, ..PLAIN };
    assert_eq!(group(&[PLAIN, other, PLAIN, other, PLAIN]), [vec![0, 2, 4], vec![1, 3]]);
}

#[test]
fn what_differs_in_its_headers_or_goes_alone_is_not_joined_and_not_overtaken() {
    let like = PLAIN.like;
    for other in [
        Piece { like: Likeness { ttl: 63, ..like }, ..PLAIN },
        Piece { like: Likeness { class: 0xb8, ..like }, ..PLAIN },
        Piece { like: Likeness { source_port: 1001, ..like }, ..PLAIN },
        Piece { like: Likeness { source: [1; 16], ..like }, ..PLAIN },
        Piece { alone: true, ..PLAIN },
    ] {
        assert_eq!(
            group(&[PLAIN, PLAIN, other, PLAIN, PLAIN]),
            [vec![0, 1], vec![2], vec![3, 4]],
            "{other:?}"
        );
    }
}

#[test]
fn a_run_is_no_longer_than_the_kernel_takes() {
    let counts =
        |length, count| group(&vec![of_length(length); count]).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(counts(12, 130), [64, 64, 2]);
    assert_eq!(counts(1300, 64), [50, 14]);
    assert_eq!(counts(9216, 10), [7, 3]);
}

#[test]
fn memory_of_the_batch_before_is_not_seen() {
    let mut runs = Runs::default();
    runs.group([PLAIN; 5].into_iter());
    runs.group([PLAIN; 2].into_iter());
    let mut spans = runs.spans();
    assert_eq!((runs.order(), spans.next(), spans.next()), ([0, 1].as_slice(), Some(0..2), None));
}

fn piece() -> impl Strategy<Value = Piece> {
    let length = prop_oneof![8 => Just(1200usize), 4 => Just(160), 2 => 12..9216usize];
    (0..3u32, prop_oneof![9 => Just(64u8), 1 => Just(63)], length, prop::bool::weighted(0.05)).prop_map(
        |(ssrc, ttl, length, alone)| Piece { ssrc, like: Likeness { ttl, ..PLAIN.like }, length, alone },
    )
}

proptest! {
    #[test]
    fn every_packet_goes_once_in_its_streams_order_within_the_limits(pieces in vec(piece(), 0..200)) {
        let runs = group(&pieces);
        let mut all: Vec<_> = runs.concat();
        for ssrc in 0..3 {
            let sent: Vec<_> = all.iter().filter(|index| pieces[**index].ssrc == ssrc).collect();
            prop_assert!(sent.is_sorted(), "stream {}: {:?}", ssrc, sent);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..pieces.len()).collect::<Vec<_>>());
        for run in runs {
            let run: Vec<_> = run.into_iter().map(|index| pieces[index]).collect();
            let (last, before) = run.split_last().expect("no run is empty");
            prop_assert!(before.iter().all(|piece| piece.length == run[0].length) && last.length <= run[0].length);
            prop_assert!(run.iter().all(|piece| piece.ssrc == run[0].ssrc && piece.like == run[0].like));
            prop_assert!(run.len() == 1 || run.iter().all(|piece| !piece.alone));
            prop_assert!(run.len() <= 64 && run.iter().map(|piece| piece.length).sum::<usize>() <= 65_000);
        }
    }

    /// Nothing is left apart that could go together: a run begins only where the stream's latest takes no more.
    #[test]
    fn equal_packets_make_as_few_runs_as_they_can(count in 1..200usize, streams in 1..5usize) {
        let pieces: Vec<_> = (0..count).map(|index| Piece { ssrc: (index % streams) as u32, ..PLAIN }).collect();
        let of_stream = |stream| (0..count).filter(|index| index % streams == stream).count();
        let fewest: usize = (0..streams).map(|stream| of_stream(stream).div_ceil(64)).sum();
        prop_assert_eq!(group(&pieces).len(), fewest);
    }
}
