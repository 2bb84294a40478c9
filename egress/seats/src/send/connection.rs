//! A viewer's TCP connection, on the way out.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{setsockopt, sockopt};

/// Bytes that wait in the kernel for a slow viewer: one to two seconds of video. What comes later is dropped, not kept.
const WAITING: usize = 256 * 1024;

/// A viewer's TCP connection (RFC 6544). Packets are framed by their length (RFC 4571). One that does not fit is dropped as a
/// whole: media that comes late is of no use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The end of a packet that is on its way.
    rest: Mutex<Vec<u8>>,
}

impl Connection {
    /// Takes a connection over: it does not block any more, for reading either.
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::SndBuf, &WAITING)?;
        Ok(Connection { stream, rest: Mutex::default() })
    }

    /// The connection, to be read from and waited for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a packet of at most 65,535 bytes, without waiting. False when it was dropped.
    pub fn send(&self, packet: &[u8]) -> bool {
        let Ok(length) = u16::try_from(packet.len()) else { return false };
        self.send_framed(&[&length.to_be_bytes(), packet].concat()) == 0
    }

    /// Sends what waits, as far as there is room now.
    pub(crate) fn flush(&self) {
        self.send_framed(&[]);
    }

    /// Sends packets, each behind its length. Gives how many were dropped.
    pub(super) fn send_framed(&self, frames: &[u8]) -> usize {
        // Whoever panicked while it held the lock had the bytes in order.
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.write(&rest);
        rest.drain(..sent);
        let taken = if rest.is_empty() { self.write(frames) } else { 0 };
        let (end, dropped) = cut(frames, taken);
        rest.extend_from_slice(&frames[taken..end]);
        dropped
    }

    /// As many bytes as it takes; none of a connection that has ended, which whoever reads from it is told of.
    fn write(&self, mut bytes: &[u8]) -> usize {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match (&self.stream).write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        whole - bytes.len()
    }
}

/// Where the packet ends that only a part was taken of, and how many come after that.
fn cut(frames: &[u8], taken: usize) -> (usize, usize) {
    let (mut at, mut end, mut dropped) = (0, taken, 0);
    while let Some([high, low]) = frames.get(at..at + 2) {
        let next = (at + 2 + usize::from(u16::from_be_bytes([*high, *low]))).min(frames.len());
        if at < taken {
            end = next.max(taken);
        } else {
            dropped += 1;
        }
        at = next;
    }
    (end, dropped)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_packet_is_taken_as_a_whole_or_dropped() {
        let frames = [0, 3, 1, 2, 3, 0, 0, 0, 1, 9];
        for (taken, wanted) in [
            (0, (0, 3)),
            (1, (5, 2)),
            (4, (5, 2)),
            (5, (5, 2)),
            (6, (7, 1)),
            (7, (7, 1)),
            (8, (10, 0)),
            (10, (10, 0)),
        ] {
            assert_eq!(cut(&frames, taken), wanted, "{taken}");
        }
        assert_eq!(cut(&[], 0), (0, 0));
    }

    /// Nobody reads for a while: what is dropped is counted, what comes through is in order and whole, and sending does not wait.
    #[test]
    fn a_slow_reader_loses_whole_packets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = Connection::new(listener.accept().unwrap().0).unwrap();
        let packet = |number: u32| [&number.to_be_bytes()[..], &[7; 1196]].concat();
        // More than both sides' buffers hold.
        let sent: Vec<u32> = (0..20_000).filter(|number| connection.send(&packet(*number))).collect();
        assert!(sent.len() < 20_000, "all {} were taken", sent.len());
        let mut read = |count: usize| -> Vec<u32> {
            let frames = (0..count).map(|_| {
                let mut frame = [0; 1202];
                reader.read_exact(&mut frame).unwrap();
                assert_eq!(frame[..2], 1200_u16.to_be_bytes());
                let number = u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]);
                assert_eq!(frame[2..], packet(number));
                number
            });
            frames.collect()
        };
        assert_eq!(read(sent.len() - 1), sent[..sent.len() - 1]);
        // There is room again: the rest of the last one goes in front of the next.
        assert!(connection.send(&packet(20_000)));
        assert_eq!(read(2), [sent[sent.len() - 1], 20_000]);
        drop(reader);
    }

    #[test]
    fn a_packet_longer_than_a_frame_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = Connection::new(listener.accept().unwrap().0).unwrap();
        assert!(!connection.send(&[0; 65_536]));
        assert!(connection.send(&[0; 65_535]));
    }
}
