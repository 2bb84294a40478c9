//! What a socket buffer has beside its bytes, and a test run cannot give it: a VLAN tag that the stack has taken, and a
//! checksum that is left to hardware. Sent as frames to an attached program.

use crate::support::frames::{Checksum, Datagram, TAG, rtcp, rtp};
use crate::support::wire::{Tap, send, send_partial};
use crate::support::{Child, Ip, VIDEO, media, with_kernel};
use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

fn children(ip: Ip) -> [Child; 3] {
    [(0, 1), (1, 1), (2, 2)].map(|(id, nic)| Child { id, nic, ip, ports: [5002, 6004 + id as u16] })
}

#[test]
fn copies_of_tagged_packets_and_partial_checksums_are_right() {
    for ip in [Ip::V4, Ip::V6] {
        with_kernel("real", Mode::Tc, |kernel| {
            let children = children(ip);
            kernel.children(&children, &[]);
            kernel.plane.attach().unwrap();
            let mut taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
            let right = media(ip, rtp(1, 1, 101));
            let partial = Datagram { checksum: Checksum::Partial, ..right.clone() };
            let to_rtcp = |mut packet: Datagram| {
                packet.payload = rtcp(1);
                packet.destination.set_port(VIDEO + 1);
                packet
            };
            for (what, packet) in [
                ("plain", right.clone()),
                ("tagged", Datagram { tags: vec![TAG], ..right.clone() }),
                ("priority-tagged", Datagram { tags: vec![[0x81, 0, 0xe0, 0]], ..right }),
                ("partial", partial.clone()),
                ("partial RTCP", to_rtcp(partial.clone())),
                ("tagged and partial", Datagram { tags: vec![TAG], ..partial }),
            ] {
                let packet = if what.ends_with("RTCP") { packet } else { kernel.fresh(&packet) };
                match packet.checksum {
                    Checksum::Partial => send_partial(kernel.lab, &packet),
                    _ => send(kernel.lab, &packet.bytes()),
                }
                for (nic, tap) in (1..).zip(&mut taps) {
                    // What is left to hardware stays so: the copy's field is the sum of its own pseudo-header.
                    let copies: Vec<_> = children
                        .iter()
                        .filter(|child| child.nic == nic)
                        .map(|child| child.copy_of(&packet).bytes())
                        .collect();
                    assert_eq!(tap.take(copies.len()), copies, "{what}, eth{nic}");
                }
            }
            assert_eq!(taps.map(|mut tap| tap.rest().len()), [0, 0]);
        });
    }
}

#[test]
fn two_tags_go_to_the_stack() {
    with_kernel("two-tags", Mode::Tc, |kernel| {
        kernel.children(&children(Ip::V4), &[]);
        kernel.plane.attach().unwrap();
        let mut tap = Tap::open(kernel.lab, 1);
        let before = kernel.count(Reason::StackedVlan);
        send(kernel.lab, &Datagram { tags: vec![TAG, TAG], ..media(Ip::V4, rtp(1, 1, 50)) }.bytes());
        assert_eq!(tap.rest(), Vec::<Vec<u8>>::new());
        assert_eq!(kernel.count(Reason::StackedVlan), before + 1);
    });
}
