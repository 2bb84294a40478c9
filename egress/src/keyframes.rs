//! Keyframes on demand: what viewers want goes up the tree, to whoever the video comes from.
//!
//! A request goes to the port after the one that media comes from (RFC 3550 section 11), and from the port that media
//! comes in by to the port that it comes from: an address translation between the two has a way back for these, and for no
//! others. Who hears both takes them for one.
//!
//! It leaves from the address that this node is registered at (`--node-host`): a parent knows a child by that one.
//!
//! Whoever asked before a keyframe began to come has what he needs, and his request goes no further: the one second that all
//! share is kept for the next viewer.

mod waits;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::keyframe::{self, Limiter};
use node::media::Ssrc;
use node::port::{Transport, refusal};
use node::udp;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::pipeline::Lane;

pub use waits::{Picture, View, Waits};

/// Largest packet that is read.
const MTU: usize = 1500;

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

/// Sockets, bound before anything else begins.
pub struct Sockets {
    /// Our own RTCP port for audio; what comes there is of no use here, but somebody has to take it.
    audio: UdpSocket,
    /// Our own RTCP port for video: PLIs are sent from it.
    video: UdpSocket,
}

impl Sockets {
    /// The RTCP ports, each the one after the RTP port.
    pub async fn bind(address: IpAddr, media: [u16; 2]) -> Result<Sockets, String> {
        let bind = async |port: u16| {
            UdpSocket::bind((address, port))
                .await
                .map_err(|error| refusal(Transport::Udp, SocketAddr::new(address, port), &error))
                .map_err(|why| format!("cannot take RTCP on port {port}: {why}"))
        };
        let after =
            |port: u16| port.checked_add(1).ok_or(format!("port {port} has no port after it for RTCP"));
        Ok(Sockets { audio: bind(after(media[0])?).await?, video: bind(after(media[1])?).await? })
    }
}

/// The ways up: from which socket to which port.
struct Ways {
    /// What the parent knows us by, if that is an address.
    own: Option<IpAddr>,
    /// Our RTCP port for video.
    rtcp: Arc<UdpSocket>,
    /// Our RTP port for video. Only the pipeline reads it.
    media: UdpSocket,
}

impl Ways {
    /// To whoever sends from this address and port.
    fn to(&self, source: SocketAddr) -> impl Iterator<Item = (&UdpSocket, SocketAddr)> {
        let after =
            source.port().checked_add(1).map(|port| (&*self.rtcp, SocketAddr::new(source.ip(), port)));
        after.into_iter().chain([(&self.media, source)])
    }
}

impl Keyframes {
    /// Begins. `own`: the address that the parent knows us by; `video`: knows who sends what, and counts its times from `epoch`,
    /// as `audio` does.
    pub fn start(
        sockets: Sockets,
        own: Option<IpAddr>,
        audio: Arc<Lane>,
        video: Arc<Lane>,
        epoch: Instant,
    ) -> std::io::Result<Arc<Keyframes>> {
        let media = UdpSocket::from_std(video.socket()?)?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (counts, waits) = ([AtomicU64::new(0), AtomicU64::new(0)], Mutex::default());
        let [asked_for, sent] = counts;
        let keyframes = Arc::new(Keyframes { asks, asked: asked_for, sent, waits, epoch });
        tokio::spawn(drain(Arc::new(sockets.audio), audio));
        let rtcp = Arc::new(sockets.video);
        let ways = Ways { own, rtcp: rtcp.clone(), media };
        tokio::spawn(keyframes.clone().pass_on(asked, ways, video.clone()));
        tokio::spawn(drain(rtcp, video));
        Ok(keyframes)
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
        self: Arc<Self>,
        mut asked: mpsc::UnboundedReceiver<Request>,
        ways: Ways,
        video: Arc<Lane>,
    ) {
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
                    None => return,
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
                self.send(&ways, &video, sender, ssrc);
            }
        }
    }

    /// Asks whoever the video comes from.
    fn send(&self, ways: &Ways, video: &Lane, sender: Ssrc, ssrc: Ssrc) {
        // Nobody to ask: nothing has come yet, and what comes begins with a keyframe.
        let sources = video.routes().get(ssrc).map(|route| route.sources(self.now())).unwrap_or_default();
        let request = keyframe::request(sender, ssrc);
        let mut sent = false;
        for (socket, to) in sources.iter().flat_map(|source| ways.to(*source)) {
            match udp::send_from(socket, ways.own, &request, to) {
                Ok(_) => sent = true,
                Err(error) => tracing::debug!("a PLI to {to}: {error}"),
            }
        }
        if sent {
            self.sent.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("SSRC {ssrc}: asked {sources:?} for a keyframe");
        }
    }
}

/// Takes what comes to our RTCP ports; nothing of it is needed, but that it came from the parent.
async fn drain(socket: Arc<UdpSocket>, lane: Arc<Lane>) {
    let mut packet = [0; MTU];
    loop {
        if let Ok((_, from)) = socket.recv_from(&mut packet).await {
            lane.came_beside(from);
        }
    }
}
