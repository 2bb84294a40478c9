//! The plans of [`Fanout`], carried out on simulated maps while simulated packets pass between any two writes.

mod limits;
mod maps;
mod random_changes;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{Child, StreamKey};

use super::{ChildId, FanoutError, Wanted, check_cursors};
use maps::Packets;

/// A child's headers; `host` tells one address of a child from the next. Children 5 and 6 have IPv6.
fn child(id: ChildId, ifindex: u32, host: u8) -> Child {
    let v6 = matches!(id, 5 | 6);
    let mut destination = relay_common::parse::MAPPED;
    destination[12..].copy_from_slice(&[10, ifindex as u8, id as u8, host]);
    let mut source = relay_common::parse::MAPPED;
    source[12..].copy_from_slice(&[10, ifindex as u8, 0, 1]);
    Child {
        destination_mac: [2, 0, 0, ifindex as u8, id as u8, host],
        source_mac: [2, 0, 0, 0, 0, ifindex as u8],
        ethertype: if v6 { [0x86, 0xdd] } else { [0x08, 0x00] },
        mtu: 1500,
        source,
        destination,
        ports: [5002, 5004],
        address_sum: relay_common::rewrite::address_sum(&source, &destination, true),
        ifindex,
        counter: id,
    }
}

fn stream(ssrc: u32) -> StreamKey {
    StreamKey { port: 5004, reserved: [0; 2], ssrc }
}

/// IPv4 packets of a stream.
fn packets(ssrc: u32) -> Packets {
    (stream(ssrc), false)
}

/// `children` behind one interface, no routes.
fn everyone(children: impl IntoIterator<Item = ChildId>) -> Wanted {
    Wanted {
        children: children.into_iter().map(|id| (id, child(id, 2, 1))).collect(),
        routes: BTreeMap::new(),
    }
}

fn subset(children: impl IntoIterator<Item = ChildId>) -> BTreeSet<ChildId> {
    children.into_iter().collect()
}

#[test]
fn two_interfaces_that_would_share_a_cursor_are_refused() {
    assert_eq!(check_cursors([2, 3, 1025]), Ok(()));
    assert_eq!(
        check_cursors([2, 2, 2]),
        Ok(()),
        "one interface has one cursor, however many children it has"
    );
    assert_eq!(check_cursors([2, 3, 1026]), Err(FanoutError::CursorClash(2, 1026)));
    assert_eq!(check_cursors([4096, 7, 1024]), Err(FanoutError::CursorClash(4096, 1024)));
}
