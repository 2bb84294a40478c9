//! [`Batch`]: packets of many viewers on their way out.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Path;
use super::messages::{Datagrams, MOST, Name, Outbox, knows_segments};
use crate::door::Connection;
use crate::peer::Seat;

/// Bytes that are collected: some 400 packets. More would not be in the cache any more when they are sent.
const ROOM: usize = 512 * 1024;
/// Most packets of a message; the kernel takes no more (UDP_MAX_SEGMENTS of Linux before 6.11).
const SEGMENTS: usize = 64;
/// Most bytes of a message, below what a datagram can hold in either IP version.
const MESSAGE: usize = 65_000;
/// How long a full socket is waited for. Longer, and media that could be sent would come too late.
const PATIENCE: Duration = Duration::from_millis(10);

/// Packets on their way out, and memory for them that is used again and again.
pub struct Batch {
    bytes: Box<[u8]>,
    used: usize,
    datagrams: Vec<Message>,
    streams: Vec<Streamed>,
    outbox: Outbox,
    way_out: WayOut,
}

/// Packets of one viewer, one behind the other.
struct Message {
    seat: Seat,
    to: Name,
    at: usize,
    length: usize,
    packets: usize,
    /// Bytes of the first packet; none may be longer.
    segment: usize,
    /// The last packet is shorter than the first: nothing may follow.
    ended: bool,
}

/// A packet for a connection.
struct Streamed {
    seat: Seat,
    to: Arc<Connection>,
    bytes: Range<usize>,
}

/// What has become of all packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that the kernel has taken.
    pub packets: u64,
    /// Their bytes, without IP and UDP headers.
    pub bytes: u64,
    /// System calls for these.
    pub calls: u64,
    /// Not sent: the socket stayed full.
    pub full: u64,
    /// Not sent: longer than any way takes.
    pub too_long: u64,
    /// Not sent: the kernel refuses to send there (no route, a firewall).
    pub refused: u64,
    /// Not sent: the viewer's connection was full, or has ended.
    pub slow: u64,
}

impl Counts {
    /// What was not sent, by reason.
    pub fn dropped(&self) -> [(&'static str, u64); 4] {
        [
            ("send_buffer_full", self.full),
            ("send_too_long", self.too_long),
            ("send_refused", self.refused),
            ("send_tcp_full", self.slow),
        ]
    }
}

impl Batch {
    /// Sends from this socket, whose send buffer is best as large as it gets: several megabytes.
    pub fn new(socket: Arc<UdpSocket>) -> io::Result<Batch> {
        let v6 = socket.local_addr()?.is_ipv6();
        let segments = knows_segments(&socket);
        Ok(Batch {
            bytes: vec![0; ROOM].into(),
            used: 0,
            datagrams: Vec::with_capacity(MOST),
            streams: Vec::new(),
            outbox: Outbox::default(),
            way_out: WayOut {
                socket,
                v6,
                segments,
                stuck: false,
                counts: Counts::default(),
                failed: Vec::new(),
            },
        })
    }

    /// Adds a packet of so many bytes, which `fill` writes; when that fails, nothing was added. What is here already is sent
    /// first if there is no room. A packet that no datagram can hold is counted, and not written.
    pub fn push<E>(
        &mut self,
        seat: Seat,
        path: &Path,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if length > MESSAGE {
            self.way_out.fail(seat, 1, Failure::TooLong);
            return Ok(());
        }
        if self.used + length > ROOM || self.datagrams.len() + self.streams.len() >= MOST {
            self.flush();
        }
        match path {
            Path::Udp(..) | Path::UdpFrom(..) => {
                let Some(to) = Name::of(path, self.way_out.v6) else {
                    self.way_out.fail(seat, 1, Failure::Refused);
                    return Ok(());
                };
                let at = self.write(length, fill)?.start;
                match self.datagrams.last_mut() {
                    Some(last) if self.way_out.segments && last.takes(seat, to, at, length) => {
                        last.add(length)
                    }
                    _ => self.datagrams.push(Message::new(seat, to, at, length)),
                }
            }
            Path::Tcp(connection) => {
                let bytes = self.write(length, fill)?;
                self.streams.push(Streamed { seat, to: connection.clone(), bytes });
            }
        }
        Ok(())
    }

    fn write<E>(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let bytes = self.used..self.used + length;
        fill(&mut self.bytes[bytes.clone()])?;
        self.used = bytes.end;
        Ok(bytes)
    }

    /// Sends all that is here.
    pub fn flush(&mut self) {
        self.way_out.deliver(&mut self.outbox, &self.bytes, &self.datagrams);
        let together = |a: &Streamed, b: &Streamed| a.seat == b.seat && Arc::ptr_eq(&a.to, &b.to);
        for packets in self.streams.chunk_by(together) {
            self.way_out.stream(&self.bytes, packets);
        }
        self.datagrams.clear();
        self.streams.clear();
        self.used = 0;
    }

    /// What has become of all packets so far.
    pub fn counts(&self) -> Counts {
        self.way_out.counts
    }

    /// Whose packets could not be sent, and how many, since this was asked last. To be asked every round.
    pub fn failed(&mut self) -> impl Iterator<Item = (Seat, usize)> {
        self.way_out.failed.drain(..)
    }
}

impl Message {
    fn new(seat: Seat, to: Name, at: usize, length: usize) -> Message {
        Message { seat, to, at, length, packets: 1, segment: length, ended: false }
    }

    fn end(&self) -> usize {
        self.at + self.length
    }

    fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.at..self.end()]
    }

    /// A packet there may go with these; an empty one would not be seen among them.
    fn takes(&self, seat: Seat, to: Name, at: usize, length: usize) -> bool {
        (self.seat, self.to) == (seat, to)
            && self.end() == at
            && !self.ended
            && (1..=self.segment).contains(&length)
            && self.packets < SEGMENTS
            && self.length + length <= MESSAGE
    }

    fn add(&mut self, length: usize) {
        self.length += length;
        self.packets += 1;
        self.ended |= length < self.segment;
    }

    /// Each packet by itself.
    fn apart(&self) -> Vec<Message> {
        let begins = (self.at..self.end()).step_by(self.segment);
        let alone = |at| Message::new(self.seat, self.to, at, self.segment.min(self.end() - at));
        begins.map(alone).collect()
    }
}

/// The socket, and what it does not take.
struct WayOut {
    socket: Arc<UdpSocket>,
    v6: bool,
    /// The kernel cuts messages apart.
    segments: bool,
    /// It was waited for in vain: no waiting again before something goes out.
    stuck: bool,
    counts: Counts,
    failed: Vec<(Seat, usize)>,
}

impl WayOut {
    fn deliver(&mut self, outbox: &mut Outbox, bytes: &[u8], messages: &[Message]) {
        let mut ready = outbox.fill(messages.iter().map(|message| Datagrams {
            to: message.to,
            bytes: message.bytes(bytes),
            segment: (message.packets > 1).then_some(message.segment as u16),
        }));
        let (mut at, mut deadline) = (0, None);
        while at < messages.len() {
            self.counts.calls += 1;
            let error = match ready.send(&self.socket, at..) {
                Ok(taken) => {
                    for message in &messages[at..at + taken] {
                        self.counts.packets += message.packets as u64;
                        self.counts.bytes += message.length as u64;
                    }
                    self.stuck = false;
                    at += taken;
                    continue;
                }
                Err(error) => error,
            };
            let message = &messages[at];
            match judge(&error, message.packets) {
                Verdict::Wait => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                    if self.stuck || !writable(&self.socket, deadline) {
                        self.stuck = true;
                        for message in &messages[at..] {
                            self.fail(message.seat, message.packets, Failure::Full);
                        }
                        return;
                    }
                    continue;
                }
                Verdict::Again => continue,
                Verdict::Apart { for_good } => {
                    self.segments &= !for_good;
                    self.deliver(&mut Outbox::default(), bytes, &message.apart());
                }
                Verdict::Drop(failure) => self.fail(message.seat, message.packets, failure),
            }
            at += 1;
        }
    }

    /// Packets of one connection.
    fn stream(&mut self, bytes: &[u8], packets: &[Streamed]) {
        let Some(Streamed { seat, to, .. }) = packets.first() else { return };
        let slices: Vec<&[u8]> = packets.iter().map(|packet| &bytes[packet.bytes.clone()]).collect();
        let taken = to.send(&slices);
        self.counts.calls += 1;
        self.counts.packets += taken as u64;
        self.counts.bytes += slices[..taken].iter().map(|slice| slice.len() as u64).sum::<u64>();
        if taken < packets.len() {
            self.fail(*seat, packets.len() - taken, Failure::Slow);
        }
    }

    fn fail(&mut self, seat: Seat, packets: usize, failure: Failure) {
        let count = match failure {
            Failure::Full => &mut self.counts.full,
            Failure::TooLong => &mut self.counts.too_long,
            Failure::Refused => &mut self.counts.refused,
            Failure::Slow => &mut self.counts.slow,
        };
        *count += packets as u64;
        match self.failed.last_mut() {
            Some((last, failed)) if *last == seat => *failed += packets,
            _ => self.failed.push((seat, packets)),
        }
    }
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Full,
    TooLong,
    Refused,
    Slow,
}

/// What to do about a message that the kernel did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Until there is room in the socket.
    Wait,
    /// At once.
    Again,
    /// Packet by packet; with all messages that follow if it is the card that cannot.
    Apart {
        for_good: bool,
    },
    Drop(Failure),
}

fn judge(error: &io::Error, packets: usize) -> Verdict {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Verdict::Wait,
        Some(libc::EINTR) => Verdict::Again,
        // A route whose card has no checksum offload, or whose packets are encrypted by the kernel.
        Some(libc::EIO) if packets > 1 => Verdict::Apart { for_good: true },
        // A way whose MTU is smaller than a segment.
        Some(libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP) if packets > 1 => {
            Verdict::Apart { for_good: false }
        }
        Some(libc::EMSGSIZE) => Verdict::Drop(Failure::TooLong),
        Some(libc::ENOBUFS | libc::ENOMEM) => Verdict::Drop(Failure::Full),
        _ => Verdict::Drop(Failure::Refused),
    }
}

/// Waits for room in the socket. False when the time is over.
fn writable(socket: &UdpSocket, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u16;
        if left == 0 {
            return false;
        }
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::from(left)) {
            Ok(1..) => return true,
            Ok(_) => return false,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
