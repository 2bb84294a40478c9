//! What media costs a thread: viewers with keys, but without ICE and DTLS, on loopback, who count by sequence number.
//!
//!     cargo run --release -p seats --example media -- VIEWERS SECONDS gcm|cm heavy|light
//!
//! The figure is CPU time of the sending thread by a packet sent. On loopback that pays for the receiver's side of the kernel,
//! too. `heavy`: 187 packets/s and 1.4 Mbit/s, with a keyframe of 60 packets every two seconds; `light`: 80 packets/s, 300 kbit/s.

use std::error::Error;
use std::fs;
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use node::media::rtp::Header;
use node::media::{Codec, Kind, PerKind, Ssrc, VideoCodec};
use node::udp::{self, Versions};
use seats::send::Path;
use seats::srtp::{Keys, Profile};
use seats::worker::{Arrival, Workers};
use seats::{Config, Extensions, Inlet, Notice, Seat, StreamSpec, Taken};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Viewers that share a socket.
const TOGETHER: usize = 50;
/// Pictures a second.
const PICTURES: u32 = 30;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |n: usize, default: &'static str| arguments.get(n).map_or(default, |given| given);
    let (viewers, seconds) = (argument(0, "300").parse()?, argument(1, "10").parse()?);
    let profile = match argument(2, "gcm") {
        "cm" => Profile::Aes128Cm,
        _ => Profile::Aes128Gcm,
    };
    let heavy = argument(3, "heavy") == "heavy";
    run(viewers, Duration::from_secs(seconds), profile, heavy)
}

fn run(viewers: usize, time: Duration, profile: Profile, heavy: bool) -> Result<()> {
    let socket = udp::bind("127.0.0.1:0".parse()?, Versions::One)?;
    let config = Config {
        listen: socket.local_addr()?,
        advertise: Vec::new(),
        threads: NonZeroUsize::MIN,
        history: Duration::from_secs(1),
        keyframe_cache: Duration::from_secs(2),
    };
    let up = Arc::new(AtomicU64::new(0));
    let counting = up.clone();
    let notify = Arc::new(move |notice| {
        counting.fetch_add(u64::from(matches!(notice, Notice::Up(_))), Ordering::Relaxed);
    });
    let before = resident()?;
    let workers = Workers::start(&config, Arc::new(socket), notify)?;
    let streams = PerKind {
        audio: StreamSpec { ssrc: Ssrc(1), codec: Codec::Opus },
        video: StreamSpec { ssrc: Ssrc(2), codec: Codec::Video(VideoCodec::Vp8) },
    };
    let inlets = workers.open(1, streams);
    let end = Arc::new(AtomicBool::new(false));
    let mut receivers = Vec::new();
    for begin in (0..viewers).step_by(TOGETHER) {
        let socket = udp::bind("127.0.0.1:0".parse()?, Versions::One)?;
        let path = Path::Udp(socket.local_addr()?);
        for seat in begin..(begin + TOGETHER).min(viewers) {
            workers.sit(arrival(seat, profile, path.clone()));
        }
        receivers.push(socket);
    }
    while up.load(Ordering::Relaxed) < viewers as u64 {
        thread::sleep(Duration::from_millis(10));
    }
    let memory = resident()?.saturating_sub(before);
    let half = receivers.split_off(receivers.len() / 2);
    let counting = [receivers, half].map(|sockets| {
        let end = end.clone();
        thread::spawn(move || count(&sockets, 4 * viewers, &end))
    });
    let cpu = cpu_of("media-0")?;
    let began = Instant::now();
    publish(&inlets, time, heavy);
    // Figures are those of a second ago at most.
    thread::sleep(Duration::from_millis(1100));
    let cpu = cpu_of("media-0")? - cpu;
    end.store(true, Ordering::Relaxed);
    let mut seen = Seen::default();
    for thread in counting {
        let some = thread.join().map_err(|_| "a receiving thread panicked")?;
        seen = Seen {
            packets: seen.packets + some.packets,
            lost: seen.lost + some.lost,
            gap: seen.gap.max(some.gap),
        };
    }
    let sent: u64 = workers.figures().iter().map(|(_, figures)| figures.packets).sum();
    let elapsed = began.elapsed() - Duration::from_millis(1100);
    println!(
        "{viewers} viewers, {profile:?}, {}: {:.0} packets/s, {:.2} us a packet, {:.0} % of a core; {} lost of {}, longest gap {} ms; \
         {:.1} KiB a viewer; {sent} were sent; dropped {:?}",
        if heavy { "1.4 Mbit/s" } else { "300 kbit/s" },
        sent as f64 / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / sent as f64,
        100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64(),
        seen.lost,
        seen.packets + seen.lost,
        seen.gap.as_millis(),
        memory as f64 / 1024.0 / viewers as f64,
        workers.dropped().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
    );
    Ok(())
}

fn arrival(seat: usize, profile: Profile, path: Path) -> Arrival {
    let length = if profile == Profile::Aes128Cm { 30 } else { 28 };
    let key = |side: u8| (0..length).map(|n| n as u8 ^ seat as u8 ^ side).collect();
    let extensions = Extensions { mid: Some(4), transport_cc: None, abs_send_time: Some(3) };
    let taken = |mid: &str, payload_type, n: u32| Taken {
        mid: mid.into(),
        payload_type,
        rtx: Some(payload_type + 1),
        ssrc: seat as u32 * 4 + n,
        rtx_ssrc: seat as u32 * 4 + n + 1,
        extensions,
        nack: true,
        pli: true,
    };
    Arrival {
        seat: Seat(seat as u64),
        mountpoint: 1,
        media: PerKind { audio: Some(taken("0", 109, 0)), video: Some(taken("1", 120, 2)) },
        keys: Keys { profile, ours: key(1), theirs: key(2) },
        path,
        alive: Default::default(),
    }
}

/// Publishes in real time.
fn publish(inlets: &PerKind<Inlet>, time: Duration, heavy: bool) {
    let (size, in_picture, keyframe) = if heavy { (1150, 4, 60) } else { (1100, 1, 20) };
    let (begin, mut sequence) = (Instant::now(), PerKind { audio: 0u16, video: 0 });
    let mut push = |kind: Kind, timestamp: u32, marker: bool, payload: &[u8]| {
        sequence[kind] = sequence[kind].wrapping_add(1);
        let header = Header { payload_type: 96, sequence: sequence[kind], timestamp, ssrc: Ssrc(1) };
        let mut packet = [&header.bytes(), payload].concat();
        packet[1] |= u8::from(marker) << 7;
        inlets[kind].push(&packet);
    };
    let payload = |begins: bool, key: bool| {
        let mut payload = vec![0; size];
        payload[..7].copy_from_slice(&[u8::from(begins) << 4, u8::from(!key), 0, 0, 0x9d, 1, 0x2a]);
        payload
    };
    let (mut pictures, mut sounds) = (0u32, 0u32);
    while begin.elapsed() < time {
        let (picture_at, sound_at) =
            (Duration::from_secs(1) / PICTURES * pictures, Duration::from_millis(20) * sounds);
        let now = begin.elapsed();
        if now >= picture_at {
            let key = pictures.is_multiple_of(2 * PICTURES);
            let packets = if key { keyframe } else { in_picture };
            for n in 0..packets {
                push(Kind::Video, pictures * 90_000 / PICTURES, n + 1 == packets, &payload(n == 0, key));
            }
            pictures += 1;
        } else if now >= sound_at {
            push(Kind::Audio, sounds * 960, false, &[0; 160]);
            sounds += 1;
        } else {
            thread::sleep(picture_at.min(sound_at) - now);
        }
    }
}

#[derive(Default)]
struct Seen {
    packets: u64,
    lost: u64,
    gap: Duration,
}

/// Counts RTP by SSRC, of which there are so many, until it ends.
fn count(sockets: &[UdpSocket], ssrcs: usize, end: &AtomicBool) -> Seen {
    let (mut seen, mut streams) = (Seen::default(), vec![None; ssrcs]);
    let mut buffer = [0; 2048];
    while !end.load(Ordering::Relaxed) {
        let before = seen.packets;
        for socket in sockets {
            // No longer with one than with the others.
            for _ in 0..256 {
                let Ok(length) = socket.recv(&mut buffer) else { break };
                let Ok(header) = Header::read(&buffer[..length]) else { continue };
                let Some(stream) = streams.get_mut(header.ssrc.0 as usize) else { continue };
                let now = Instant::now();
                seen.packets += 1;
                if let Some((last, at)) = stream.replace((header.sequence, now)) {
                    seen.lost += u64::from(header.sequence.wrapping_sub(last).wrapping_sub(1));
                    seen.gap = seen.gap.max(now - at);
                }
            }
        }
        if seen.packets == before {
            thread::sleep(Duration::from_micros(500));
        }
    }
    seen
}

/// CPU time of a thread of this process, by its name.
fn cpu_of(name: &str) -> Result<Duration> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == name {
            // ns that it ran, to begin with.
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            let ran = schedstat.split_whitespace().next().ok_or("schedstat is empty")?;
            return Ok(Duration::from_nanos(ran.parse()?));
        }
    }
    Err(format!("no thread {name}").into())
}

/// Bytes of this process in memory.
fn resident() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("statm is empty")?.parse()?;
    Ok(pages * 4096)
}
