//! Generic NACK (RFC 4585 section 6.2.1): a list of a sequence number (PID) and which of the 16 after it are missing as well (BLP).

use rtcp_types::prelude::*;
use rtcp_types::{Compound, Nack, Packet, TransportFeedback};

use crate::media::Ssrc;

/// Most numbers that are read from one packet, and most that one packet of ours asks for: `60 * 17`, rounded up.
pub const MOST_NUMBERS: usize = 1024;
/// Most pairs of PID and BLP in a packet of ours: 252 bytes with the header, which no way is too narrow for.
const MOST_PAIRS: usize = 60;
/// Numbers that a pair names: its own, and 16 after it.
const PAIR: u32 = 17;
/// Header, sender and media SSRC.
const HEADER: usize = 12;

/// What a packet asks for of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The stream's name.
    pub ssrc: Ssrc,
    /// These sequence numbers, each once.
    pub numbers: Vec<u16>,
    /// Bytes that ask for them: of all questions in a packet together no more than it has.
    pub bytes: usize,
}

/// The packets that a compound packet asks to be sent again, by stream: none for anything else that comes to an RTCP port. No more than
/// [`MOST_NUMBERS`] of all; the rest is left out. Each number once.
pub fn asked_for(packet: &[u8]) -> Vec<Question> {
    let Ok(compound) = Compound::parse(packet) else { return Vec::new() };
    let mut asked: Vec<Question> = Vec::new();
    let mut room = MOST_NUMBERS;
    for part in compound {
        // What is broken ends the compound; what came before it counts.
        let Ok(part) = part else { break };
        let Packet::TransportFeedback(feedback) = part else { continue };
        let Ok(nack) = feedback.parse_fci::<Nack>() else { continue };
        let numbers: Vec<u16> = nack.entries().take(room).collect();
        room -= numbers.len();
        let (ssrc, bytes) = (Ssrc(feedback.media_ssrc()), feedback.length());
        match asked.iter_mut().find(|known| known.ssrc == ssrc) {
            Some(known) => {
                known.numbers.extend(numbers);
                known.bytes += bytes;
            }
            None if !numbers.is_empty() => asked.push(Question { ssrc, numbers, bytes }),
            None => {}
        }
    }
    for Question { numbers, .. } in &mut asked {
        numbers.sort_unstable();
        numbers.dedup();
    }
    asked
}

/// How many packets a packet asks for.
pub fn count(packet: &[u8]) -> usize {
    asked_for(packet).iter().map(|question| question.numbers.len()).sum()
}

/// The packets that ask `media` for these numbers, in the name of `sender`: as few as there may be, each of at most 252 bytes.
pub fn requests(sender: Ssrc, media: Ssrc, numbers: &[u16]) -> Vec<Vec<u8>> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let mut packets = Vec::new();
    let mut rest = &numbers[..];
    while !rest.is_empty() {
        let (some, others) = rest.split_at(fitting(rest.iter().map(|number| u32::from(*number))));
        packets.push(request(sender, media, some));
        rest = others;
    }
    packets
}

/// How many of the first of these numbers, which ascend, fit into one packet.
pub(super) fn fitting(numbers: impl Iterator<Item = u32>) -> usize {
    let (mut pairs, mut end, mut count) = (0, None, 0);
    for number in numbers {
        if end.is_none_or(|end| number >= end) {
            if pairs == MOST_PAIRS {
                break;
            }
            pairs += 1;
            end = Some(number.saturating_add(PAIR));
        }
        count += 1;
    }
    count
}

fn request(sender: Ssrc, media: Ssrc, numbers: &[u16]) -> Vec<u8> {
    let list = numbers.iter().fold(Nack::builder(), |list, number| list.add_rtp_sequence(*number));
    let nack = TransportFeedback::builder_owned(list).sender_ssrc(sender.0).media_ssrc(media.0);
    let mut packet = vec![0; HEADER + 4 * MOST_PAIRS];
    match nack.write_into(&mut packet) {
        Ok(length) => packet.truncate(length),
        // `fitting` has seen to it that there is room.
        Err(_) => packet.clear(),
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(ssrc: u32, numbers: &[u16], bytes: usize) -> Question {
        Question { ssrc: Ssrc(ssrc), numbers: numbers.to_vec(), bytes }
    }

    #[test]
    fn a_request_is_the_nack_that_the_standard_draws() {
        let packets = requests(Ssrc(1), Ssrc(0x22b8), &[0x1000, 0x1001, 0x1010]);
        let wanted = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0x22, 0xb8, 0x10, 0x00, 0b1000_0000, 0b0000_0001];
        assert_eq!(packets, [wanted]);
        assert_eq!(asked_for(&packets[0]), [question(0x22b8, &[0x1000, 0x1001, 0x1010], 16)]);
    }

    #[test]
    fn nobody_is_asked_for_nothing() {
        assert!(requests(Ssrc(1), Ssrc(2), &[]).is_empty());
    }

    #[test]
    fn what_is_far_apart_is_asked_for_by_several_packets() {
        let numbers: Vec<u16> = (0..150).map(|number| number * 100).collect();
        let packets = requests(Ssrc(1), Ssrc(2), &numbers);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [252, 252, 132]);
        let asked: Vec<u16> =
            packets.iter().flat_map(|packet| asked_for(packet)[0].numbers.clone()).collect();
        assert_eq!(asked, numbers);
    }

    #[test]
    fn in_a_compound_packet_each_stream_and_each_number_is_there_once() {
        // An empty receiver report first, and a PLI between.
        let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        packet.extend(requests(Ssrc(9), Ssrc(7), &[3, 1]).concat());
        packet.extend([0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7]);
        packet.extend(requests(Ssrc(9), Ssrc(8), &[5]).concat());
        packet.extend(requests(Ssrc(9), Ssrc(7), &[1, 2]).concat());
        assert_eq!(asked_for(&packet), [question(7, &[1, 2, 3], 32), question(8, &[5], 16)]);
        assert_eq!(count(&packet), 4);
    }

    /// Each byte of a packet asks once, however many numbers a pair names and however many streams are asked for: what is sent is paid for
    /// by these.
    #[test]
    fn no_more_bytes_ask_than_came() {
        let full = |ssrc: u32| requests(Ssrc(9), Ssrc(ssrc), &Vec::from_iter(0..17));
        let packet: Vec<u8> = (0..50).flat_map(|ssrc| full(ssrc).concat()).collect();
        let asked = asked_for(&packet);
        assert_eq!(asked.iter().map(|question| question.numbers.len()).collect::<Vec<_>>(), [17; 50]);
        assert_eq!(asked.iter().map(|question| question.bytes).sum::<usize>(), packet.len());
        let again = asked_for(&full(1).concat().repeat(50));
        assert_eq!(again, [question(1, &Vec::from_iter(0..17), packet.len())]);
    }

    #[test]
    fn nothing_else_asks_for_anything() {
        let table: [&[u8]; 6] = [
            &[],
            &[0x80],
            // RTP; a receiver report; a PLI; congestion control feedback (RFC 8888); a NACK that is cut off.
            &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
            &[0x80, 201, 0, 1, 0, 0, 0, 9],
            &[0x8b, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0],
            &[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2],
        ];
        for packet in table {
            assert!(asked_for(packet).is_empty(), "{packet:x?}");
        }
    }

    #[test]
    fn a_packet_that_asks_for_too_much_is_read_in_part() {
        let mut packet = vec![0x81, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        for pair in 0..360_u16 {
            packet.extend((pair * 17).to_be_bytes());
            packet.extend([0xff, 0xff]);
        }
        let words = u16::try_from(packet.len() / 4 - 1).unwrap();
        packet[2..4].copy_from_slice(&words.to_be_bytes());
        assert_eq!(asked_for(&packet), [question(2, &Vec::from_iter(0..1024), packet.len())]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_asked_for_is_heard(numbers in proptest::collection::btree_set(0_u16.., 0..400)) {
            let numbers: Vec<u16> = numbers.into_iter().collect();
            let packets = requests(Ssrc(1), Ssrc(2), &numbers);
            let heard: Vec<u16> = packets.iter().flat_map(|packet| asked_for(packet)).flat_map(|question| question.numbers).collect();
            proptest::prop_assert_eq!(heard, numbers);
            proptest::prop_assert!(packets.iter().all(|packet| packet.len() <= 252));
        }

        #[test]
        fn no_packet_makes_it_panic(packet in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let asked = asked_for(&packet);
            proptest::prop_assert!(asked.iter().map(|question| question.bytes).sum::<usize>() <= packet.len());
        }
    }
}
