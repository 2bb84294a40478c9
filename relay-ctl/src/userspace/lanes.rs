//! Sockets of their own for the copies to single children, so that what is stuck on the way to one of them does not take up
//! the send buffer of the others.
//!
//! What the kernel has not got rid of, because an interface is clogged or a neighbour does not answer, is charged to the
//! send buffer of the socket that it was given to. As long as nothing is stuck all copies leave by the socket that media
//! comes to, many a call. When its buffer is full, they leave by lanes for a while: each child has its own send budget
//! then, and the copies that do not fit in it are that child's losses. Nobody ever waits.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use socket2::Socket;

use super::destination::Destination;
use super::listen::{self, Group};

/// Most sockets of all lanes together. A process may have 1024 files open by default, and the daemon needs some itself.
const MOST: usize = 640;
/// So many children have a lane together for RTCP, of which there is little.
const RTCP_SHARE: usize = 4;

/// For how long, in ns, copies leave by lanes after a buffer was full. What was stuck may be gone by then, and to find out
/// costs nobody a copy.
const WHILE: u64 = 10_000_000_000;

/// By kind, endpoint that sends, and number of the lane.
type Key = (usize, usize, usize);

/// The lanes of a plan's children. There is none where the kernel refused to open it.
#[derive(Default)]
pub struct Lanes {
    /// So many children have a lane together for RTP.
    share: usize,
    sockets: HashMap<Key, Arc<Socket>>,
    /// Those that no child needs now, for the next ones. They stay open: a packet that comes while one is being closed can
    /// find it after it has left its group, and would end there (`udp_lib_unhash`).
    spare: Vec<(Key, Arc<Socket>)>,
}

/// What decides which lanes a child needs.
#[derive(Clone, Copy)]
struct Need {
    kind: usize,
    endpoint: usize,
    rtcp: bool,
    counter: u32,
}

impl Lanes {
    /// Lanes for these children; those that are there already are used on.
    pub fn new<'g>(groups: impl Iterator<Item = &'g Group>, children: &[Destination], old: &Lanes) -> Lanes {
        let groups: Vec<_> = groups.collect();
        let needs: Vec<_> = groups.iter().flat_map(|group| needs(group, children)).collect();
        let (share, wanted) = wanted(&needs);
        let mut failed = None;
        let stays = |key: &Key| old.share == share && wanted.contains(key);
        let left = old.sockets.iter().filter(|(key, _)| !stays(key));
        let left = left.map(|(key, socket)| (*key, socket.clone()));
        let mut spare: Vec<_> = old.spare.iter().cloned().chain(left).collect();
        let mut open = |key: Key| {
            if let Some(socket) = old.sockets.get(&key).filter(|_| old.share == share) {
                return Some((key, socket.clone()));
            }
            if let Some(at) = spare.iter().position(|(is, _)| (is.0, is.1) == (key.0, key.1)) {
                return Some((key, spare.swap_remove(at).1));
            }
            let endpoint = &groups.iter().find(|group| usize::from(group.kind) == key.0)?.endpoints[key.1];
            let socket = listen::lane(endpoint).map_err(|error| failed = Some(error)).ok()?;
            Some((key, Arc::new(socket)))
        };
        let sockets = wanted.iter().copied().filter_map(&mut open).collect();
        if let Some(error) = failed {
            tracing::warn!(
                "cannot open a socket for the copies to each child ({error}): when the way to one of them is clogged, \
                 others may lose copies, too"
            );
        }
        Lanes { share, sockets, spare }
    }

    /// The socket for copies that this endpoint sends to a child.
    pub fn of(&self, kind: u8, endpoint: usize, rtcp: bool, counter: u32) -> Option<&Socket> {
        let need = Need { kind: kind.into(), endpoint, rtcp, counter };
        self.sockets.get(&need.key(self.share.max(1))).map(Arc::as_ref)
    }
}

impl Need {
    fn key(&self, share: usize) -> Key {
        let share = if self.rtcp { share * RTCP_SHARE } else { share };
        (self.kind, self.endpoint, self.counter as usize / share)
    }
}

/// All endpoints from which a child's copies may leave.
fn needs<'a>(group: &'a Group, children: &'a [Destination]) -> impl Iterator<Item = Need> + 'a {
    let ways = |child: &'a Destination| {
        group.endpoints.iter().filter_map(|endpoint| Some((endpoint.ways[child.version]?, endpoint.rtcp)))
    };
    let kind = usize::from(group.kind);
    let need =
        move |child: &Destination, (endpoint, rtcp)| Need { kind, endpoint, rtcp, counter: child.counter };
    children.iter().flat_map(move |child| ways(child).map(move |way| need(child, way)))
}

/// Which lanes there shall be: as few children share one as there are sockets for.
fn wanted(needs: &[Need]) -> (usize, BTreeSet<Key>) {
    let mut share = 1;
    loop {
        let keys: BTreeSet<_> = needs.iter().map(|need| need.key(share)).collect();
        if keys.len() <= MOST || share >= needs.len() {
            return (share, keys);
        }
        share *= 2;
    }
}

/// From which endpoints copies leave by lanes at the moment. No clock here: times are CLOCK_MONOTONIC ns.
#[derive(Default)]
pub struct Apart(HashMap<usize, u64>);

impl Apart {
    /// A send buffer was full: the endpoint's own, or that of one of its lanes.
    pub fn note(&mut self, endpoint: usize, now: u64) {
        self.0.insert(endpoint, now + WHILE);
    }

    /// Do this endpoint's copies leave by lanes?
    pub fn is(&self, endpoint: usize, now: u64) -> bool {
        // Hashing nothing in the common case.
        !self.0.is_empty() && self.0.get(&endpoint).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_leave_apart_for_a_while_after_the_last_refusal() {
        let mut apart = Apart::default();
        assert!(!apart.is(0, 0));
        apart.note(0, 5);
        assert!(apart.is(0, 5) && apart.is(0, 4 + WHILE) && !apart.is(0, 5 + WHILE));
        assert!(!apart.is(1, 5), "another endpoint");
        apart.note(0, 4 + WHILE);
        assert!(apart.is(0, 5 + WHILE));
    }

    /// Needs of so many children on so many addresses of one IP version.
    fn needs(children: u32, addresses: usize) -> Vec<Need> {
        let of = |counter| {
            let endpoints =
                [0, 1].into_iter().flat_map(move |kind| (0..2 * addresses).map(move |e| (kind, e)));
            endpoints.map(move |(kind, endpoint)| Need {
                kind,
                endpoint,
                rtcp: endpoint >= addresses,
                counter,
            })
        };
        (0..children).flat_map(of).collect()
    }

    #[test]
    fn a_full_house_has_a_lane_a_child_and_room_for_other_files() {
        let (share, keys) = wanted(&needs(256, 1));
        assert_eq!((share, keys.len()), (1, 2 * 256 + 2 * 64));
    }

    #[test]
    fn children_share_lanes_when_there_are_many_addresses() {
        let (share, keys) = wanted(&needs(256, 8));
        assert_eq!((share, keys.len()), (8, 8 * (2 * 32 + 2 * 8)));
        assert_eq!(wanted(&needs(10, 8)).0, 1, "few children need not");
        assert_eq!(wanted(&[]), (1, BTreeSet::new()));
    }

    #[test]
    fn more_addresses_than_lanes_end_the_search() {
        let (share, keys) = wanted(&needs(2, 400));
        assert!(share >= 2 && keys.len() == 4 * 400);
    }
}
