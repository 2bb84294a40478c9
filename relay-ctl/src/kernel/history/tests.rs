//! Files stand in for the maps, and a test for the programs that write them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use node::media::Ssrc;
use node::repair::History as _;

use super::*;

struct Programs {
    head: File,
    slots: File,
    size: u64,
    next: u64,
}

impl Programs {
    fn new(size: u64) -> (Programs, History) {
        let file = |length: usize| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(length as u64).unwrap();
            file
        };
        let (head, slots) = (file(size_of::<HistoryHead>()), file(size as usize * size_of::<Kept>()));
        let history = History::open(&head, &slots, size as u32).unwrap();
        (Programs { head, slots, size, next: 0 }, history)
    }

    /// Takes a number, as for a packet whose writing has only begun.
    fn begin(&mut self) -> u64 {
        self.next += 1;
        self.head.write_all_at(&self.next.to_ne_bytes(), 0).unwrap();
        self.next - 1
    }

    fn write(&self, number: u64, ssrc: u32, sequence: u16, payload: &[u8]) {
        let mut bytes = Vec::new();
        bytes.extend((number + 1).to_ne_bytes());
        bytes.extend((7 * number).to_ne_bytes());
        bytes.extend(5004_u16.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(ssrc.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend((payload.len() as u16).to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        self.slots.write_all_at(&bytes, (number % self.size) * size_of::<Kept>() as u64).unwrap();
    }

    fn keep(&mut self, ssrc: u32, sequence: u16, payload: &[u8]) {
        let number = self.begin();
        self.write(number, ssrc, sequence, payload);
    }
}

fn find(history: &mut History, ssrc: u32, sequence: u16) -> Option<Vec<u8>> {
    let found = history.find(&StreamId { port: 5004, ssrc: Ssrc(ssrc) }, sequence);
    found.map(|kept| kept.packet)
}

#[test]
fn the_last_packets_are_found_and_those_before_are_gone() {
    let (mut programs, mut history) = Programs::new(64);
    for number in 0..1_000_u16 {
        programs.keep(u32::from(number % 3), number, &number.to_be_bytes());
        if number % 7 == 0 {
            let kept =
                history.find(&StreamId { port: 5004, ssrc: Ssrc(u32::from(number % 3)) }, number).unwrap();
            assert_eq!((kept.came, kept.packet), (7 * u64::from(number), number.to_be_bytes().to_vec()));
        }
    }
    for number in 0..1_000_u16 {
        let found = find(&mut history, u32::from(number % 3), number);
        assert_eq!(found, (number >= 936).then(|| number.to_be_bytes().to_vec()), "{number}");
        assert_eq!(find(&mut history, 3, number), None);
    }
    assert!(history.index.len() <= 128, "{}", history.index.len());
}

#[test]
fn a_packet_that_is_being_written_is_found_when_it_is_there() {
    let (mut programs, mut history) = Programs::new(64);
    programs.keep(1, 1, b"one");
    let (slow, never) = (programs.begin(), programs.begin());
    programs.keep(1, 3, b"three");
    assert_eq!(find(&mut history, 1, 3).unwrap(), b"three");
    assert_eq!(find(&mut history, 1, 2), None);
    programs.write(slow, 1, 2, b"two");
    assert_eq!(find(&mut history, 1, 2).unwrap(), b"two");
    // One that never comes to be whole stands in nobody's way.
    for sequence in 4..3_000 {
        programs.keep(1, sequence, b"more");
        assert_eq!(find(&mut history, 1, sequence).unwrap(), b"more");
    }
    assert!(history.known > never);
}

#[test]
fn what_another_packet_is_written_over_is_not_found() {
    let (mut programs, mut history) = Programs::new(4);
    for sequence in 0..4 {
        programs.keep(1, sequence, b"packet");
    }
    assert!((0..4).all(|sequence| find(&mut history, 1, sequence).is_some()));
    // Its place belongs to another from the moment that that one has its number.
    programs.begin();
    assert_eq!(
        [0, 1, 2, 3].map(|sequence| find(&mut history, 1, sequence).is_some()),
        [false, true, true, true]
    );
}

#[test]
fn of_two_packets_with_one_number_the_latest_is_found() {
    let (mut programs, mut history) = Programs::new(4);
    programs.keep(1, 7, b"old");
    programs.keep(1, 7, b"new");
    assert_eq!(find(&mut history, 1, 7).unwrap(), b"new");
    programs.keep(2, 7, b"another stream's");
    assert_eq!(find(&mut history, 1, 7).unwrap(), b"new");
}

#[test]
fn what_was_not_kept_is_counted() {
    let (programs, history) = Programs::new(4);
    let counts: Vec<u8> = [0_u64, 5, 9].iter().flat_map(|count| count.to_ne_bytes()).collect();
    programs.head.write_all_at(&counts, 0).unwrap();
    assert_eq!((history.too_long(), history.untold()), (5, 9));
}
