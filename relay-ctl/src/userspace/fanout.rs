//! One packet to many children: the loop over a fan-out set, and what happens when the kernel refuses a copy.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::reason::Reason;

use super::books::Books;
use super::classify::Media;
use super::listen::{Endpoint, Group};
use super::plan::{Compiled, Destination, address};
use super::socket::{CHUNK, Marks, Outbox, Queue, Received};
use super::tap::{Tapped, Taps};

/// A packet to forward.
pub struct Job<'a> {
    pub packet: Received<'a>,
    pub media: Media<'a>,
    /// Somebody captures this stream.
    pub tapped: bool,
    /// By IP version of the child.
    marks: [Marks; 2],
}

impl<'a> Job<'a> {
    /// `taps`: `None` when there are none.
    pub fn new(packet: Received<'a>, media: Media<'a>, taps: Option<&Taps>) -> Job<'a> {
        // `classify` lets nothing below 2 through.
        let hops = packet.ttl.saturating_sub(1);
        let marks = [Marks::v4(hops, packet.class), Marks::v6(hops, packet.class)];
        let tapped = taps.is_some_and(|taps| taps.wanted(&media.key));
        Job { packet, media, tapped, marks }
    }
}

/// The copies of one batch, a queue for each IP version.
pub struct FanOut<'a> {
    group: &'a Group,
    endpoint: &'a Endpoint,
    plan: &'a Compiled,
    books: &'a Books,
    stop: &'a UnixStream,
    mail: [Mail<'a>; 2],
}

/// Queued copies, and whose they are.
struct Mail<'a> {
    queue: Queue<'a>,
    whose: Vec<(u32, usize)>,
}

impl<'a> FanOut<'a> {
    pub fn new(
        group: &'a Group,
        endpoint: &'a Endpoint,
        plan: &'a Compiled,
        books: &'a Books,
        stop: &'a UnixStream,
        outboxes: &'a mut [Outbox; 2],
    ) -> FanOut<'a> {
        let mail = outboxes.each_mut().map(|outbox| Mail { queue: outbox.queue(), whose: Vec::new() });
        FanOut { group, endpoint, plan, books, stop, mail }
    }

    /// Queues one packet's copies, and sends what is queued whenever that is a full chunk.
    pub fn copies(&mut self, job: &'a Job<'a>, taps: &Taps) {
        let Job { packet, media, .. } = job;
        for child in media.set.iter().map(|index| &self.plan.children[*index]) {
            let pair = usize::from(self.group.kind);
            let port = child.ports[pair][media.port];
            if packet.source_port == port && packet.source == child.address {
                self.books.failed(child.counter, Reason::ChildIsSender);
                continue;
            }
            let Some(way) = self.endpoint.ways[child.version] else {
                self.books.failed(child.counter, Reason::OtherFamily);
                continue;
            };
            if job.tapped {
                let local = self.group.endpoints[way].local;
                taps.give(&media.key, &outgoing(packet, child, port, local, taps));
            }
            let Mail { queue, whose } = &mut self.mail[child.version];
            queue.push(&child.names[pair][media.port], packet.payload, &job.marks[child.version]);
            whose.push((child.counter, packet.payload.len()));
            if queue.len() == CHUNK {
                self.send(child.version);
            }
        }
    }

    /// Sends what is left.
    pub fn finish(mut self) {
        for version in 0..self.mail.len() {
            self.send(version);
        }
    }

    /// Sends a queue, whatever happens to single copies: one child that fails does not stop the others.
    fn send(&mut self, version: usize) {
        let Mail { queue, whose } = &mut self.mail[version];
        let Some(way) = self.endpoint.ways[version] else { return };
        let socket = &self.group.endpoints[way].socket;
        let mut done = 0;
        while done < whose.len() {
            match queue.send(socket, done) {
                Ok(sent) => {
                    for (counter, bytes) in &whose[done..done + sent] {
                        self.books.sent(*counter, *bytes);
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
                    let (counter, _) = whose[done];
                    tracing::trace!(%error, counter, "copy refused");
                    self.books.failed(counter, Reason::EgressRefused);
                    done += 1;
                }
            }
        }
        queue.clear();
        whose.clear();
    }
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
