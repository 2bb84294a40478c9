//! `relay-ctl capture`: packets as the relay gets them and copies as they leave, in pcap form. XDP's traffic does not
//! pass tcpdump; this tap sits in the programs themselves.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aya::maps::{Array, MapData, RingBuf};
use byteorder_slice::NativeEndian;
use etherparse::PacketBuilder;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap_file::pcap::{PcapHeader, PcapPacket};
use pcap_file::{DataLink, Endianness, TsResolution};
use relay_common::layout::{CAPTURE_SNAP, CaptureFilter, CaptureHead};
use tokio::sync::mpsc;

use crate::clock::monotonic_ns;
use crate::kernel::CaptureRing;
use crate::userspace::Tapped;

/// How long the programs go on capturing without word from us.
const LEASE: Duration = Duration::from_secs(3);
/// How long one wait for packets lasts; the lease is renewed and the reader looked after in between.
const TURN: Duration = Duration::from_millis(250);

/// What to capture.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaptureRequest {
    /// Only this SSRC.
    pub ssrc: Option<u32>,
    /// Only streams that come in on this RTP port.
    pub port: Option<u16>,
    /// End after so many packets.
    pub count: Option<u64>,
    /// End after so many seconds.
    pub seconds: Option<u64>,
}

/// Pieces of a pcap stream.
pub type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// Starts capturing from the kernel's ring. `None` when somebody else does already.
pub fn from_ring(
    ring: CaptureRing,
    filter: Array<MapData, CaptureFilter>,
    request: CaptureRequest,
) -> Option<Pieces> {
    let (sender, receiver) = mpsc::channel(256);
    let (started, busy) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok(mut ring) = ring.try_lock() else {
            let _ = started.send(false);
            return;
        };
        let _ = started.send(true);
        read_ring(&mut ring, filter, Output::new(sender, DataLink::ETHERNET, request));
    });
    busy.recv().unwrap_or(false).then_some(receiver)
}

/// Starts capturing from the userspace path.
pub fn from_tap(tap: std::sync::mpsc::Receiver<Tapped>, request: CaptureRequest) -> Pieces {
    let (sender, receiver) = mpsc::channel(256);
    std::thread::spawn(move || {
        let mut output = Output::new(sender, DataLink::RAW, request);
        while !output.finished() {
            match tap.recv_timeout(TURN) {
                Ok(tapped) => match ip_packet(&tapped) {
                    Some(bytes) => output.packet(since_epoch(tapped.time), bytes.len(), &bytes),
                    None => continue,
                },
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    receiver
}

fn read_ring(ring: &mut RingBuf<MapData>, mut filter: Array<MapData, CaptureFilter>, mut output: Output) {
    while ring.next().is_some() {} // Left over from an earlier capture.
    let offset = since_epoch(SystemTime::now()).saturating_sub(Duration::from_nanos(monotonic_ns()));
    let mut renewed: Option<Instant> = None;
    while !output.finished() {
        if renewed.is_none_or(|at| at.elapsed() > LEASE / 3) {
            if filter.set(0, lease(&output.request), 0).is_err() {
                break;
            }
            renewed = Some(Instant::now());
        }
        let mut waiting = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
        if poll(&mut waiting, timeout).is_err() {
            continue;
        }
        while let Some(entry) = ring.next() {
            if output.finished() {
                break;
            }
            if let Some((head, bytes)) = split(&entry) {
                output.packet(offset + Duration::from_nanos(head.time), head.length as usize, bytes);
            }
        }
    }
    let _ = filter.set(0, CaptureFilter::default(), 0);
}

fn lease(request: &CaptureRequest) -> CaptureFilter {
    CaptureFilter {
        until: monotonic_ns() + LEASE.as_nanos() as u64,
        ssrc: request.ssrc.unwrap_or(0),
        port: request.port.map_or(0, u32::from),
        any_ssrc: u32::from(request.ssrc.is_none()),
        reserved: 0,
    }
}

/// Head and packet of a ring entry.
fn split(entry: &[u8]) -> Option<(CaptureHead, &[u8])> {
    let (head, bytes) = entry.split_at_checked(size_of::<CaptureHead>())?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let head = CaptureHead {
        time: u64::from_ne_bytes(head.get(..8)?.try_into().ok()?),
        ifindex: word(8)?,
        length: word(12)?,
        kept: word(16)?,
        outgoing: word(20)?,
    };
    Some((head, bytes.get(..(head.kept as usize).min(CAPTURE_SNAP))?))
}

/// The datagram with the headers it had on the wire, as far as a socket knows.
fn ip_packet(tapped: &Tapped) -> Option<Vec<u8>> {
    let (source, destination) = (tapped.source, tapped.destination);
    let mut bytes = Vec::with_capacity(tapped.payload.len() + 48);
    let builder = match (plain(source), plain(destination)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        // A copy to the other family: the socket's own address is unspecified.
        (_, IpAddr::V4(to)) => PacketBuilder::ipv4([0; 4], to.octets(), 64),
        (_, IpAddr::V6(to)) => PacketBuilder::ipv6([0; 16], to.octets(), 64),
    };
    builder.udp(source.port(), destination.port()).write(&mut bytes, &tapped.payload).ok()?;
    Some(bytes)
}

fn plain(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A pcap stream that is being written.
struct Output {
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    request: CaptureRequest,
    packets: u64,
    begun: Instant,
}

impl Output {
    fn new(sender: mpsc::Sender<io::Result<Vec<u8>>>, datalink: DataLink, request: CaptureRequest) -> Output {
        let output = Output { sender, request, packets: 0, begun: Instant::now() };
        let header = PcapHeader {
            snaplen: CAPTURE_SNAP as u32,
            datalink,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let mut bytes = Vec::new();
        if header.write_to(&mut bytes).is_ok() {
            let _ = output.sender.blocking_send(Ok(bytes));
        }
        output
    }

    fn finished(&self) -> bool {
        self.sender.is_closed()
            || self.request.count.is_some_and(|count| self.packets >= count)
            || self.request.seconds.is_some_and(|seconds| self.begun.elapsed().as_secs() >= seconds)
    }

    /// A reader that is too slow loses packets of the capture, never of the relay.
    fn packet(&mut self, time: Duration, length: usize, bytes: &[u8]) {
        let mut piece = Vec::with_capacity(bytes.len() + 16);
        let packet = PcapPacket::new(time, length as u32, bytes);
        let written =
            packet.write_to::<_, NativeEndian>(&mut piece, TsResolution::NanoSecond, CAPTURE_SNAP as u32);
        if written.is_ok() && self.sender.try_send(Ok(piece)).is_ok() {
            self.packets += 1;
        }
    }
}
