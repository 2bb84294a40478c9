//! Hostile packets by a seed, an independent predicate, and a judge who compares bytes and books: no copy is corrupted,
//! misaddressed, doubled, missing or reordered; what is not for children goes to the stack untouched; every packet is counted.
//!
//! `MEDIA_TREE_PACKETS=N` and `MEDIA_TREE_SEED=S` (or `cargo xtask judge`) make it as long as one likes.

use std::time::Instant;

use crate::judge::court::{Court, children};
use crate::judge::generator::{COMMON, ssrc};
use crate::judge::predicate::Input;
use crate::support::frames::{Checksum, Datagram, rtcp, rtp};
use crate::support::{Child, Ip, VIDEO, media, with_kernel};
use relay_ctl::kernel::Mode;

const PACKETS: u64 = 100_000;
const SEED: u64 = 1;
/// Packets between two lines of a long run.
const ROUND: u64 = 1_000_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn judge(mode: Mode) {
    let (packets, seed) = (number("MEDIA_TREE_PACKETS", PACKETS), number("MEDIA_TREE_SEED", SEED));
    with_kernel("hostile", mode, |kernel| {
        let started = Instant::now();
        let mut court = Court::new(kernel, mode, seed);
        while court.packets < packets && court.findings.is_empty() {
            let round = ROUND.min(packets - court.packets);
            // A real frame costs as much as many runs of the program.
            court.run_frames(round / 4, if mode == Mode::Tc { 10 } else { 0 });
            court.run_programs(round - round / 4);
            let (seconds, copies) = (started.elapsed().as_secs_f64(), court.copies);
            println!("{mode}: {} packets, {copies} copies, seed {seed}, {seconds:.1} s", court.packets);
        }
        court.assert_agreement(&format!("{mode}, seed {seed}"));
    });
}

/// Hand-made packets, as real frames, and to another relay through the program alone.
fn these(mode: Mode, inputs: &[Input]) {
    for real in [true, false] {
        with_kernel("hostile", mode, |kernel| {
            let mut court = Court::new(kernel, mode, 0);
            match real {
                true => court.run_these(inputs),
                false => inputs.iter().for_each(|input| court.run_program(input)),
            }
            court.assert_agreement(&mode.to_string());
        });
    }
}

fn in_both_modes(inputs: &[Input]) {
    these(Mode::Xdp, inputs);
    these(Mode::Tc, inputs);
}

fn frame(packet: &Datagram) -> Input {
    Input { frame: packet.bytes(), ..Input::default() }
}

/// The media of a stream, and a report that claims to be from nobody.
#[test]
fn a_report_from_an_impossible_source_goes_to_the_stack() {
    let ssrc = ssrc(Ip::V6, 0);
    let report = Datagram { source: ([0_u16; 8], 4_001).into(), ..media(Ip::V6, rtcp(ssrc)) };
    in_both_modes(&[frame(&media(Ip::V6, rtp(ssrc, 1, 100))), frame(&report)]);
}

/// The shortest packets are shorter than a frame.
#[test]
fn nothing_of_a_childs_own_packet_is_on_the_wire_to_it() {
    let own = |child: &Child, length| {
        let source = child.goal(VIDEO);
        let payload = rtp(ssrc(child.ip, child.id as usize), length as u16, length);
        frame(&Datagram { source, ..media(child.ip, payload) })
    };
    let packets: Vec<Input> =
        children().iter().flat_map(|child| [12, 13, 18, 19, 100].map(|length| own(child, length))).collect();
    in_both_modes(&packets);
}

/// All children of the stream have the other IP version, and miss all packets of the buffer.
#[test]
fn what_children_of_the_other_family_miss_is_counted_by_the_packet() {
    let ssrc = ssrc(Ip::V4, COMMON + 5);
    let payload = [1, 2, 3].map(|sequence| rtp(ssrc, sequence, 50)).concat();
    let buffer = Datagram { checksum: Checksum::Partial, ..media(Ip::V4, payload) };
    these(Mode::Tc, &[Input { frame: buffer.bytes(), partial: true, segment: 50 }]);
}

/// CSRCs, extension and padding are the receivers' to check (RFC 3550 appendix A.1): a relay looks at the fixed header.
#[test]
fn rtp_that_does_not_fit_itself_is_forwarded_as_it_is() {
    let mut inputs = Vec::new();
    for ip in [Ip::V4, Ip::V6] {
        let ssrc = ssrc(ip, 0);
        for (first, length, last) in [
            // CSRCs: all that fit, and one more.
            (0x82, 20, 0),
            (0x83, 20, 0),
            (0x8f, 12, 0),
            // An extension of no words and of one, and half a header of one.
            (0x90, 16, 0),
            (0x90, 16, 1),
            (0x90, 20, 1),
            (0x90, 14, 0),
            // Padding: none at all, some, all there is and one more.
            (0xa0, 20, 0),
            (0xa0, 20, 4),
            (0xa0, 20, 8),
            (0xa0, 20, 9),
            (0xa2, 20, 1),
        ] {
            let mut payload = rtp(ssrc, inputs.len() as u16, length);
            payload[12..].fill(0);
            payload[0] = first;
            if let Some(words) = payload.get_mut(15).filter(|_| first & 0x10 != 0) {
                *words = last;
            } else if length > 12 {
                payload[length - 1] = last;
            }
            inputs.push(frame(&media(ip, payload)));
        }
    }
    in_both_modes(&inputs);
}

#[test]
fn in_xdp_mode() {
    judge(Mode::Xdp);
}

#[test]
fn in_tc_mode() {
    judge(Mode::Tc);
}
