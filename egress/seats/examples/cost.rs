//! What a packet to a viewer costs in sealing and sending, in ns of this thread's processor time, and what a viewer's keys take in
//! memory. All within this machine: what a card does by itself, the kernel does here, receivers' side included.
//!
//!     cargo run --release -p seats --example cost

use std::convert::Infallible;
use std::error::Error;
use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use seats::Seat;
use seats::rtcp::{self, Ntp, SenderReport};
use seats::send::{Batch, Path};
use seats::srtp::{Keys, Opener, Profile, Sealer};

/// Viewers.
const VIEWERS: usize = 1000;
/// Bytes of payload: of full packets of video, and of what VP8 at 1.4 Mbit/s has on average.
const PAYLOADS: [usize; 2] = [1172, 930];
/// Packets of a frame to one viewer.
const FRAME: usize = 4;
/// Rounds of a frame to every viewer.
const ROUNDS: usize = 60;
/// An RTP header with transport-wide number and identification.
const HEADER: [u8; 24] =
    [0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0xbe, 0xde, 0, 2, 0x31, 0, 0, 0x40, 0x30, 0, 0, 0];

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128Cm] {
        sealing(profile)?;
    }
    memory()?;
    reports()?;
    for (name, frame, one_call) in [
        ("one packet a call", 1, false),
        ("sendmmsg", 1, true),
        ("sendmmsg, frames of 4 as one message", FRAME, true),
    ] {
        sending(name, frame, one_call)?;
    }
    Ok(())
}

/// ns of this thread since it began.
fn processor() -> Fallible<i64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    Ok(usage.user_time().num_nanoseconds() + usage.system_time().num_nanoseconds())
}

fn print(what: &str, since: i64, packets: usize) -> Fallible<()> {
    println!("{what:<50} {:>6} ns a packet", (processor()? - since) / packets as i64);
    Ok(())
}

fn keys(profile: Profile, viewer: usize) -> Fallible<Keys> {
    let material: Vec<u8> = (0..profile.keying_material()).map(|at| (at * 7 + viewer) as u8).collect();
    Ok(Keys::from_dtls(profile, &material, false)?)
}

/// Every packet by another viewer's keys, as in a round.
fn sealing(profile: Profile) -> Fallible<()> {
    let sealers: Result<Vec<_>, _> =
        (0..VIEWERS).map(|viewer| Ok(Sealer::new(&keys(profile, viewer)?)?)).collect();
    let mut sealers = sealers.map_err(|error: Box<dyn Error>| error)?;
    for length in PAYLOADS {
        let payload = vec![7; length];
        let mut out = vec![0; HEADER.len() + length + profile.rtp_overhead()];
        let mut header = HEADER;
        let begin = processor()?;
        for round in 0..ROUNDS {
            header[2..4].copy_from_slice(&(round as u16).to_be_bytes());
            for sealer in &mut sealers {
                sealer.rtp(0, &header, &[&payload], black_box(&mut out))?;
            }
        }
        print(&format!("seal {profile:?}, {length} bytes"), begin, ROUNDS * VIEWERS)?;
    }
    Ok(())
}

/// Of one viewer: all keys, both ways.
fn memory() -> Fallible<()> {
    for profile in [Profile::Aes128Gcm, Profile::Aes128Cm] {
        let before = allocated();
        let all: Result<Vec<_>, Box<dyn Error>> = (0..VIEWERS)
            .map(|viewer| {
                let keys = keys(profile, viewer)?;
                Ok((Sealer::new(&keys)?, Opener::new(&keys)?))
            })
            .collect();
        let all = all?;
        println!(
            "{:<50} {:>6} bytes",
            format!("keys of a viewer, {profile:?}"),
            (allocated() - before) / VIEWERS
        );
        drop(all);
    }
    Ok(())
}

/// Bytes of memory in use, OpenSSL's included.
fn allocated() -> usize {
    // SAFETY: it has no conditions.
    let now = unsafe { libc::mallinfo2() };
    now.uordblks + now.hblkhd
}

/// A viewer's reports: once a second and stream, and what it says.
fn reports() -> Fallible<()> {
    let profile = Profile::Aes128Gcm;
    let keys = keys(profile, 0)?;
    let (mut sealer, mut opener) = (Sealer::new(&keys)?, Opener::new(&keys.turned())?);
    let mut packet = Vec::new();
    let begin = processor()?;
    for round in 0..100_000 {
        packet.clear();
        SenderReport { ssrc: 8, ntp: Ntp(round), timestamp: 0, packets: 0, bytes: 0 }
            .write("media-tree", &mut packet);
        let mut out = [0; 128];
        let out = &mut out[..packet.len() + profile.rtcp_overhead()];
        sealer.rtcp(&packet, out)?;
        black_box(out);
    }
    print("write and seal a sender report", begin, 100_000)?;
    let report = [&[0x81, 201, 0, 7][..], &[0; 28], &[0x81, 205, 0, 3], &[0; 12]].concat();
    let mut sealed = vec![vec![0; report.len() + profile.rtcp_overhead()]; 100_000];
    for out in &mut sealed {
        sealer.rtcp(&report, out)?;
    }
    let begin = processor()?;
    for packet in &mut sealed {
        let opened = opener.rtcp(packet).map_err(|rejected| rejected.name())?;
        rtcp::read(opened, |said| {
            black_box(said);
        })?;
    }
    print("open and read a receiver report with a NACK", begin, 100_000)
}

fn sending(name: &str, frame: usize, one_call: bool) -> Fallible<()> {
    let viewers: Result<Vec<_>, _> = (0..VIEWERS)
        .map(|_| {
            let viewer = UdpSocket::bind("127.0.0.1:0")?;
            // Nobody reads: what comes after the first few packets is dropped where it would be put into the socket.
            nix::sys::socket::setsockopt(&viewer, nix::sys::socket::sockopt::RcvBuf, &0)?;
            Ok::<_, Box<dyn Error>>((viewer.local_addr()?, viewer))
        })
        .collect();
    let viewers = viewers?;
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
    let packet = vec![7; HEADER.len() + PAYLOADS[1] + Profile::Aes128Gcm.rtp_overhead()];
    let mut batch = Batch::new(socket.clone())?;
    let mut send = |seat: usize, to: SocketAddr| -> Fallible<()> {
        if !one_call {
            socket.send_to(&packet, to)?;
            return Ok(());
        }
        batch.push(Seat(seat as u64), &Path::Udp(to), packet.len(), |room| {
            room.copy_from_slice(&packet);
            Ok::<_, Infallible>(())
        })?;
        Ok(())
    };
    let begin = processor()?;
    for _ in 0..ROUNDS {
        for _ in 0..FRAME / frame {
            for (seat, (to, _)) in viewers.iter().enumerate() {
                (0..frame).try_for_each(|_| send(seat, *to))?;
            }
        }
    }
    batch.flush();
    print(&format!("send: {name}"), begin, ROUNDS * FRAME * VIEWERS)?;
    let counts = batch.counts();
    assert_eq!(counts.packets, if one_call { (ROUNDS * FRAME * VIEWERS) as u64 } else { 0 });
    Ok(())
}
