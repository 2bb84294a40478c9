//! [`Batch`]: packets of many viewers on their way out.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::messages::{Datagrams, MOST, Name, Outbox, knows_segments};
use super::{Connection, Path};
use crate::peer::Seat;

/// Bytes that are collected: some 400 packets. More would not be in the cache any more when they are sent.
const ROOM: usize = 512 * 1024;
/// Most packets of a message; the kernel takes no more (UDP_MAX_SEGMENTS of Linux before 6.11).
const SEGMENTS: usize = 64;
/// Most bytes of a message, below what a datagram can hold in either IP version.
const MESSAGE: usize = 65_000;
/// How long a full socket is waited for. Longer, and media that could be sent would come too late.
const PATIENCE: Duration = Duration::from_millis(10);
/// Bytes in front of a packet in a TCP stream (RFC 4571).
const FRAME: usize = 2;

/// Packets on their way out, and memory for them that is used again and again.
pub struct Batch {
    bytes: Box<[u8]>,
    used: usize,
    datagrams: Vec<Message<(Name, Option<IpAddr>)>>,
    streams: Vec<Message<Arc<Connection>>>,
    outbox: Outbox,
    way_out: WayOut,
}

/// Packets of one viewer, one behind the other.
struct Message<To> {
    seat: Seat,
    to: To,
    at: usize,
    length: usize,
    packets: usize,
    /// Bytes of the first packet; none may be longer.
    segment: usize,
    /// The last packet is shorter than the first: nothing may follow.
    ended: bool,
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
        if self.used + FRAME + length > ROOM || self.datagrams.len() + self.streams.len() >= MOST {
            self.flush();
        }
        let (to, from) = match path {
            Path::Udp(to) => (to, None),
            Path::UdpFrom(to, from) => (to, Some(*from)),
            Path::Tcp(connection) => return self.push_framed(seat, connection, length, fill),
        };
        let Some(name) = Name::new(*to, self.way_out.v6) else {
            self.way_out.fail(seat, 1, Failure::Refused);
            return Ok(());
        };
        let at = self.used;
        fill(&mut self.bytes[at..at + length])?;
        self.used += length;
        let to = (name, from);
        match self.datagrams.last_mut() {
            Some(last) if self.way_out.segments && last.to == to && last.takes(seat, at, length) => {
                last.add(length);
            }
            _ => self.datagrams.push(Message::new(seat, to, at, length)),
        }
        Ok(())
    }

    fn push_framed<E>(
        &mut self,
        seat: Seat,
        connection: &Arc<Connection>,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = self.used;
        let room = &mut self.bytes[at..at + FRAME + length];
        fill(&mut room[FRAME..])?;
        room[..FRAME].copy_from_slice(&(length as u16).to_be_bytes());
        self.used += FRAME + length;
        match self.streams.last_mut() {
            Some(last) if last.seat == seat && Arc::ptr_eq(&last.to, connection) && last.end() == at => {
                last.length += FRAME + length;
                last.packets += 1;
            }
            _ => self.streams.push(Message::new(seat, connection.clone(), at, FRAME + length)),
        }
        Ok(())
    }

    /// Sends all that is here.
    pub fn flush(&mut self) {
        self.way_out.deliver(&mut self.outbox, &self.bytes, &self.datagrams);
        for message in &self.streams {
            let dropped = message.to.send_framed(message.bytes(&self.bytes));
            self.way_out.counts.calls += 1;
            self.way_out.counts.packets += (message.packets - dropped) as u64;
            if dropped == 0 {
                self.way_out.counts.bytes += message.length as u64;
            } else {
                self.way_out.fail(message.seat, dropped, Failure::Slow);
            }
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

impl<To> Message<To> {
    fn new(seat: Seat, to: To, at: usize, length: usize) -> Message<To> {
        Message { seat, to, at, length, packets: 1, segment: length, ended: false }
    }

    fn end(&self) -> usize {
        self.at + self.length
    }

    fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.at..self.end()]
    }

    /// A packet there may go with these; an empty one would not be seen among them.
    fn takes(&self, seat: Seat, at: usize, length: usize) -> bool {
        self.seat == seat
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
    fn deliver(&mut self, outbox: &mut Outbox, bytes: &[u8], messages: &[Message<(Name, Option<IpAddr>)>]) {
        let mut ready = outbox.fill(messages.iter().map(|message| Datagrams {
            to: message.to.0,
            from: message.to.1,
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

impl<To: Clone> Message<To> {
    /// Each packet by itself.
    fn apart(&self) -> Vec<Message<To>> {
        let begins = (self.at..self.end()).step_by(self.segment.max(1));
        begins
            .map(|at| Message::new(self.seat, self.to.clone(), at, self.segment.min(self.end() - at)))
            .collect()
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
