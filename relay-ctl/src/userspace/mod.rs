//! The third data plane: UDP sockets and two threads, for machines where the daemon may not load BPF programs.
//!
//! Same policy, same statistics and same names as the kernel paths. What differs, because a socket stands between:
//! - the stack has put fragments together, so they are forwarded, and removed VLAN tags and IP options;
//! - packets larger than the MTU of the way to a child leave as fragments; too big is only what fits into none;
//! - sources that no other host can have (the host's own addresses, loopback) are the stack's business: it has dropped
//!   what comes from another host under them, and what is sent on this host is as good as any;
//! - what is not media is counted and dropped here: no stack is behind us that could want it;
//! - a packet may change the IP version on its way, wherever there is a socket for the other one;
//! - the source address of a copy is the routing table's choice when we listen on every address; its port is always
//!   the port that the packet came to (RFC 4961);
//! - what a full interface queue drops after the kernel took a copy is not seen here;
//! - packets that come together take the way through the kernel once, in (UDP_GRO) and out (UDP_SEGMENT).
//!
//! | file | job |
//! |---|---|
//! | `listen.rs` | which sockets, with which options |
//! | `plan.rs`, `destination.rs` | children and fan-out sets, ready to use |
//! | `forward.rs` | the thread: receive, classify, fan out |
//! | `classify.rs` | the policy |
//! | `runs.rs` | which packets of a batch go out together |
//! | `fanout.rs` | the copies of a batch |
//! | `lanes.rs` | sockets for single children, while something is stuck |
//! | `refusals.rs` | to whom they do not go together |
//! | `books.rs` | statistics and counters |
//! | `tap.rs` | captures |
//! | `repair.rs` | what is kept to be sent again, and which packets are missing |
//! | `feedback.rs` | RTCP from children, and to where streams come from |
//! | `socket.rs`, `outbox.rs` | recvmmsg; sendmmsg and UDP_SEGMENT |

mod books;
mod classify;
mod destination;
mod error;
mod fanout;
mod feedback;
mod forward;
mod lanes;
mod listen;
mod outbox;
mod plan;
mod refusals;
mod repair;
mod runs;
mod socket;
mod tap;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use node::repair::Shelf;
use relay_common::layout::{ChildStats, Gap, MAX_CHILDREN, StreamKey, Total};
use relay_common::reason::Reason;
use relay_common::stream::Stream;
use tokio::sync::mpsc;

use crate::address::Prefix;

use books::Books;
use feedback::Feedback;
use lanes::Lanes;
use listen::Group;
use plan::Compiled;
use repair::Repair;
use tap::Taps;

pub use error::UserspaceError;
pub use feedback::{Door, Heard, Mouth};
pub use tap::{TapFilter, Tapped};

/// How long a change waits for batches on their way out.
const OUTGOING: Duration = Duration::from_millis(200);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Empty: every address, IPv4 and IPv6.
    pub addresses: Vec<IpAddr>,
    /// RTP ports: audio, video. RTCP comes to the port after.
    pub ports: [u16; 2],
}

/// A child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index of its statistics, below [`MAX_CHILDREN`].
    pub counter: u32,
    pub address: IpAddr,
    /// RTP ports: audio, video. RTCP goes to the port after.
    pub ports: [u16; 2],
}

/// Who gets what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub children: Vec<Target>,
    /// Indexes into `children`: the set for streams without a route. Indexes that do not exist are left out.
    pub all: Vec<usize>,
    /// Sets of the other streams.
    pub routes: HashMap<StreamKey, Vec<usize>>,
    /// Where media is taken from.
    pub sources: BTreeSet<Prefix>,
    /// Those of them that send the same, while there are two parents.
    pub twins: BTreeSet<Prefix>,
}

impl Default for Plan {
    /// No children; media is taken from anywhere.
    fn default() -> Plan {
        let sources = BTreeSet::from([Prefix::ANY]);
        Plan {
            children: Vec::new(),
            all: Vec::new(),
            routes: HashMap::new(),
            sources,
            twins: BTreeSet::new(),
        }
    }
}

/// What the threads and the public functions share.
struct Shared {
    plan: ArcSwap<Compiled>,
    /// By kind.
    books: [Books; 2],
    /// Streams in both tables.
    known: AtomicUsize,
    taps: Taps,
    feedback: Feedback,
    repair: Repair,
}

/// The running data plane. Dropping it stops it.
pub struct Userspace {
    shared: Arc<Shared>,
    groups: [Arc<Group>; 2],
    /// IPv4 children are addressed through IPv6 sockets.
    mapped: bool,
    threads: Vec<JoinHandle<()>>,
    /// Closing it stops the threads.
    stop: Option<UnixStream>,
}

impl Userspace {
    /// Opens all sockets, or none, and starts forwarding by an empty plan: everything is `NoChildren`.
    pub fn bind(listen: &Listen) -> Result<Userspace, UserspaceError> {
        let (groups, mapped) = listen::open(listen)?;
        let shared = Arc::new(Shared {
            plan: ArcSwap::from_pointee(Compiled::new(Plan::default(), mapped)),
            books: [Books::new(), Books::new()],
            known: AtomicUsize::new(0),
            taps: Taps::default(),
            feedback: Feedback::default(),
            repair: Repair::default(),
        });
        let (stop, stopped) = UnixStream::pair().map_err(UserspaceError::Thread)?;
        let groups = groups.map(Arc::new);
        let mut relay =
            Userspace { shared, groups: groups.clone(), mapped, threads: Vec::new(), stop: Some(stop) };
        for (group, name) in groups.into_iter().zip(["relay-audio", "relay-video"]) {
            let (shared, stopped) =
                (relay.shared.clone(), stopped.try_clone().map_err(UserspaceError::Thread)?);
            let thread = Builder::new()
                .name(name.to_owned())
                .spawn(move || forward::run(&group, &shared, &stopped))
                .map_err(UserspaceError::Thread)?;
            relay.threads.push(thread);
        }
        Ok(relay)
    }

    /// Replaces the plan. Each packet sees the old one or the new one whole; a packet that arrives after this has
    /// returned sees the new one. Waits until the batches that go by the old one have gone out, so that nothing is sent
    /// to a removed child afterwards; no longer than [`OUTGOING`], in case a thread does not get its turn.
    pub fn publish(&self, plan: Plan) {
        let mut new = Compiled::new(plan, self.mapped);
        let groups = self.groups.iter().map(Arc::as_ref);
        let old = self.shared.plan.load();
        new.lanes = Lanes::new(groups, &new.children, &old.lanes);
        new.version = old.version.checked_add(1).unwrap_or(1);
        drop(old);
        let old = self.shared.plan.swap(Arc::new(new));
        let begun = Instant::now();
        // A thread holds the plan from reading a batch to having sent it, and not while it waits for packets.
        while Arc::strong_count(&old) > 1 && begun.elapsed() < OUTGOING {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// All streams, in the order of their keys.
    pub fn streams(&self) -> Vec<(StreamKey, Stream)> {
        let mut streams = Vec::with_capacity(self.shared.known.load(Relaxed));
        for books in &self.shared.books {
            streams.extend(books.streams().iter().map(|(key, stream)| (*key, *stream)));
        }
        streams.sort_unstable_by_key(|(key, _)| *key);
        streams
    }

    /// How many streams there are.
    pub fn known(&self) -> usize {
        self.shared.known.load(Relaxed)
    }

    /// One stream.
    pub fn stream(&self, key: &StreamKey) -> Option<Stream> {
        self.shared.books.iter().find_map(|books| books.streams().get(key).copied())
    }

    /// Removes streams from the table; a packet of one of them begins it anew. What they counted is kept.
    pub fn forget(&self, keys: &[StreamKey]) {
        for books in &self.shared.books {
            let removed = books.forget(keys);
            self.shared.known.fetch_sub(removed, Relaxed);
        }
    }

    /// What forgotten streams had, by kind.
    pub fn forgotten(&self) -> [Total; 2] {
        self.shared.books.each_ref().map(Books::forgotten)
    }

    /// Counters of the plan's children, and of others that have any, in the order of their indexes.
    pub fn child_stats(&self) -> Vec<(u32, ChildStats)> {
        let plan = self.shared.plan.load();
        let planned = |counter| plan.children.iter().any(|child| child.counter == counter);
        (0..MAX_CHILDREN)
            .map(|counter| (counter, self.sum(counter)))
            .filter(|(counter, stats)| *stats != ChildStats::default() || planned(*counter))
            .collect()
    }

    /// Sets a child's counters to zero, for the index to be used again.
    pub fn reset_child(&self, counter: u32) {
        for books in &self.shared.books {
            books.reset_child(counter);
        }
    }

    /// Every reason and how often it occurred.
    pub fn drops(&self) -> Vec<(Reason, u64)> {
        let sum = |reason| self.shared.books.iter().map(|books| books.dropped(reason)).sum();
        Reason::ALL.iter().map(|reason| (*reason, sum(*reason))).collect()
    }

    /// Packets that the kernel dropped before they were read: the receive buffer was full, or the checksum wrong. Several
    /// that it had put together count as one.
    pub fn receive_overflow(&self) -> u64 {
        let endpoints = self.groups.iter().flat_map(|group| &group.endpoints);
        endpoints.map(|endpoint| u64::from(node::udp::drops(&endpoint.socket).unwrap_or(0))).sum()
    }

    /// Bytes of the smallest receive buffer that media comes to.
    pub fn receive_buffer(&self) -> Option<usize> {
        let endpoints = self.groups.iter().flat_map(|group| &group.endpoints);
        endpoints.filter_map(|endpoint| node::udp::receive_buffer(&endpoint.socket)).min()
    }

    /// Gives what is forwarded, as it comes in and as it goes out, until the receiver is dropped. What the receiver
    /// does not take in time is left out.
    pub fn tap(&self, filter: TapFilter) -> Receiver<Tapped> {
        self.shared.taps.add(filter)
    }

    /// Gives the RTCP that comes from children. What the receiver does not take in time is left out. Only the first call
    /// has a receiver.
    pub fn feedback(&self) -> Option<mpsc::Receiver<Heard>> {
        self.shared.feedback.listen()
    }

    /// What sends on its own.
    pub fn mouth(&self) -> Mouth {
        Mouth::new(&self.shared, &self.groups)
    }

    /// From now on the last packets are kept: so many, as the first call says.
    pub fn keep_history(&self, packets: usize) {
        self.shared.repair.keep_history(packets);
    }

    /// Where they are kept, if they are.
    pub fn history(&self) -> Option<Arc<Shelf>> {
        self.shared.repair.history()
    }

    /// Gives what streams jump over. What the receiver does not take in time is left out, and counted. Only the first call has a receiver.
    pub fn gaps(&self) -> Option<mpsc::Receiver<Gap>> {
        self.shared.repair.listen()
    }

    /// Stops forwarding, waits for the threads and closes the sockets.
    pub fn stop(self) {}

    fn sum(&self, counter: u32) -> ChildStats {
        let [audio, video] = &self.shared.books;
        let (audio, video) = (audio.child(counter), video.child(counter));
        ChildStats {
            packets: audio.packets + video.packets,
            bytes: audio.bytes + video.bytes,
            errors: audio.errors + video.errors,
            too_big: audio.too_big + video.too_big,
        }
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a forwarding thread had panicked");
            }
        }
    }
}
