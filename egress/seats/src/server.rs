//! [`Server`]: all of it together.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use node::media::{Codec, PerKind, Ssrc};

use crate::door::{self, Door, House, Identity, Pool};
use crate::peer::{Credentials, Fingerprint, Peer, Seat};
use crate::vital;
use crate::worker::{Inlet, Notify, Workers};

/// Handshake threads at most: they are not what a server's cores are for.
const HANDSHAKE_THREADS_MOST: usize = 2;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where viewers' packets come in: UDP, and TCP on the same number.
    pub listen: SocketAddr,
    /// Addresses that viewers are told of, where they differ from those of the machine (1:1 NAT).
    pub advertise: Vec<IpAddr>,
    /// Threads that send media.
    pub threads: NonZeroUsize,
    /// How long packets are kept for who asks again.
    pub history: Duration,
    /// A newcomer gets the last keyframe and what followed at once if it is younger than this; zero: never.
    pub keyframe_cache: Duration,
}

/// A seat that waits for its viewer.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Which.
    pub seat: Seat,
    /// Our side's ICE credentials for it.
    pub ice: Credentials,
}

/// What happens to seats and mountpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Media flows.
    Up(Seat),
    /// The first packet of the picture has been sent, or of the sound where there is no picture.
    Shown(Seat),
    /// It is free again. Why, for the log.
    Gone(Seat, String),
    /// Viewers of a mountpoint need a keyframe that is not kept.
    KeyframeWanted(u64),
}

/// Why there is no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such mountpoint.
    #[error("there is no mountpoint {0}")]
    NoMountpoint(u64),
    /// There is no such seat, or not any more.
    #[error("there is no such viewer")]
    NoSeat,
    /// Too many are about to connect.
    #[error("{0} viewers are about to connect, and no more may be")]
    TooManyJoining(usize),
}

/// One stream of a mountpoint, as the tree carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// SSRC in the tree.
    pub ssrc: Ssrc,
    /// What it is coded with.
    pub codec: Codec,
}

/// What is known of a viewer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Packets and bytes sent, retransmissions included.
    pub packets: u64,
    /// See [`Figures::packets`].
    pub bytes: u64,
    /// Packets sent again because it asked.
    pub resent: u64,
    /// Packets that it asked for and that were not to be had any more.
    pub unanswered: u64,
    /// Packets that it lost by its own reports, before retransmission.
    pub lost: u64,
    /// Packets that could not be sent to it: its connection was full.
    pub dropped: u64,
    /// Round trip by its reports.
    pub rtt: Option<Duration>,
    /// Jitter of video by its reports.
    pub jitter: Option<Duration>,
    /// What its side says it can take: bit/s.
    pub estimate: Option<u64>,
}

/// Serves viewers.
pub struct Server {
    house: Arc<House>,
    identity: Arc<Identity>,
    config: Config,
    bound: SocketAddr,
    stop: EventFd,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Binds the media port and starts all threads. `notify` is called from these; it must not wait, nor call the server.
    pub fn start(config: Config, notify: impl Fn(Notice) + Send + Sync + 'static) -> Result<Server, String> {
        let listen = config.listen;
        let (udp, tcp) =
            door::bind(listen).map_err(|error| format!("the media port cannot be had: {error}"))?;
        let failed = |error: &dyn std::fmt::Display| format!("viewers cannot be served: {error}");
        let bound = udp.local_addr().map_err(|e| failed(&e))?;
        let identity = Arc::new(Identity::new().map_err(|e| failed(&e))?);
        let stop = EventFd::new().map_err(|e| failed(&e))?;
        let udp = Arc::new(udp);
        let notify: Notify = Arc::new(notify);
        let risen = Arc::new(Mutex::new(Vec::new()));
        let workers = Workers::start(&config, udp.clone(), watch(notify.clone(), risen.clone()))?;
        let (pool, shakers) = Pool::new(config.threads.get().min(HANDSHAKE_THREADS_MOST));
        let house = Arc::new(House::new(workers, risen, pool, udp.clone(), notify));
        let mut server = Server {
            house: house.clone(),
            identity: identity.clone(),
            config,
            bound,
            stop,
            threads: Vec::new(),
        };
        let door = Door::new(house.clone(), udp, tcp, &server.stop).map_err(|e| failed(&e))?;
        for (shaker, number) in shakers.into_iter().zip(0..) {
            let thread = shaker.spawn(number, identity.clone(), house.clone());
            server.threads.push(thread.map_err(|e| failed(&e))?);
        }
        let thread = std::thread::Builder::new().name("media-port".to_owned());
        let thread = thread.spawn(|| vital::work(|| door.run()));
        server.threads.push(thread.map_err(|e| failed(&e))?);
        Ok(server)
    }

    /// Our certificate's hash, for descriptions.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.identity.fingerprint
    }

    /// Our candidates, as the values of `a=candidate` lines without `candidate:`: UDP and TCP (passive), on all addresses that the
    /// machine has now. We are an ICE-lite agent (`a=ice-lite`).
    pub fn candidates(&self) -> Vec<String> {
        door::candidates(self.bound, &self.config.advertise, &node::addresses::own())
    }

    /// Where viewers' packets come in: [`Config::listen`] with the port that it is.
    pub fn media_port(&self) -> SocketAddr {
        self.bound
    }

    /// A mountpoint begins. Gives where its streams are put in.
    pub fn open(&self, mountpoint: u64, streams: PerKind<StreamSpec>) -> PerKind<Inlet> {
        // Who sits there sat at another that had the same number.
        self.close(mountpoint);
        self.house.workers.open(mountpoint, streams)
    }

    /// It ends; its viewers are gone with it (each is told of by [`Notice::Gone`]).
    pub fn close(&self, mountpoint: u64) {
        // In this order, so that nobody is invited to it after its seats were taken away.
        self.house.workers.close(mountpoint);
        self.house.act(|hall| hall.close(mountpoint));
    }

    /// Sets a seat aside for somebody who is about to be described to. It is kept for a minute, or until [`Server::leave`].
    pub fn invite(&self, mountpoint: u64) -> Result<Invitation, Refusal> {
        let mut hall = self.house.hall();
        if !self.house.workers.knows(mountpoint) {
            return Err(Refusal::NoMountpoint(mountpoint));
        }
        hall.invite(mountpoint, Instant::now())
    }

    /// The player has described itself: it may come in from now on, for as long as `within`.
    pub fn admit(&self, seat: Seat, peer: Peer, within: Duration) -> Result<(), Refusal> {
        self.house.with(|hall| match hall.admit(seat, peer, within, Instant::now()) {
            Ok(effects) => (Ok(()), effects),
            Err(refusal) => (Err(refusal), Vec::new()),
        })
    }

    /// A player restarts ICE (RFC 9725 section 4.3.2): new credentials of both sides, media goes on meanwhile.
    pub fn restart(&self, seat: Seat, theirs: Credentials) -> Result<Credentials, Refusal> {
        self.house.hall().restart(seat, theirs)
    }

    /// It leaves. No notice follows.
    pub fn leave(&self, seat: Seat) {
        self.house.act(|hall| hall.leave(seat));
    }

    /// What is known of all that are up.
    pub fn figures(&self) -> Vec<(Seat, Figures)> {
        self.house.workers.figures()
    }

    /// What was dropped, by reason; never falls.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        let mut dropped = self.house.dropped();
        dropped.extend(self.house.workers.dropped());
        dropped
    }
}

impl Drop for Server {
    /// Says goodbye to all viewers.
    fn drop(&mut self) {
        self.house.pool.end();
        // Only a counter that is full could refuse, and then there is something to read.
        let _ = self.stop.write(1);
        for thread in self.threads.drain(..) {
            // Its panic was told of when it happened.
            let _ = thread.join();
        }
    }
}

/// Notices of the workers: the door hears who has no seat any more, and all go on to the egress.
fn watch(notify: Notify, risen: Arc<Mutex<Vec<Seat>>>) -> Notify {
    Arc::new(move |notice| {
        if let Notice::Gone(seat, _) = notice {
            risen.lock().unwrap_or_else(PoisonError::into_inner).push(seat);
        }
        notify(notice);
    })
}
