//! Keyframes on demand: what viewers want goes up the tree ([`crate::uplink`]), to whoever the video comes from.
//!
//! Whoever asked before a keyframe began to come has what he needs, and his request goes no further: the one second that all
//! share is kept for the next viewer.

mod waits;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::keyframe::{self, Limiter};
use node::media::Ssrc;
use node::tasks::Tasks;
use tokio::sync::mpsc;

use crate::pipeline::Lane;
use crate::uplink::{To, Uplink};

pub use waits::{Picture, View, Waits};

/// Passes requests for keyframes on.
pub struct Keyframes {
    asks: mpsc::UnboundedSender<Request>,
    asked: AtomicU64,
    sent: AtomicU64,
    waits: Mutex<Waits>,
    /// Where times count from, those of keyframes among them.
    epoch: Instant,
}

/// A request for a keyframe: of which stream, and since when it has been wanted.
struct Request {
    ssrc: Ssrc,
    since: Duration,
}

impl Keyframes {
    /// Begins, and goes on by `tasks`. `video`: knows who sends what, and counts its times from `epoch`; `uplink`: leads to them.
    pub fn start(video: Arc<Lane>, uplink: Arc<Uplink>, epoch: Instant, tasks: &Tasks) -> Arc<Keyframes> {
        let (asks, asked) = mpsc::unbounded_channel();
        let (counts, waits) = ([AtomicU64::new(0), AtomicU64::new(0)], Mutex::default());
        let [asked_for, sent] = counts;
        let keyframes = Arc::new(Keyframes { asks, asked: asked_for, sent, waits, epoch });
        let (own, asked) = (keyframes.clone(), Arc::new(tokio::sync::Mutex::new(asked)));
        tasks.keep("asking for keyframes", move || {
            let (keyframes, asked) = (own.clone(), asked.clone());
            let (uplink, video) = (uplink.clone(), video.clone());
            async move { keyframes.pass_on(&mut *asked.lock().await, &uplink, &video).await }
        });
        keyframes
    }

    /// Somebody needs a keyframe, and can see one from now on.
    pub fn ask(&self, ssrc: Ssrc) {
        self.ask_since(ssrc, self.now());
    }

    /// Somebody has needed one since then.
    pub fn ask_since(&self, ssrc: Ssrc, since: Duration) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let _ = self.asks.send(Request { ssrc, since });
    }

    /// The time by which keyframes and requests are told apart.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// How often a keyframe was asked for, and how often that was passed on.
    pub fn counts(&self) -> (u64, u64) {
        (self.asked.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// Looks which keyframes have come that were asked for. `of`: what is known of a stream.
    pub fn look(&self, of: impl Fn(Ssrc) -> Option<Picture>) {
        self.waits().look(self.now(), of);
    }

    /// What is waited for.
    pub fn waiting(&self) -> View {
        self.waits().view()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends PLIs up the tree, one a second for each stream at most.
    async fn pass_on(
        &self,
        asked: &mut mpsc::UnboundedReceiver<Request>,
        uplink: &Uplink,
        video: &Lane,
    ) -> Result<(), String> {
        let epoch = self.epoch;
        let keyframe = |ssrc: Ssrc| video.routes().get(ssrc).and_then(|route| route.keyframe());
        let sender = Ssrc(rand::random());
        let mut limiter = Limiter::default();
        loop {
            let due = limiter.due().map(|due| tokio::time::Instant::from_std(epoch + due));
            let ready = tokio::select! {
                request = asked.recv() => match request {
                    Some(Request { ssrc, since }) => {
                        let served = keyframe(ssrc).is_some_and(|at| at > since);
                        tracing::debug!(served, "SSRC {ssrc}: a keyframe is wanted");
                        if !served {
                            self.waits().asked(ssrc, since);
                        }
                        (!served && limiter.ask(ssrc, epoch.elapsed())).then_some(ssrc).into_iter().collect()
                    }
                    None => return Ok(()),
                },
                () = async { tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await },
                    if due.is_some() => {
                        for ssrc in limiter.waiting() {
                            limiter.served(ssrc, keyframe(ssrc).unwrap_or_default());
                        }
                        limiter.take(epoch.elapsed())
                    }
            };
            for ssrc in ready {
                self.send(uplink, video, sender, ssrc);
            }
        }
    }

    /// Asks whoever the video comes from.
    fn send(&self, uplink: &Uplink, video: &Lane, sender: Ssrc, ssrc: Ssrc) {
        // Nobody to ask: nothing has come yet, and what comes begins with a keyframe.
        let sources = video.routes().get(ssrc).map(|route| route.sources(self.now())).unwrap_or_default();
        let request = keyframe::request(sender, ssrc);
        let asked = sources.iter().filter(|source| uplink.send(&request, **source, To::Both)).count();
        if asked > 0 {
            self.sent.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("SSRC {ssrc}: asked {sources:?} for a keyframe");
        }
    }
}
