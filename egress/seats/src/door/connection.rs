//! A viewer's TCP connection to the media port: packets framed by RFC 4571, neither side made to wait for the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sockets;

/// Bytes that wait here at most, beside [`KERNEL_MOST`]: about a third of a second at 3 Mbit/s.
const WAITING_MOST: usize = 128 * 1024;
/// Bytes not sent yet that the kernel keeps at most: what waits longer than this is old when it comes.
const KERNEL_MOST: u32 = 128 * 1024;
/// Packets written by one system call at most.
const TOGETHER: usize = 64;

/// A viewer's TCP connection. Several threads may send: each packet goes out whole, or not at all.
#[derive(Debug)]
pub struct Connection {
    /// Tells it from every other one of this server.
    pub(crate) number: u64,
    /// The viewer's side.
    pub(crate) peer: SocketAddr,
    stream: TcpStream,
    waiting: Mutex<Waiting>,
}

/// What the kernel has not taken yet.
#[derive(Debug, Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    /// It is over: nothing is taken any more.
    broken: bool,
}

impl Connection {
    /// Takes a connection over: it does not block any more. `number` tells it from all others; reading it is the caller's.
    pub fn new(number: u64, stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        sockets::keep_unsent_below(&stream, KERNEL_MOST)?;
        Ok(Connection { number, peer, stream, waiting: Mutex::default() })
    }

    /// Sends packets in this order and gives how many were taken. Those after them are lost: its reader is too slow, or gone.
    /// Never waits.
    pub fn send<P: AsRef<[u8]>>(&self, packets: &[P]) -> usize {
        let mut waiting = self.waiting();
        let mut taken = 0;
        for some in packets.chunks(TOGETHER) {
            let took = waiting.send(&self.stream, some);
            taken += took;
            if took < some.len() {
                break;
            }
        }
        taken
    }

    /// Sends what waits, as far as the kernel takes it. To be called when the connection can be written to.
    pub(crate) fn flush(&self) {
        self.waiting().flush(&self.stream);
    }

    /// Ends it for both sides. Whoever polls it is told.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting();
        waiting.broken = true;
        waiting.bytes = VecDeque::new();
        // Not connected any more is as good.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // What is in there is right after every single step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Waiting {
    /// As [`Connection::send`], for as many as go into one system call.
    fn send<P: AsRef<[u8]>>(&mut self, stream: &TcpStream, packets: &[P]) -> usize {
        self.flush(stream);
        if self.broken {
            return 0;
        }
        let lengths: Vec<[u8; 2]> = packets
            .iter()
            .map_while(|p| u16::try_from(p.as_ref().len()).ok())
            .map(u16::to_be_bytes)
            .collect();
        let framed = || lengths.iter().zip(packets);
        let mut written = 0;
        if self.bytes.is_empty() {
            let slices: Vec<IoSlice> = framed()
                .flat_map(|(length, packet)| [IoSlice::new(length), IoSlice::new(packet.as_ref())])
                .collect();
            written = match (&*stream).write_vectored(&slices) {
                Ok(written) => written,
                Err(error) => {
                    self.failed(&error);
                    0
                }
            };
        }
        let mut taken = 0;
        for (length, packet) in framed() {
            let packet = packet.as_ref();
            let frame = length.len() + packet.len();
            if written >= frame {
                written -= frame;
            } else if self.broken || (written == 0 && self.bytes.len() + frame > WAITING_MOST) {
                break;
            } else {
                // One of which a part has gone must follow as a whole, or all that comes after it is read wrongly.
                self.bytes.extend(length.iter().chain(packet).skip(written));
                written = 0;
            }
            taken += 1;
        }
        taken
    }

    fn flush(&mut self, stream: &TcpStream) {
        while !self.bytes.is_empty() && !self.broken {
            match (&*stream).write(self.bytes.as_slices().0) {
                Ok(written) => drop(self.bytes.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.failed(&error),
            }
        }
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            self.bytes = VecDeque::new();
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            self.broken = true;
            self.bytes = VecDeque::new();
        }
    }
}

/// Takes frames out of what comes in (RFC 4571 section 2).
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
}

/// A frame is longer than anything that a viewer has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Frames {
    /// What has come.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their frame.
    pub(super) fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// Gives each whole frame to `each`, and keeps the rest: less than [`sockets::LONGEST`] bytes.
    pub(crate) fn each(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = &self.bytes[..];
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > sockets::LONGEST {
                return Err(TooLong);
            }
            let Some((frame, after)) = after.split_at_checked(length) else {
                break;
            };
            each(frame);
            rest = after;
        }
        let kept = self.bytes.len() - rest.len();
        self.bytes.drain(..kept);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, peer) = listener.accept().unwrap();
        (Connection::new(1, ours, peer).unwrap(), theirs)
    }

    fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        frames.extend(bytes);
        frames.each(|f| all.push(f.to_vec())).unwrap();
        all
    }

    #[test]
    fn a_reader_that_stops_loses_whole_packets_and_nothing_else() {
        let (ours, mut theirs) = pair();
        let packets: Vec<Vec<u8>> =
            (0..20_000_u32).map(|n| [n.to_be_bytes().as_slice(), &[7; 1200]].concat()).collect();
        let mut taken = Vec::new();
        for some in packets.chunks(7) {
            let took = ours.send(some);
            taken.extend_from_slice(&some[..took]);
        }
        assert!(taken.len() < packets.len(), "nobody read, and all was taken");
        assert!(ours.waiting().bytes.len() <= WAITING_MOST);

        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).map(|_| bytes).unwrap()
        });
        while !ours.waiting().bytes.is_empty() {
            ours.flush();
        }
        ours.end();
        assert!(frames(&reader.join().unwrap()) == taken);
        assert_eq!(ours.send(&[[1]]), 0, "it has ended");
    }

    #[test]
    fn a_frame_that_is_too_long_is_an_end() {
        let mut frames = Frames::default();
        frames.extend(&u16::MAX.to_be_bytes());
        assert_eq!(frames.each(|_| panic!("a frame")), Err(TooLong));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cut in 1_usize..500,
        ) {
            let bytes: Vec<u8> = packets.iter()
                .flat_map(|p| [&(p.len() as u16).to_be_bytes()[..], p].concat())
                .collect();
            let mut frames = Frames::default();
            let mut out = Vec::new();
            for some in bytes.chunks(cut) {
                frames.extend(some);
                frames.each(|f| out.push(f.to_vec())).unwrap();
            }
            prop_assert_eq!(out, packets);
        }
    }
}
