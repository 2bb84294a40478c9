//! A source that keeps what it has sent, and sends it again to where it went when it is asked to by a generic NACK (RFC 4585 section
//! 6.2.1). It hears on the port that media leaves from and on the next. No relay's code is used: the two judge each other.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::rtp::Header;

/// Packets that are kept: a second or more of what tests send.
const KEPT: usize = 16_384;
/// How often the thread looks whether it shall stop, when nobody asks.
const STOP_POLL_MS: u8 = 20;
const LARGEST: usize = 1500;
/// RFC 4585 section 6.2: transport layer feedback, of which 1 is the generic NACK.
const FEEDBACK: u8 = 205;
const GENERIC_NACK: u8 = 1;

/// Which stream, and which of its packets.
type Name = (u32, u16);

/// Answers until it is dropped.
pub(super) struct Answers {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

/// What source and answers have in common.
#[derive(Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    kept: Mutex<Kept>,
    pub(super) asked: AtomicU64,
    pub(super) answered: AtomicU64,
}

#[derive(Default)]
struct Kept {
    packets: HashMap<Name, (usize, SocketAddr, Vec<u8>)>,
    oldest_first: VecDeque<Name>,
}

impl Shared {
    /// Keeps a packet that socket `socket` has sent.
    pub(super) fn keep(&self, packet: &[u8], socket: usize, destination: SocketAddr) {
        let Ok(header) = Header::read(packet) else { return };
        let name = (header.ssrc.0, header.sequence);
        let mut kept = self.kept();
        if kept.packets.insert(name, (socket, destination, packet.to_vec())).is_none() {
            kept.oldest_first.push_back(name);
        }
        if kept.oldest_first.len() > KEPT
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.packets.remove(&oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    /// `sockets`: what media leaves by; `others`: where it hears, too.
    pub(super) fn start(sockets: &[UdpSocket], others: Vec<UdpSocket>) -> Result<Self> {
        let clones = sockets.iter().map(UdpSocket::try_clone).collect::<std::io::Result<Vec<_>>>();
        let mut ears = clones.context("sharing a source's sockets")?;
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let mouths = sockets.len();
        ears.extend(others);
        let worker = std::thread::Builder::new()
            .name("answers".to_owned())
            .spawn(move || answering.run(&ears, mouths))
            .context("starting to answer")?;
        Ok(Self { shared, worker: Some(worker) })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Shared {
    fn run(&self, ears: &[UdpSocket], mouths: usize) {
        let mut buffer = [0; LARGEST];
        while !self.stop.load(Relaxed) {
            let mut waiting: Vec<PollFd> =
                ears.iter().map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)).collect();
            let _ = poll(&mut waiting, PollTimeout::from(STOP_POLL_MS));
            for (ear, fd) in ears.iter().zip(&waiting) {
                // An error is a pending one (ICMP), which reading it has cleared.
                if fd.any().unwrap_or(false)
                    && let Ok((length, _)) = ear.recv_from(&mut buffer)
                {
                    self.answer(&buffer[..length], &ears[..mouths]);
                }
            }
        }
    }

    fn answer(&self, packet: &[u8], mouths: &[UdpSocket]) {
        let kept = self.kept();
        for name in asked_for(packet) {
            self.asked.fetch_add(1, Relaxed);
            if let Some((socket, destination, packet)) = kept.packets.get(&name)
                && mouths[*socket].send_to(packet, destination).is_ok()
            {
                self.answered.fetch_add(1, Relaxed);
            }
        }
    }
}

/// All that the NACKs of a compound RTCP packet ask for.
fn asked_for(mut packet: &[u8]) -> Vec<Name> {
    let mut names = Vec::new();
    while let Some(&[first, kind, high, low]) = packet.first_chunk::<4>() {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some(one) = packet.get(..length) else { break };
        if kind == FEEDBACK && first & 0x1f == GENERIC_NACK && length >= 12 {
            let media = u32::from_be_bytes([one[8], one[9], one[10], one[11]]);
            for entry in one[12..].chunks_exact(4) {
                let first = u16::from_be_bytes([entry[0], entry[1]]);
                let others = u16::from_be_bytes([entry[2], entry[3]]);
                names.push((media, first));
                let set = (0..16_u16).filter(|bit| others & 1 << bit != 0);
                names.extend(set.map(|bit| (media, first.wrapping_add(bit + 1))));
            }
        }
        packet = &packet[length..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_those_behind_them_are_read() {
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0x22, 0xb8, 0xff, 0xff, 0x80, 0x01];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x22, 0xb8];
        let wanted = [(8888, 65535), (8888, 0), (8888, 15)];
        assert_eq!(asked_for(&nack), wanted);
        assert_eq!(asked_for(&[&pli[..], &nack].concat()), wanted);
        assert_eq!(asked_for(&pli), []);
        assert_eq!(asked_for(&nack[..15]), [], "cut short");
    }

    #[test]
    fn what_is_oldest_is_forgotten() {
        let shared = Shared::default();
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        for number in 0..KEPT as u16 + 10 {
            shared.keep(&crate::rtp::packet(7, number), 0, to);
        }
        let kept = shared.kept();
        assert_eq!((kept.packets.len(), kept.oldest_first.len()), (KEPT, KEPT));
        assert!(!kept.packets.contains_key(&(7, 9)) && kept.packets.contains_key(&(7, 10)));
    }
}
