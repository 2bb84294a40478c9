//! Packets to many children: the loop over a fan-out set, and what happens when the kernel refuses a message.
//!
//! Nothing here waits: what one child cannot take is that child's loss.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::time::SystemTime;

use nix::libc;
use relay_common::reason::Reason;
use socket2::Socket;

use super::books::Books;
use super::classify::Media;
use super::destination::Destination;
use super::lanes::Apart;
use super::listen::{Endpoint, Group};
use super::outbox::{CHUNK, Marks, Outbox, Queue};
use super::plan::Compiled;
use super::refusals::Refusals;
use super::runs::{Likeness, Piece};
use super::socket::Received;
use super::tap::{Tapped, Taps};
use crate::address::unmapped;

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

/// What a thread remembers of refusals.
#[derive(Default)]
pub struct Troubles {
    together: Refusals,
    apart: Apart,
}

/// The copies of one batch, a queue for each IP version.
pub struct FanOut<'a> {
    group: &'a Group,
    endpoint: &'a Endpoint,
    plan: &'a Compiled,
    books: &'a Books,
    runs: &'a [Run<'a>],
    troubles: &'a mut Troubles,
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
    /// CLOCK_MONOTONIC ns.
    pub now: u64,
}

impl<'a> FanOut<'a> {
    pub fn new(
        context: Context<'a>,
        runs: &'a [Run<'a>],
        troubles: &'a mut Troubles,
        posts: &'a mut [Post; 2],
    ) -> FanOut<'a> {
        let mail = posts.each_mut().map(|Post { outbox, letters }| {
            letters.clear();
            Mail { queue: outbox.queue(), letters }
        });
        let Context { group, endpoint, plan, books, now } = context;
        FanOut { group, endpoint, plan, books, runs, troubles, now, mail }
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
                    && self.troubles.together.allow(&child.address, packet.payload.len(), self.now);
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
        let version = self.plan.children[letter.child].version;
        self.mail[version].letters.push(letter);
        if self.mail[version].letters.len() == CHUNK {
            self.send(version);
        }
    }

    /// Sends a queue, whatever happens to single messages: one child that fails does not stop the others.
    fn send(&mut self, version: usize) {
        let Some(way) = self.endpoint.ways[version] else { return };
        let group = self.group;
        let common = &group.endpoints[way].socket;
        self.address(version);
        let mut done = 0;
        if !self.troubles.apart.is(way, self.now) {
            done = self.post(version, common, 0, self.mail[version].letters.len(), true);
        }
        if done < self.mail[version].letters.len() {
            self.send_apart(version, way, done);
        }
        let Mail { queue, letters } = &mut self.mail[version];
        queue.clear();
        letters.clear();
    }

    /// Sends the letters from the `first` on, each by its child's own socket.
    fn send_apart(&mut self, version: usize, way: usize, first: usize) {
        let (group, plan) = (self.group, self.plan);
        let from = &group.endpoints[way];
        let letters = &mut self.mail[version].letters;
        letters.drain(..first);
        // Stable: a stream's packets stay in their order.
        letters.sort_by_key(|letter| letter.child);
        self.address(version);
        let mut done = 0;
        while let Some(Letter { child, .. }) = self.mail[version].letters.get(done) {
            let letters = self.mail[version].letters[done..].iter();
            let count = letters.take_while(|letter| letter.child == *child).count();
            let lane = plan.lanes.of(group.kind, way, from.rtcp, plan.children[*child].counter);
            done = self.post(version, lane.unwrap_or(&from.socket), done, count, false);
        }
    }

    /// Makes messages of all letters.
    fn address(&mut self, version: usize) {
        let Mail { queue, letters } = &mut self.mail[version];
        queue.clear();
        for Letter { child, run, packets, .. } in letters.iter() {
            let (child, run) = (&self.plan.children[*child], &self.runs[*run]);
            let to = &child.names[usize::from(self.group.kind)][run.first.media.port];
            queue.push(to, &run.payloads[packets.clone()], &run.marks[version]);
        }
    }

    /// Sends so many messages at most, from the `first` on, and gives where to go on. When the socket's send buffer is
    /// full, `yielding` ends it; otherwise that is what the child loses.
    fn post(&mut self, version: usize, socket: &Socket, first: usize, count: usize, yielding: bool) -> usize {
        let Mail { queue, letters } = &mut self.mail[version];
        let mut done = first;
        let mut end = letters.len().min(first + count);
        while done < end {
            let error = match queue.send(socket, done..end) {
                Ok(sent) => {
                    for letter in &letters[done..done + sent] {
                        let (child, run) = (&self.plan.children[letter.child], &self.runs[letter.run]);
                        let packets = &run.payloads[letter.packets.clone()];
                        let bytes = packets.iter().map(|payload| payload.len()).sum();
                        self.books.sent(child.counter, packets.len(), bytes);
                        if letter.parted {
                            self.troubles.together.note(
                                child.address,
                                run.first.packet.payload.len(),
                                self.now,
                            );
                        }
                    }
                    done += sent;
                    continue;
                }
                Err(error) => error,
            };
            let Letter { child: index, run: number, ref packets, .. } = letters[done];
            let (child, run) = (&self.plan.children[index], &self.runs[number]);
            match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => {
                    if let Some(way) = self.endpoint.ways[version] {
                        self.troubles.apart.note(way, self.now);
                    }
                    if yielding {
                        break;
                    }
                }
                _ if packets.len() > 1 && nothing_was_sent(&error) => {
                    let to = &child.names[usize::from(self.group.kind)][run.first.media.port];
                    queue.split(done, to, &run.payloads[packets.clone()], &run.marks[version]);
                    end += packets.len() - 1;
                    let part = |at| Letter { child: index, run: number, packets: at..at + 1, parted: true };
                    letters.splice(done..=done, packets.clone().map(part));
                    continue;
                }
                _ => {}
            }
            tracing::trace!(%error, counter = child.counter, "copy refused");
            let too_big = error.raw_os_error() == Some(libc::EMSGSIZE);
            let reason = if too_big { Reason::TooBig } else { Reason::EgressRefused };
            self.books.failed(child.counter, packets.len(), reason);
            done += 1;
        }
        done
    }
}

/// Whether none of a refused message's packets is on its way. Every refusal comes before the message is cut apart, except
/// that of an interface that went down meanwhile (kernel: `__dev_queue_xmit`).
fn nothing_was_sent(error: &io::Error) -> bool {
    error.raw_os_error() != Some(libc::ENETDOWN)
}

fn outgoing(
    packet: &Received<'_>,
    child: &Destination,
    port: u16,
    local: std::net::SocketAddr,
    taps: &Taps,
) -> Tapped {
    let destination = (unmapped(child.address), port).into();
    Tapped {
        time: SystemTime::now(),
        outgoing: true,
        source: taps.source(local, destination),
        destination,
        payload: packet.payload.to_vec(),
    }
}
