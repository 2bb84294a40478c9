//! [`Watcher`]: one viewer, from its offer to what it has seen.
//!
//! By default it is light: once it has opened a picture's packets, which shows that keys and media are right, it reads headers only
//! and counts by sequence numbers. That is what lets one core bear a thousand of them. A thorough one opens everything, asks for
//! what is missing (NACK, RFC 4585) and takes it from retransmissions (RFC 4588).

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, Mid};
use str0m::rtp::RtpPacket;

use crate::keyframe;
use crate::session::{Numbers, Session, Terms};
use crate::socket::{self, Batch};
use crate::tally::Tally;
use crate::wish::{Answer, Endpoint, Resource};

/// A light viewer waits so long for a whole keyframe before it no longer opens packets.
const OPENS_FOR: Duration = Duration::from_secs(3);
/// How often a light viewer does what is to be done without a packet: reports, and checks of its path.
const PULSE: Duration = Duration::from_millis(250);

/// How somebody watches.
#[derive(Clone, Debug)]
pub struct Manner {
    /// By which payload types.
    pub numbers: Numbers,
    /// Open every packet and not only the first ones.
    pub thorough: bool,
    /// Ask for what is missing.
    pub repairs: bool,
    /// Share of packets that this viewer drops as if they had been lost on the way, 0 to 1.
    pub loss: f64,
}

/// What a viewer has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub video: Tally,
    pub audio: Tally,
    /// When its offer went.
    pub offered: Option<Instant>,
    /// When its answer came.
    pub answered: Option<Instant>,
    /// The first packet of video that could be opened.
    pub first_packet: Option<Instant>,
    /// The end of the first keyframe.
    pub picture: Option<Instant>,
    /// Packets that this machine had no room for: no loss of the server's.
    pub dropped_here: u64,
    /// What ended it.
    pub ended: Option<String>,
}

impl Seen {
    /// This, and then that at another server.
    pub fn then(self, next: Seen) -> Seen {
        Seen {
            video: self.video.then(next.video),
            audio: self.audio.then(next.audio),
            dropped_here: self.dropped_here + next.dropped_here,
            offered: self.offered.or(next.offered),
            answered: self.answered.or(next.answered),
            first_packet: self.first_packet.or(next.first_packet),
            picture: self.picture.or(next.picture),
            // Why the one before ended is no matter.
            ended: next.ended,
        }
    }
}

/// Shared with who reports.
pub type Shared = Arc<Mutex<Seen>>;

/// Never poisoned for long: what is in it is whole after every statement.
pub fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who wants the packets themselves.
pub trait Audience: Send {
    /// A packet, as it came: perhaps late, perhaps with others missing before it.
    fn packet(&mut self, codec: Codec, packet: &RtpPacket);
    /// True when a keyframe is to be asked for, once each time.
    fn wants_keyframe(&mut self) -> bool;
}

pub struct Watcher {
    pub socket: UdpSocket,
    /// When [`Watcher::tick`] is due.
    pub due: Instant,
    core: Core,
}

/// What joining has come to.
pub enum Joined {
    Seated(Box<Watcher>, Resource),
    /// Status, and what was said.
    Refused(u16, String),
}

/// All but the socket.
struct Core {
    session: Session,
    manner: Manner,
    video: Mid,
    seen: Shared,
    audience: Option<Box<dyn Audience>>,
    /// Timestamp of the keyframe that has begun.
    keyframe: Option<u32>,
    light: bool,
    /// State of a generator of random numbers.
    dice: u64,
}

impl Watcher {
    /// Offers, and has the answer; `number` makes its losses others than those of the next.
    pub fn join(
        endpoint: &Endpoint,
        on_behalf_of: Option<&str>,
        manner: Manner,
        number: u64,
        seen: Shared,
        audience: Option<Box<dyn Audience>>,
    ) -> Result<Joined> {
        let terms = Terms {
            video: vec![Codec::Vp8, Codec::H264],
            numbers: manner.numbers,
            repairs: manner.repairs,
            direction: Direction::RecvOnly,
        };
        let (mut session, socket, offer) = Session::offer(endpoint.address()?, &terms)?;
        let [_, video] = offer.mids;
        locked(&seen).offered = Some(Instant::now());
        let (answer, resource) = match endpoint.offer(&offer.sdp, on_behalf_of)? {
            Answer::Created(answer, resource) => (answer, resource),
            Answer::Refused(status, why) => return Ok(Joined::Refused(status, why)),
        };
        locked(&seen).answered = Some(Instant::now());
        session.accept(offer, &answer)?;
        let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let core = Core { session, manner, video, seen, audience, keyframe: None, light: false, dice };
        Ok(Joined::Seated(Box::new(Self { socket, due: Instant::now(), core }), resource))
    }

    /// One that is light and without a connection, for measuring.
    #[cfg(test)]
    pub fn light() -> Self {
        let terms = Terms {
            video: vec![Codec::Vp8],
            numbers: Numbers::Tree,
            repairs: true,
            direction: Direction::RecvOnly,
        };
        let (session, socket, offer) = Session::offer(([127, 0, 0, 1], 9).into(), &terms).unwrap();
        let manner = Manner { numbers: Numbers::Tree, thorough: false, repairs: true, loss: 0.0 };
        let [_, video] = offer.mids;
        let seen = Shared::default();
        let core =
            Core { session, manner, video, seen, audience: None, keyframe: None, light: true, dice: 1 };
        Self { socket, due: Instant::now(), core }
    }

    /// Takes all packets that are there.
    pub fn read(&mut self, batch: &mut Batch) -> Result<()> {
        let Self { socket, due, core } = self;
        let mut result = Ok(());
        loop {
            let more = batch.receive(socket, |packet, source, at| {
                if result.is_ok() {
                    result = core.packet(socket, packet, source, at, due);
                }
            })?;
            if !more || result.is_err() {
                return result;
            }
        }
    }

    /// Does what is due without a packet.
    pub fn tick(&mut self) -> Result<()> {
        self.core.session.take(None)?;
        self.due = self.core.poll(&self.socket, socket::now())?;
        ensure!(self.core.session.rtc.is_alive(), "the server has ended the connection");
        Ok(())
    }

    /// What it shares with who reports.
    pub fn seen(&self) -> &Shared {
        &self.core.seen
    }

    /// Says goodbye on the media path: BYE and close_notify.
    pub fn close(&mut self) {
        // It is as good as gone if that fails.
        if self.core.session.rtc.close().is_ok() {
            let _ = self.core.session.poll(&self.socket, |_| {});
        }
    }
}

impl Core {
    fn packet(
        &mut self,
        socket: &UdpSocket,
        packet: &[u8],
        source: SocketAddr,
        at: u64,
        due: &mut Instant,
    ) -> Result<()> {
        if is_rtp(packet) {
            if self.is_lost() {
                return Ok(());
            }
            if !self.manner.thorough {
                self.count(packet, at);
            }
            if self.light {
                return Ok(());
            }
        }
        self.session.take(Some((packet, source)))?;
        *due = self.poll(socket, at)?;
        Ok(())
    }

    fn count(&mut self, packet: &[u8], at: u64) {
        let Some(codec) = self.manner.numbers.codec(packet[1] & 0x7f) else { return };
        let mut seen = locked(&self.seen);
        if codec.is_video() { &mut seen.video } else { &mut seen.audio }.count(packet, at);
    }

    /// Sends what there is to send, notes what has happened until `at`, and says when to come again.
    fn poll(&mut self, socket: &UdpSocket, at: u64) -> Result<Instant> {
        let Self { session, manner, seen, audience, keyframe, light, .. } = self;
        let due = session.poll(socket, |event| {
            let Event::RtpPacket(packet) = event else { return };
            let Some(codec) = manner.numbers.codec(*packet.header.payload_type) else { return };
            if let Some(audience) = audience {
                audience.packet(codec, &packet);
            }
            let mut seen = locked(seen);
            if manner.thorough {
                let tally = if codec.is_video() { &mut seen.video } else { &mut seen.audio };
                let length = packet.header.header_len + packet.payload.len();
                tally.add(*packet.seq_no as u16, *packet.header.ssrc, length, at);
            }
            if codec.is_video() {
                seen.first_packet.get_or_insert_with(Instant::now);
                if keyframe::begins(codec, &packet.payload) {
                    keyframe.get_or_insert(packet.header.timestamp);
                }
                if packet.header.marker && *keyframe == Some(packet.header.timestamp) {
                    seen.picture.get_or_insert_with(Instant::now);
                }
            }
        })?;
        if !manner.thorough && !*light {
            let seen = locked(seen);
            *light =
                seen.picture.is_some() || seen.first_packet.is_some_and(|first| first.elapsed() > OPENS_FOR);
        }
        if audience.as_mut().is_some_and(|audience| audience.wants_keyframe())
            && let Some(stream) = session.rtc.direct_api().stream_rx_by_mid(self.video, None)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            return session.poll(socket, |_| {});
        }
        Ok(if *light { due.max(Instant::now() + PULSE) } else { due })
    }

    /// True for as many of those who ask as are to be lost.
    fn is_lost(&mut self) -> bool {
        if self.manner.loss <= 0.0 {
            return false;
        }
        // xorshift64.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 11) as f64 / (1_u64 << 53) as f64) < self.manner.loss
    }
}

/// RFC 7983, and RFC 5761 section 4 for what is RTCP.
fn is_rtp(packet: &[u8]) -> bool {
    packet.len() > 1 && (128..=191).contains(&packet[0]) && !(192..=223).contains(&packet[1])
}
