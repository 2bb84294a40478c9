//! Packets to many children: the loop over a fan-out set, and what happens when the kernel refuses a message.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::reason::Reason;

use super::books::Books;
use super::classify::Media;
use super::listen::{Endpoint, Group};
use super::outbox::{CHUNK, Marks, Outbox, Queue};
use super::plan::{Compiled, Destination, address};
use super::refusals::Refusals;
use super::runs::{Likeness, Piece};
use super::socket::Received;
use super::tap::{Tapped, Taps};

/// A packet to forward.
pub struct Job<'a> {
    pub packet: Received<'a>,
    pub media: Media<'a>,
    /// Somebody captures this stream.
    pub tapped: bool,
}

impl Job<'_> {
    /// What decides who goes with it. A captured packet goes alone, so that it is seen between those before and after it.
    pub fn piece(&self) -> Piece {
        let Received { source, source_port, ttl, class, payload, .. } = self.packet;
        let like = Likeness { source, source_port, ttl, class };
        Piece { ssrc: self.media.key.ssrc, like, length: payload.len(), alone: self.tapped }
    }
}

/// Packets that go to the same children, in one message to each.
pub struct Run<'a> {
    /// The first of them, which is like the others in all but its payload.
    pub first: &'a Job<'a>,
    payloads: &'a [IoSlice<'a>],
    /// By IP version of the child.
    marks: [Marks; 2],
}

impl<'a> Run<'a> {
    pub fn new(first: &'a Job<'a>, payloads: &'a [IoSlice<'a>]) -> Run<'a> {
        let Received { ttl, class, payload, .. } = first.packet;
        // `classify` lets nothing below 2 through.
        let (hops, segment) = (ttl.saturating_sub(1), payload.len() as u16);
        Run { first, payloads, marks: [Marks::v4(hops, class, segment), Marks::v6(hops, class, segment)] }
    }
}

/// Memory for the copies of a batch that go by one IP version, used again for the next one.
pub struct Post {
    outbox: Outbox,
    letters: Vec<Letter>,
}

impl Post {
    pub fn new() -> Post {
        Post { outbox: Outbox::new(), letters: Vec::with_capacity(CHUNK) }
    }
}

/// Whose a message is, and what is in it.
struct Letter {
    /// Index in the plan.
    child: usize,
    run: usize,
    /// Which packets of the run.
    packets: Range<usize>,
    /// Part of a message that the kernel refused.
    parted: bool,
}

/// The copies of one batch, a queue for each IP version.
pub struct FanOut<'a> {
    group: &'a Group,
    endpoint: &'a Endpoint,
    plan: &'a Compiled,
    books: &'a Books,
    stop: &'a UnixStream,
    runs: &'a [Run<'a>],
    refusals: &'a mut Refusals,
    now: u64,
    mail: [Mail<'a>; 2],
}

/// Queued messages, and whose they are.
struct Mail<'a> {
    queue: Queue<'a>,
    letters: &'a mut Vec<Letter>,
}

/// What a batch goes by.
pub struct Context<'a> {
    pub group: &'a Group,
    pub endpoint: &'a Endpoint,
    pub plan: &'a Compiled,
    pub books: &'a Books,
    pub stop: &'a UnixStream,
    /// CLOCK_MONOTONIC ns.
    pub now: u64,
}

impl<'a> FanOut<'a> {
    pub fn new(
        context: Context<'a>,
        runs: &'a [Run<'a>],
        refusals: &'a mut Refusals,
        posts: &'a mut [Post; 2],
    ) -> FanOut<'a> {
        let mail = posts.each_mut().map(|Post { outbox, letters }| {
            letters.clear();
            Mail { queue: outbox.queue(), letters }
        });
        let Context { group, endpoint, plan, books, stop, now } = context;
        FanOut { group, endpoint, plan, books, stop, runs, refusals, now, mail }
    }

    /// Queues the copies of a run, and sends what is queued whenever that is a full chunk.
    pub fn copies(&mut self, run: usize, taps: &Taps) {
        let Run { first: Job { packet, media, tapped }, payloads, .. } = &self.runs[run];
        for &index in media.set {
            let child = &self.plan.children[index];
            let port = child.ports[usize::from(self.group.kind)][media.port];
            if packet.source_port == port && packet.source == child.address {
                self.books.failed(child.counter, payloads.len(), Reason::ChildIsSender);
                continue;
            }
            let Some(way) = self.endpoint.ways[child.version] else {
                self.books.failed(child.counter, payloads.len(), Reason::OtherFamily);
                continue;
            };
            if *tapped {
                let local = self.group.endpoints[way].local;
                taps.give(&media.key, &outgoing(packet, child, port, local, taps));
            }
            let together = payloads.len() == 1
                || self.group.endpoints[way].segments
                    && self.refusals.allow(&child.address, packet.payload.len(), self.now);
            if together {
                self.queue(Letter { child: index, run, packets: 0..payloads.len(), parted: false });
            } else {
                for at in 0..payloads.len() {
                    self.queue(Letter { child: index, run, packets: at..at + 1, parted: false });
                }
            }
        }
    }

    /// Sends what is left.
    pub fn finish(mut self) {
        for version in 0..self.mail.len() {
            self.send(version);
        }
    }

    fn queue(&mut self, letter: Letter) {
        let (child, run) = (&self.plan.children[letter.child], &self.runs[letter.run]);
        let to = &child.names[usize::from(self.group.kind)][run.first.media.port];
        let Mail { queue, letters } = &mut self.mail[child.version];
        queue.push(to, &run.payloads[letter.packets.clone()], &run.marks[child.version]);
        letters.push(letter);
        if letters.len() == CHUNK {
            self.send(child.version);
        }
    }

    /// Sends a queue, whatever happens to single messages: one child that fails does not stop the others.
    fn send(&mut self, version: usize) {
        let Mail { queue, letters } = &mut self.mail[version];
        let Some(way) = self.endpoint.ways[version] else { return };
        let socket = &self.group.endpoints[way].socket;
        let mut done = 0;
        while done < letters.len() {
            match queue.send(socket, done) {
                Ok(sent) => {
                    for letter in &letters[done..done + sent] {
                        let (child, run) = (&self.plan.children[letter.child], &self.runs[letter.run]);
                        let packets = &run.payloads[letter.packets.clone()];
                        let bytes = packets.iter().map(|payload| payload.len()).sum();
                        self.books.sent(child.counter, packets.len(), bytes);
                        if letter.parted {
                            self.refusals.note(child.address, run.first.packet.payload.len(), self.now);
                        }
                    }
                    done += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The send buffer is full. Waiting is right: what comes in meanwhile waits in the receive buffer.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !writable(socket, self.stop) {
                        break;
                    }
                }
                Err(error) => {
                    let Letter { child: index, run: number, ref packets, .. } = letters[done];
                    let (child, run) = (&self.plan.children[index], &self.runs[number]);
                    if packets.len() > 1 && nothing_was_sent(&error) {
                        let to = &child.names[usize::from(self.group.kind)][run.first.media.port];
                        queue.split(done, to, &run.payloads[packets.clone()], &run.marks[version]);
                        let part =
                            |at| Letter { child: index, run: number, packets: at..at + 1, parted: true };
                        letters.splice(done..=done, packets.clone().map(part));
                        continue;
                    }
                    tracing::trace!(%error, counter = child.counter, "copy refused");
                    self.books.failed(child.counter, packets.len(), Reason::EgressRefused);
                    done += 1;
                }
            }
        }
        queue.clear();
        letters.clear();
    }
}

/// Whether none of a refused message's packets is on its way. Every refusal comes before the message is cut apart, except
/// that of an interface that went down meanwhile (kernel: `__dev_queue_xmit`).
fn nothing_was_sent(error: &io::Error) -> bool {
    error.raw_os_error() != Some(libc::ENETDOWN)
}

/// Waits until the socket takes more; false when it is time to stop.
fn writable(socket: &impl AsFd, stop: &UnixStream) -> bool {
    let mut wanted =
        [PollFd::new(socket.as_fd(), PollFlags::POLLOUT), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wanted, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => wanted[1].any() != Some(true),
        Err(_) => false,
    }
}

fn outgoing(
    packet: &Received<'_>,
    child: &Destination,
    port: u16,
    local: std::net::SocketAddr,
    taps: &Taps,
) -> Tapped {
    let destination = (address(child.address), port).into();
    Tapped {
        time: SystemTime::now(),
        outgoing: true,
        source: taps.source(local, destination),
        destination,
        payload: packet.payload.to_vec(),
    }
}
