//! [`Uplink`]: RTP of an encoder to a WHIP server, and the server's wishes back: keyframes, and packets that were lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use node::media::rtp;
use str0m::Event;
use str0m::format::Codec;
use str0m::media::{Direction, Mid};
use str0m::rtp::RtpWrite;

use crate::session::{Numbers, Session, Terms};
use crate::watcher::locked;
use crate::wish::{Answer, Endpoint, Resource};

/// From the answer to a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest wait for a packet from the server, so that the end is noticed.
const TICK: Duration = Duration::from_millis(100);

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
}

enum Input {
    /// From the encoder, and when.
    Media(Kind, Vec<u8>, Instant),
    /// From the server.
    Packet(Vec<u8>, SocketAddr),
}

/// A publication. Dropping it ends it.
pub struct Uplink {
    inputs: Sender<Input>,
    state: Arc<State>,
    resource: Resource,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    connected: AtomicBool,
    over: AtomicBool,
    /// When the last report came, by the clock of [`crate::now_ms`]; 0 before the first.
    reported: AtomicU32,
    ended: Mutex<Option<String>>,
}

impl Uplink {
    /// Offers, and is connected; `keyframe` is called when the server wants one.
    pub fn connect(endpoint: &Endpoint, codec: Codec, keyframe: impl Fn() + Send + 'static) -> Result<Self> {
        str0m::crypto::from_feature_flags().install_process_default();
        let terms = Terms {
            video: vec![codec],
            numbers: Numbers::Tree,
            repairs: true,
            direction: Direction::SendOnly,
        };
        let (mut session, socket, offer) = Session::offer(endpoint.address()?, &terms)?;
        let mids = offer.mids;
        let (answer, resource) = match endpoint.offer(&offer.sdp, None)? {
            Answer::Created(answer, resource) => (answer, resource),
            Answer::Refused(status, why) => bail!("the offer is answered {status}: {why}"),
        };
        let (inputs, taken) = channel();
        let state = Arc::<State>::default();
        let mut uplink = Self { inputs, state, resource, threads: Vec::new() };
        session.accept(offer, &answer)?;
        uplink.run(session, socket, mids, taken, keyframe)?;
        let deadline = Instant::now() + PATIENCE;
        while !uplink.state.connected.load(Relaxed) {
            if let Some(why) = uplink.ended() {
                bail!(why);
            }
            ensure!(Instant::now() < deadline && !crate::stopped(), "no connection within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(uplink)
    }

    /// Takes RTP, as long as it lives.
    pub fn intake(&self, kind: Kind) -> impl Fn(&[u8]) + Send + use<> {
        let inputs = self.inputs.clone();
        // Nobody takes it any more when the uplink has ended, which is said elsewhere.
        move |packet| drop(inputs.send(Input::Media(kind, packet.to_vec(), Instant::now())))
    }

    /// How long nobody has reported (RFC 3550 section 6); `None` before the first report. A server that is gone does not.
    pub fn silent_for(&self) -> Option<Duration> {
        let last = self.state.reported.load(Relaxed);
        (last != 0).then(|| Duration::from_millis(crate::now_ms().wrapping_sub(last).into()))
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<String> {
        locked(&self.state.ended).clone()
    }

    fn run(
        &mut self,
        session: Session,
        socket: UdpSocket,
        mids: [Mid; 2],
        inputs: Receiver<Input>,
        keyframe: impl Fn() + Send + 'static,
    ) -> Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(TICK))?;
        let (heard, state, packets) = (socket.try_clone()?, self.state.clone(), self.inputs.clone());
        self.threads.push(thread::spawn(move || {
            let mut packet = [0; 2000];
            while !state.over.load(Relaxed) {
                if let Ok((length, source)) = heard.recv_from(&mut packet) {
                    // RFC 5761 section 4.
                    if length > 1 && (128..192).contains(&packet[0]) && (192..224).contains(&packet[1]) {
                        state.reported.store(crate::now_ms().max(1), Relaxed);
                    }
                    let _ = packets.send(Input::Packet(packet[..length].to_vec(), source));
                }
            }
        }));
        let state = self.state.clone();
        let sender = Line { session, socket, mids, sequences: [None; 2], state: state.clone(), keyframe };
        self.threads.push(thread::spawn(move || {
            if let Err(error) = sender.run(&inputs) {
                locked(&state.ended).get_or_insert(format!("{error:#}"));
            }
        }));
        Ok(())
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        // A server that is gone has nothing to end.
        let _ = self.resource.delete();
        self.state.over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Line<K> {
    session: Session,
    socket: UdpSocket,
    mids: [Mid; 2],
    /// Of the newest packet of each kind, without wraps.
    sequences: [Option<u64>; 2],
    state: Arc<State>,
    keyframe: K,
}

impl<K: Fn()> Line<K> {
    fn run(mut self, inputs: &Receiver<Input>) -> Result<()> {
        let mut due = Instant::now();
        while !self.state.over.load(Relaxed) {
            let wait = due.saturating_duration_since(Instant::now()).min(TICK);
            match inputs.recv_timeout(wait) {
                Ok(Input::Media(kind, packet, at)) => self.send(kind, &packet, at),
                Ok(Input::Packet(packet, source)) => self.session.take(Some((&packet, source)))?,
                Err(RecvTimeoutError::Timeout) => self.session.take(None)?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            due = self.poll()?;
            ensure!(self.session.rtc.is_alive(), "the server has ended the publication");
        }
        self.session.rtc.close()?;
        self.poll().map(drop)
    }

    fn poll(&mut self) -> Result<Instant> {
        let Self { session, socket, state, keyframe, .. } = self;
        session.poll(socket, |event| match event {
            Event::Connected => state.connected.store(true, Relaxed),
            Event::KeyframeRequest(_) => keyframe(),
            _ => {}
        })
    }

    /// What the encoder numbers is numbered so on the way; what is no RTP is not sent.
    fn send(&mut self, kind: Kind, packet: &[u8], at: Instant) {
        let (Ok(header), Some(payload)) = (rtp::Header::read(packet), rtp::payload(packet)) else { return };
        let index = kind as usize;
        let sequence = match self.sequences[index] {
            Some(last) => {
                last.wrapping_add_signed(header.sequence.wrapping_sub(last as u16).cast_signed().into())
            }
            None => header.sequence.into(),
        };
        self.sequences[index] = self.sequences[index].max(Some(sequence));
        let write = RtpWrite::new(header.payload_type.into(), sequence.into(), header.timestamp, at, payload)
            .marker(packet[1] & 0x80 != 0)
            .nackable(kind == Kind::Video);
        if let Some(stream) = self.session.rtc.direct_api().stream_tx_by_mid(self.mids[index], None) {
            stream.write_rtp(write);
        }
    }
}
