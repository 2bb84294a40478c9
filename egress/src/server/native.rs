//! Viewers by this process itself: the crate `seats`. No Janus, no ports for mountpoints: streams go in from the pipelines, and
//! all viewers' media leaves by one port.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use node::media::{Codec, PerKind, Ssrc};
use sdp_types::Session;
use seats::{Config, Credentials, Notice, StreamSpec};
use tokio::sync::mpsc;

use super::{Ages, CONNECTS_WITHIN, Figures, Outlet, Seat, SeatEvent, Server, ServerError, Watching};
use crate::keyframes::Keyframes;
use crate::mountpoints::Mountpoint;
use crate::sdp::{self, Common, Local, Numbers, Sources};

/// The server, and who is told what it says.
pub struct NativeServer {
    seats: Arc<seats::Server>,
    listeners: Arc<Listeners>,
}

/// Who is told of what happens in the server.
struct Listeners {
    /// By the seat's number.
    seats: Mutex<HashMap<seats::Seat, mpsc::UnboundedSender<SeatEvent>>>,
    /// The video of each mountpoint.
    videos: Mutex<HashMap<u64, Ssrc>>,
    keyframes: Arc<Keyframes>,
}

impl NativeServer {
    /// Binds the port and starts. `keyframes`: the way up the tree for what viewers need.
    pub fn start(config: &Config, keyframes: Arc<Keyframes>) -> Result<NativeServer, String> {
        let listeners = Arc::new(Listeners { seats: Mutex::default(), videos: Mutex::default(), keyframes });
        let told = listeners.clone();
        let seats = seats::Server::start(config.clone(), move |notice| told.hear(notice))?;
        Ok(NativeServer { seats: Arc::new(seats), listeners })
    }
}

impl Listeners {
    fn tell(&self, seat: seats::Seat, event: SeatEvent) {
        if let Some(listener) = locked(&self.seats).get(&seat) {
            // Whoever does not listen any more is about to leave.
            let _ = listener.send(event);
        }
    }

    /// Called by the server's threads.
    fn hear(&self, notice: Notice) {
        match notice {
            Notice::Up(seat) => self.tell(seat, SeatEvent::Up),
            Notice::Shown(seat) => self.tell(seat, SeatEvent::Shown),
            Notice::Gone(seat, why) => {
                if let Some(listener) = locked(&self.seats).remove(&seat) {
                    let _ = listener.send(SeatEvent::Gone(why));
                }
            }
            Notice::KeyframeWanted(mountpoint) => {
                let video = locked(&self.videos).get(&mountpoint).copied();
                if let Some(ssrc) = video {
                    self.keyframes.ask(ssrc);
                }
            }
        }
    }
}

impl Server for NativeServer {
    fn name(&self) -> &'static str {
        "the native server"
    }

    fn place(&self) -> String {
        format!("the native server on port {}", self.seats.media_port().port())
    }

    fn numbers(&self) -> Numbers {
        Numbers::Players
    }

    fn connect(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn tidy(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }

    fn open<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<PerKind<Outlet>, ServerError>> {
        async {
            let PerKind { audio, video } = mountpoint.ssrcs;
            let streams = PerKind {
                audio: StreamSpec { ssrc: audio, codec: Codec::Opus },
                video: StreamSpec { ssrc: video, codec: Codec::Video(mountpoint.codec) },
            };
            locked(&self.listeners.videos).insert(mountpoint.id, video);
            let PerKind { audio, video } = self.seats.open(mountpoint.id, streams);
            let outlet = |inlet| Outlet::Inlet(Arc::new(inlet));
            Ok(PerKind { audio: outlet(audio), video: outlet(video) })
        }
        .boxed()
    }

    fn close<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<(), ServerError>> {
        async {
            locked(&self.listeners.videos).remove(&mountpoint.id);
            self.seats.close(mountpoint.id);
            Ok(())
        }
        .boxed()
    }

    fn watch<'a>(
        &'a self,
        mountpoint: &'a Mountpoint,
        player: Option<(&'a Session, &'a Common)>,
    ) -> BoxFuture<'a, Result<Watching, ServerError>> {
        async move {
            let invitation = self.seats.invite(mountpoint.id)?;
            let (told, events) = mpsc::unbounded_channel();
            locked(&self.listeners.seats).insert(invitation.seat, told);
            let local = Local {
                ice: invitation.ice,
                fingerprint: self.seats.fingerprint().clone(),
                candidates: self.seats.candidates(),
                sources: Sources::of(rand::random()),
            };
            let offer = sdp::offer(mountpoint.codec, player, &local);
            let seat = Arc::new(NativeSeat {
                seats: self.seats.clone(),
                listeners: self.listeners.clone(),
                seat: invitation.seat,
                restarts: sdp::all_but_credentials(&offer),
                offer: Mutex::new(Some(offer.clone())),
            });
            let events = stream::unfold(events, async |mut events| Some((events.recv().await?, events)));
            Ok(Watching { offer, seat, events: events.boxed() })
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Option<BTreeSet<u64>>> {
        // It loses none.
        async { None }.boxed()
    }

    fn ages(&self, _mountpoint: u64) -> Ages {
        // What came in is all that there is to know: nothing is between.
        Ages::default()
    }

    fn figures(&self) -> BTreeMap<u64, Figures> {
        let now = Instant::now();
        let all = self.seats.figures().into_iter();
        all.map(|(seat, figures)| (seat.0, Figures::native(figures, now))).collect()
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.seats.dropped()
    }
}

/// A viewer's seat.
struct NativeSeat {
    seats: Arc<seats::Server>,
    listeners: Arc<Listeners>,
    seat: seats::Seat,
    /// What was offered, until it has been answered: some ten thousand bytes.
    offer: Mutex<Option<Session>>,
    /// What is said of it when the player restarts ICE.
    restarts: String,
}

impl Seat for NativeSeat {
    fn number(&self) -> u64 {
        self.seat.0
    }

    fn start(&self, answer: Session) -> BoxFuture<'_, Result<(), ServerError>> {
        async move {
            let mut offer = locked(&self.offer);
            // Of two answers the first counts.
            let Some(offered) = &*offer else { return Ok(()) };
            let peer = sdp::accepted(offered, &answer)?;
            self.seats.admit(self.seat, peer, CONNECTS_WITHIN)?;
            *offer = None;
            Ok(())
        }
        .boxed()
    }

    fn trickle(&self, _candidate: Option<String>) -> BoxFuture<'_, Result<(), ServerError>> {
        // A lite side of ICE answers whoever knocks, and knocks nowhere itself (RFC 8445 section 2.5).
        async { Ok(()) }.boxed()
    }

    fn restart(&self, theirs: Credentials) -> BoxFuture<'_, Result<String, ServerError>> {
        async move {
            let ours = self.seats.restart(self.seat, theirs)?;
            Ok(sdp::fragment(&ours, &self.restarts))
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        async {
            locked(&self.listeners.seats).remove(&self.seat);
            self.seats.leave(self.seat);
        }
        .boxed()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
