//! [`Injector`]: the one thing that holds the state and brings sessions, Janus, GStreamer and Redis together.
//!
//! - here: sessions come and go, one change at a time; [`publish`]: publications, one per session;
//! - [`keep`]: Janus and Redis come back; [`tree`]: children; [`show`]: what is shown of it.
//!
//! A change is carried out wholly or taken back; what was reached at is listed in reverse in one place
//! ([`Injector::create`]).

mod keep;
mod publish;
mod show;
mod tree;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use node::http::wish::Trickle;
use node::record::Place;
use node::tree::Tree;
use tokio::sync::{Notify, mpsc};

use crate::config::Config;
use crate::feedback::Feedback;
use crate::pipeline::{Feed, Outlets, PipelineError};
use crate::session::{self, Refusal, Session, Wish};
use crate::store::Sessions;
use crate::videoroom::{self, VideoRoom};

pub use crate::publication::Via;
use publish::Current;
pub use publish::Published;

/// How often a session is decided upon anew because another node wrote one at the same moment.
const ATTEMPTS: usize = 8;
/// How long a node that stops waits for Janus.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectorError {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// No such session, or publication.
    #[error("{0}")]
    Unknown(String),
    /// Somebody has it.
    #[error("{0}")]
    Conflict(String),
    /// No codec in common.
    #[error("{0}")]
    NotAcceptable(String),
    /// Candidates that are not taken.
    #[error(transparent)]
    Trickle(#[from] Trickle),
    /// Janus, GStreamer or Redis does not do its part.
    #[error("{0}")]
    Backend(String),
}

impl From<Refusal> for InjectorError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bad(why) => InjectorError::Bad(why),
            Refusal::Exists(why) => InjectorError::Conflict(why),
        }
    }
}

impl From<PipelineError> for InjectorError {
    fn from(error: PipelineError) -> Self {
        InjectorError::Backend(error.to_string())
    }
}

/// A running injection.
pub struct Injector {
    config: Config,
    outlets: Outlets,
    feedback: Arc<Feedback>,
    store: Option<Sessions>,
    tree: OnceLock<Tree>,
    state: Mutex<State>,
    /// Held by whoever changes sessions: one change at a time.
    changes: tokio::sync::Mutex<()>,
    /// Held by whoever tells pipelines whom to send to.
    applying: tokio::sync::Mutex<()>,
    /// Told when something should be tried again now.
    retry: Notify,
    broken: mpsc::UnboundedSender<String>,
    started: Instant,
    created: u64,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, Arc<Entry>>,
    /// Children as they were given to us.
    children: BTreeMap<String, Place>,
    /// What host names mean at present.
    hosts: BTreeMap<String, Result<IpAddr, String>>,
    janus: Option<VideoRoom>,
    janus_problem: Option<String>,
    /// Times that Janus was connected to.
    janus_connections: u64,
    /// Sessions of a former life have been taken up.
    restored: bool,
    store_problem: Option<String>,
}

/// A session that there is.
struct Entry {
    session: Session,
    /// What its video is encoded with, as far as is known.
    codec: Mutex<Option<String>>,
    feed: Feed,
    /// Why it has no room in Janus.
    room_problem: Mutex<Option<String>>,
    /// Held by whoever takes or leaves the publisher's place.
    place: tokio::sync::Mutex<()>,
    current: Mutex<Option<Arc<Current>>>,
    publications: std::sync::atomic::AtomicU64,
}

impl Injector {
    /// Binds the media ports. Nothing is connected yet: see [`keep`](Self::keep).
    pub fn new(config: Config) -> Result<(Arc<Injector>, mpsc::UnboundedReceiver<String>), String> {
        let ports = config.ports;
        let outlets = Outlets::bind(ports).map_err(|error| {
            format!(
                "cannot bind the media ports {}, {} and the ones after them: {error}; another node on this machine? \
                 RTP_AUDIO_PORT and RTP_VIDEO_PORT choose others",
                ports[0], ports[1]
            )
        })?;
        let failed = |error: std::io::Error| format!("no socket for feedback: {error}");
        let janus = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
        let feedback = Feedback::start(janus, outlets.feedback().map_err(failed)?).map_err(failed)?;
        let tree = config.tree.clone();
        let store = tree.map(|tree| Sessions::new(tree.redis, &config.node_id, &config.tree_id));
        let (broken, breaks) = mpsc::unbounded_channel();
        let injector = Injector {
            state: Mutex::new(State { restored: store.is_none(), ..State::default() }),
            config,
            outlets,
            feedback,
            store,
            tree: OnceLock::new(),
            changes: tokio::sync::Mutex::default(),
            applying: tokio::sync::Mutex::default(),
            retry: Notify::new(),
            broken,
            started: Instant::now(),
            created: now_ms(),
        };
        Ok((Arc::new(injector), breaks))
    }

    /// What it was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Creates a session: a room in Janus, a pipeline, a record in Redis, or none of them.
    pub async fn create(&self, wish: Wish) -> Result<Session, InjectorError> {
        let _change = self.changes.lock().await;
        // Nonsense is nonsense, whether or not Janus and Redis are there.
        session::decide(wish.clone(), &self.taken(), rand::random, now_ms())?;
        let janus = self.janus()?;
        if !self.state().restored {
            let why =
                "sessions of before the restart have not been read from Redis yet; try again in a moment";
            return Err(InjectorError::Backend(why.to_owned()));
        }
        for _ in 0..ATTEMPTS {
            let (seen, mut taken) = match &self.store {
                Some(store) => {
                    let mut seen = store.see().await.map_err(InjectorError::Backend)?;
                    let taken = std::mem::take(&mut seen.taken);
                    (Some((store, seen)), taken)
                }
                None => (None, Vec::new()),
            };
            taken.extend(self.taken());
            let entry = match self.begin(&janus, &wish, &taken).await {
                Ok(entry) => entry,
                Err(error) => {
                    if let Some((store, seen)) = seen {
                        store.leave(seen).await;
                    }
                    return Err(error);
                }
            };
            let written = match seen {
                Some((store, seen)) => store.add(seen, &entry.session).await,
                None => Ok(true),
            };
            match written {
                Ok(true) => {
                    let session = entry.session.clone();
                    self.state().sessions.insert(session.id.clone(), Arc::new(entry));
                    self.apply().await;
                    tracing::info!(
                        "session {} created: room {}, SSRCs {:?}",
                        session.id,
                        session.room,
                        session.ssrcs
                    );
                    return Ok(session);
                }
                Ok(false) => self.take_back(&janus, entry).await,
                Err(why) => {
                    self.take_back(&janus, entry).await;
                    return Err(InjectorError::Backend(why));
                }
            }
        }
        Err(InjectorError::Backend("sessions of this tree change too fast; try again".to_owned()))
    }

    /// Ends a session and whoever publishes to it.
    pub async fn destroy(&self, id: &str) -> Result<Session, InjectorError> {
        let _change = self.changes.lock().await;
        let entry = self.entry(id)?;
        // Redis first: if it refuses, nothing has changed.
        if let Some(store) = &self.store {
            store.end(&entry.recorded(), now_ms()).await.map_err(InjectorError::Backend)?;
        }
        self.state().sessions.remove(id);
        self.end_publication(&entry, None, "the session was destroyed").await;
        // Without Janus there is no room either; or it is removed when we connect again.
        if let Ok(janus) = self.janus()
            && let Err(error) = janus.destroy(entry.session.room).await
        {
            tracing::warn!(
                "room {} could not be removed and is when Janus is back: {error}",
                entry.session.room
            );
        }
        tracing::info!("session {id} destroyed");
        Ok(entry.session.clone())
    }

    /// Ends all publications and removes the rooms; the sessions stay in Redis.
    pub async fn stop(&self) {
        let _change = self.changes.lock().await;
        let ending = async {
            for entry in self.entries() {
                self.end_publication(&entry, None, "the node stops").await;
                if let Ok(janus) = self.janus() {
                    let _ = janus.destroy(entry.session.room).await;
                }
            }
        };
        // Janus ends everything with the connection, too; only then its publishers learn of it later.
        let _ = tokio::time::timeout(FAREWELL, ending).await;
    }

    /// Decides, and makes room and pipeline.
    async fn begin(
        &self,
        janus: &VideoRoom,
        wish: &Wish,
        taken: &[session::Taken],
    ) -> Result<Entry, InjectorError> {
        let mut session = session::decide(wish.clone(), taken, rand::random, now_ms())?;
        let allotted = wish.room_id.is_none();
        for attempt in 0.. {
            match janus.create(session.room, &session.id).await {
                Ok(()) => break,
                // A room that is none of ours has the number that we drew.
                Err(error) if videoroom::is_room_exists(&error) && allotted && attempt < ATTEMPTS => {
                    session = session::decide(wish.clone(), taken, rand::random, now_ms())?;
                }
                Err(error) if videoroom::is_room_exists(&error) => {
                    return Err(InjectorError::Conflict(format!("room {}: {error}", session.room)));
                }
                Err(error) => return Err(InjectorError::Backend(error.to_string())),
            }
        }
        match self.feed(&session) {
            Ok(feed) => Ok(Entry::new(session, feed)),
            Err(error) => {
                if let Err(error) = janus.destroy(session.room).await {
                    tracing::warn!("room {} stays until Janus is connected to again: {error}", session.room);
                }
                Err(error.into())
            }
        }
    }

    /// What was begun is not to be: the pipeline goes with the entry.
    async fn take_back(&self, janus: &VideoRoom, entry: Entry) {
        if let Err(error) = janus.destroy(entry.session.room).await {
            tracing::warn!("room {} stays until Janus is connected to again: {error}", entry.session.room);
        }
    }

    fn feed(&self, session: &Session) -> Result<Feed, PipelineError> {
        // Janus on this machine needs no port that others reach.
        let here = self.config.janus.host == "localhost"
            || self.config.janus.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let inlet = match (here, self.config.janus.media_address) {
            (_, Some(address)) => address,
            (true, None) => Ipv4Addr::LOCALHOST.into(),
            (false, None) => Ipv4Addr::UNSPECIFIED.into(),
        };
        Feed::start(&session.id, session.ssrcs, inlet, &self.outlets, self.broken.clone())
    }

    fn taken(&self) -> Vec<session::Taken> {
        self.state().sessions.values().map(|entry| entry.session.taken()).collect()
    }

    fn entry(&self, id: &str) -> Result<Arc<Entry>, InjectorError> {
        let unknown = || InjectorError::Unknown(format!("no session {id}; POST /session/create makes one"));
        self.state().sessions.get(id).cloned().ok_or_else(unknown)
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.state().sessions.values().cloned().collect()
    }

    fn janus(&self) -> Result<VideoRoom, InjectorError> {
        let state = self.state();
        state.janus.clone().ok_or_else(|| {
            let why = state.janus_problem.clone().unwrap_or_else(|| "not connected to Janus yet".to_owned());
            InjectorError::Backend(why)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Time since the start.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Entry {
    fn new(session: Session, feed: Feed) -> Entry {
        Entry {
            codec: Mutex::new(session.codec.clone()),
            session,
            feed,
            room_problem: Mutex::default(),
            place: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            publications: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The session as Redis is to have it.
    fn recorded(&self) -> Session {
        Session { codec: lock(&self.codec).clone(), ..self.session.clone() }
    }

    fn current(&self) -> Option<Arc<Current>> {
        lock(&self.current).clone()
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
