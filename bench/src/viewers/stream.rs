//! [`Stream`]: what is watched, RTP of VP8 and Opus as a relay delivers it, without an encoder. [`Broadcast`] sends it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::Lab;
use node::media::{Codec, VideoCodec};

/// SSRCs of audio and video.
pub const SSRCS: [u32; 2] = [7777, 8888];
/// Bytes of an RTP header.
const HEADER: usize = 12;
/// Pictures a second, and from one keyframe to the next.
const RATE: u32 = 30;
const GOP: u32 = 60;
/// From one packet of sound to the next.
const SOUND: Duration = Duration::from_millis(20);

/// One of two: see `docs/capacity.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub name: &'static str,
    /// Bytes of a packet, RTP header included: of sound, of pictures.
    lengths: [usize; 2],
    /// Packets of a keyframe, and of all [`GOP`] pictures together.
    keyframe: u32,
    of_gop: u32,
}

/// As LiveKit's published benchmark: 187 packets/s, 1.4 Mbit/s.
pub const FULL: Stream = Stream { name: "full", lengths: [160, 1200], keyframe: 20, of_gop: 274 };
/// 80 packets/s, 300 kbit/s: every picture is one packet.
pub const LIGHT: Stream = Stream { name: "light", lengths: [150, 1000], keyframe: 1, of_gop: 60 };

impl Stream {
    /// Packets a second, sound included.
    pub fn packets_a_second(&self) -> f64 {
        1.0 / SOUND.as_secs_f64() + f64::from(self.of_gop * RATE) / f64::from(GOP)
    }

    /// Bits a second of RTP.
    pub fn bits_a_second(&self) -> f64 {
        let [sound, picture] = self.lengths.map(|length| length as f64 * 8.0);
        sound / SOUND.as_secs_f64() + picture * f64::from(self.of_gop * RATE) / f64::from(GOP)
    }

    /// Packets of the picture of that number.
    fn packets(&self, picture: u32) -> u32 {
        let place = picture % GOP;
        if place == 0 {
            return self.keyframe;
        }
        // Spread as evenly as whole packets allow.
        let up_to = |place: u32| (self.of_gop - self.keyframe) * place / (GOP - 1);
        up_to(place) - up_to(place - 1)
    }
}

/// A running stream. It ends when this is dropped.
pub struct Broadcast {
    over: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Broadcast {
    /// Begins, from a namespace; audio and video go to different ports.
    pub fn start(lab: &Lab, ns: &str, stream: Stream, to: [SocketAddr; 2]) -> Result<Self> {
        let socket = lab.in_namespace(ns, || UdpSocket::bind("0.0.0.0:0"))?.context("a socket")?;
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let worker = std::thread::Builder::new().name("broadcast".to_owned()).spawn(move || {
            // Late is what is measured elsewhere: this is to keep its time.
            crate::machine::prefer(0);
            send(&socket, stream, to, &stop);
        })?;
        Ok(Self { over, worker: Some(worker) })
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn send(socket: &UdpSocket, stream: Stream, to: [SocketAddr; 2], over: &AtomicBool) {
    let began = Instant::now();
    let (mut sounds, mut pictures, mut sequence) = (0_u32, 0_u32, 0_u16);
    while !over.load(Relaxed) {
        let sound_at = SOUND * sounds;
        let picture_at = Duration::from_secs(1) * pictures / RATE;
        std::thread::sleep((began + sound_at.min(picture_at)).saturating_duration_since(Instant::now()));
        // An error is one of ICMP, of a server that is not there yet or not any more.
        if sound_at <= picture_at {
            let packet =
                packet(stream.lengths[0], Codec::Opus.payload_type(), sounds as u16, sounds * 960, SSRCS[0]);
            let _ = socket.send_to(&packet, to[0]);
            sounds += 1;
            continue;
        }
        let packets = stream.packets(pictures);
        for place in 0..packets {
            let _ = socket.send_to(&video(&stream, pictures, place, packets, sequence), to[1]);
            sequence = sequence.wrapping_add(1);
        }
        pictures += 1;
    }
}

/// A packet of a picture (RFC 7741): a whole VP8 frame by its descriptors and frame header, noise in between.
fn video(stream: &Stream, picture: u32, place: u32, of: u32, sequence: u16) -> Vec<u8> {
    const TIME_STEP: u32 = 90_000 / RATE;
    let payload_type = VideoCodec::Vp8.payload_type();
    let mut packet =
        packet(stream.lengths[1], payload_type, sequence, picture.wrapping_mul(TIME_STEP), SSRCS[1]);
    if place + 1 == of {
        packet[1] |= 0x80;
    }
    if place == 0 {
        let is_keyframe = picture.is_multiple_of(GOP);
        // S: a partition begins. Then the frame's tag: bit 0 clear is a keyframe, which has a start code and its size.
        packet[HEADER] = 0x10;
        packet[HEADER + 1] = if is_keyframe { 0x10 } else { 0x11 };
        if is_keyframe {
            packet[HEADER + 4..HEADER + 11].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
    } else {
        packet[HEADER] = 0;
    }
    packet
}

fn packet(length: usize, payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x5a; length];
    packet[0] = 0x80;
    packet[1] = payload_type;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_are_those_of_the_table() {
        for (stream, packets, kilobits) in [(FULL, 187.0, 1_380.0), (LIGHT, 80.0, 300.0)] {
            assert_eq!(stream.packets_a_second(), packets);
            assert!((stream.bits_a_second() / 1e3 - kilobits).abs() < 10.0, "{}", stream.bits_a_second());
            assert_eq!((0..GOP).map(|picture| stream.packets(picture)).sum::<u32>(), stream.of_gop);
            let others: Vec<u32> = (1..GOP).map(|picture| stream.packets(GOP + picture)).collect();
            assert!(others.iter().max().unwrap() - others.iter().min().unwrap() <= 1, "{others:?}");
        }
    }

    #[test]
    fn a_keyframe_is_one_to_every_reader() {
        let first = video(&FULL, 0, 0, 20, 7);
        assert_eq!((first[1], first[HEADER], first[HEADER + 1] & 1, first.len()), (96, 0x10, 0, 1200));
        let (last, other) = (video(&FULL, 0, 19, 20, 26), video(&FULL, 1, 0, 4, 27));
        assert_eq!((last[1], last[HEADER]), (0x80 | 96, 0));
        assert_eq!((other[1], other[HEADER], other[HEADER + 1] & 1), (96, 0x10, 1));
    }
}
