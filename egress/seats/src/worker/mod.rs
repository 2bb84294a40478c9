//! Threads that send media. Each viewer sits with one of them, and all that is a viewer's is that thread's alone.
//!
//! - [`Workers`]: what the rest asks of them; [`Inlet`]: where media is put in.
//! - [`message`]: how it comes to a thread, and how much may wait; [`thread`]: the thread; [`mountpoint`], [`sitting`]: what it has.
//! - [`wishes`]: keyframes that are wanted; [`reasons`]: what was dropped, and why.

mod inlet;
mod message;
mod mountpoint;
mod reasons;
mod sitting;
mod thread;
mod wishes;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use node::media::PerKind;

pub use inlet::Inlet;

use crate::peer::{Seat, Taken};
use crate::rtcp::Ntp;
use crate::send::{Batch, Path};
use crate::server::{Config, Figures, Notice, StreamSpec};
use crate::srtp::Keys;
use crate::viewer::Moment;
use crate::vital;
use message::{Message, Post};
use reasons::Reasons;
use thread::Worker;
use wishes::Wishes;

/// Is told what happens, from the workers' threads. It must not wait.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// A viewer whose keys are there.
pub struct Arrival {
    /// Which seat.
    pub seat: Seat,
    /// What it watches.
    pub mountpoint: u64,
    /// What it takes.
    pub media: PerKind<Option<Taken>>,
    /// By DTLS. Never twice the same: a viewer's packets are numbered from its arrival on.
    pub keys: Keys,
    /// By ICE.
    pub path: Path,
    /// Set whenever something comes that nobody but the viewer can have sent.
    pub alive: Arc<AtomicBool>,
}

/// All the threads. Nothing here waits: what is asked for happens in the order in which it was asked for.
pub struct Workers {
    posts: Arc<[Post]>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    figures: Vec<Published>,
    /// Which opening of each mountpoint is the present one.
    mountpoints: Mutex<HashMap<u64, u64>>,
    openings: AtomicU64,
}

/// What a thread publishes once a second.
type Published = Arc<Mutex<Vec<(Seat, Figures)>>>;

/// What all threads have in common.
struct Shared {
    clock: Clock,
    reasons: Reasons,
    wishes: Wishes,
    notify: Notify,
    keyframe_cache: Duration,
    /// How long packets are kept.
    keep: Duration,
}

/// Time since the beginning. The wall clock is read once: whoever sets it must not move sound against picture.
#[derive(Clone, Copy, Debug)]
struct Clock {
    begin: Instant,
    wall: SystemTime,
}

impl Clock {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn moment(&self) -> Moment {
        let now = self.now();
        Moment { now, ntp: Ntp::from(self.wall + now) }
    }
}

impl Workers {
    /// Starts [`Config::threads`] of them. They send from `socket`, which is non-blocking and read by somebody else.
    ///
    /// Of [`Notice::Gone`] they tell when a mountpoint ends under its viewers, or somebody who sits down cannot stay;
    /// not of a viewer that was told to [rise](Self::rise).
    pub fn start(config: &Config, socket: Arc<UdpSocket>, notify: Notify) -> Result<Workers, String> {
        let shared = Arc::new(Shared {
            clock: Clock { begin: Instant::now(), wall: SystemTime::now() },
            reasons: Reasons::default(),
            wishes: Wishes::default(),
            notify,
            keyframe_cache: config.keyframe_cache,
            keep: config.history.max(config.keyframe_cache),
        });
        let (mut posts, mut threads, mut figures) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..config.threads.get() {
            let (post, inbox) = message::queue();
            let batch = Batch::new(socket.clone())
                .map_err(|error| format!("the media port cannot be sent from: {error}"))?;
            let published = Published::default();
            let worker = Worker::new(inbox, batch, shared.clone(), published.clone());
            let thread = std::thread::Builder::new().name(format!("media-{number}"));
            threads.push(
                thread
                    .spawn(move || vital::work(|| worker.run()))
                    .map_err(|error| format!("no thread for media could be started: {error}"))?,
            );
            posts.push(post);
            figures.push(published);
        }
        Ok(Workers {
            posts: posts.into(),
            threads,
            shared,
            figures,
            mountpoints: Mutex::default(),
            openings: AtomicU64::new(0),
        })
    }

    /// A mountpoint begins; one that has this number already ends. Gives where its streams are put in.
    pub fn open(&self, mountpoint: u64, streams: PerKind<StreamSpec>) -> PerKind<Inlet> {
        let opening = self.openings.fetch_add(1, Ordering::Relaxed);
        let mut mountpoints = self.mountpoints();
        if mountpoints.insert(mountpoint, opening).is_some() {
            self.tell_all(|| Message::Close(mountpoint));
        }
        self.tell_all(|| Message::Open { mountpoint, opening });
        streams.map(|stream| {
            Inlet::new(mountpoint, opening, stream.codec, self.posts.clone(), self.shared.clone())
        })
    }

    /// It ends, and its viewers are gone.
    pub fn close(&self, mountpoint: u64) {
        let mut mountpoints = self.mountpoints();
        if mountpoints.remove(&mountpoint).is_some() {
            self.tell_all(|| Message::Close(mountpoint));
        }
    }

    /// There is such a mountpoint.
    pub fn knows(&self, mountpoint: u64) -> bool {
        self.mountpoints().contains_key(&mountpoint)
    }

    /// A viewer sits down, and [`Notice::Up`] or [`Notice::Gone`] follows.
    pub fn sit(&self, arrival: Arrival) {
        self.of(arrival.seat).tell(Message::Sit(Box::new(arrival)));
    }

    /// It gets up.
    pub fn rise(&self, seat: Seat) {
        self.of(seat).tell(Message::Rise(seat));
    }

    /// Its SRTP or SRTCP, as it came. What a worker cannot take in time is counted and forgotten; who sends too much is to be
    /// kept back before this, lest the others' be forgotten, too.
    pub fn heard(&self, seat: Seat, packet: &[u8]) {
        if !self.of(seat).hear(seat, packet) {
            self.shared.reasons.count(reasons::FEEDBACK_FULL, 1);
        }
    }

    /// ICE has found another way to it.
    pub fn moved(&self, seat: Seat, path: Path) {
        self.of(seat).tell(Message::Moved(seat, path));
    }

    /// What is known of all that sit, as of a second ago at most.
    pub fn figures(&self) -> Vec<(Seat, Figures)> {
        let all =
            self.figures.iter().map(|published| published.lock().unwrap_or_else(PoisonError::into_inner));
        all.flat_map(|figures| figures.clone()).collect()
    }

    /// What was dropped, by reason; never falls.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.shared.reasons.all()
    }

    /// Whose viewer that is.
    fn of(&self, seat: Seat) -> &Post {
        &self.posts[(seat.0 % self.posts.len() as u64) as usize]
    }

    fn tell_all(&self, message: impl Fn() -> Message) {
        self.posts.iter().for_each(|post| post.tell(message()));
    }

    fn mountpoints(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        // Whoever panicked while it held the lock had put in or taken out one entry, or none.
        self.mountpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Workers {
    /// The threads end, and nobody is told of anything.
    fn drop(&mut self) {
        self.tell_all(|| Message::End);
        for thread in self.threads.drain(..) {
            // None panics without ending all.
            let _ = thread.join();
        }
    }
}
