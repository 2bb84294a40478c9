//! [`Injector`]: the one thing that holds the state and brings sessions, Janus, GStreamer and Redis together.
//!
//! What it holds, each with a narrow handle: `LiveSession` (a session, its pipeline and its publisher), `JanusLink` (the
//! connection to Janus), `Recipients` (children and their addresses), [`InjectorError`] (why not).
//!
//! What it does with these: sessions are created and destroyed (here, one change at a time), `keep` (Janus, Redis and
//! pipelines come back), `tree` (what Redis says), `show` (what HTTP shows).
//!
//! A session is created wholly or not at all: whatever fails on the way, what was made before it is undone
//! ([`Injector::create`]).

mod drain;
mod error;
mod keep;
mod link;
mod live;
mod orphans;
mod recipients;
mod sent;
mod show;
mod totals;
mod tree;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use node::auth::{Admission, Rights, Role};
use node::drain::Drain;
use node::http::Limits;
use node::media::PerKind;
use node::tasks::Tasks;
use node::tree::Tree;
use node::watch::Redirector;
use node::webhook::Webhooks;
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::answers::Answers;
use crate::config::Config;
use crate::feedback::Feedback;
use crate::pipeline::{Count, Feed, Outlets, PipelineError};
use crate::publication::Occupancy;
use crate::rtmp::Rtmp;
use crate::session::{self, NewSession, Session};
use crate::store::Sessions;
use crate::videoroom::{self, VideoRoom};

use link::JanusLink;
use orphans::Orphans;
use recipients::Recipients;
use totals::Totals;

pub use crate::publication::Via;
pub use error::InjectorError;
pub use live::{LiveSession, Published};

/// How often a session is decided upon anew because another node wrote one at the same moment.
const ATTEMPTS: usize = 8;
/// How long a node that stops waits for Janus.
const FAREWELL: Duration = Duration::from_secs(2);

/// A running injection.
pub struct Injector {
    config: Config,
    limits: Arc<Limits>,
    outlets: Outlets,
    answers: Arc<Answers>,
    feedback: Arc<Feedback>,
    /// What goes on by itself, and what of that has failed.
    tasks: Tasks,
    store: Option<Sessions>,
    tree: OnceLock<Tree>,
    janus: JanusLink,
    recipients: Recipients,
    state: Mutex<State>,
    /// Held by whoever changes sessions: one change at a time.
    changes: tokio::sync::Mutex<()>,
    /// Told when something should be tried again now.
    retry: Notify,
    broken: mpsc::UnboundedSender<String>,
    admission: Arc<Admission>,
    webhooks: Webhooks,
    totals: Arc<Totals>,
    orphans: Mutex<Orphans>,
    redirector: Arc<Redirector>,
    /// Its RTMP connections.
    pub rtmp: Rtmp,
    started: Instant,
    created: u64,
    drain: Drain,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, Arc<LiveSession>>,
    /// What the tree's sessions have.
    neighbours: BTreeMap<String, session::Taken>,
    /// They are known.
    met: bool,
    /// Sessions of a former life have been taken up.
    restored: bool,
    store_problem: Option<String>,
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
        if let Some(why) = outlets.shortfall() {
            tracing::warn!("{why}");
        }
        let failed = |error: std::io::Error| format!("no socket for feedback: {error}");
        let janus = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
        let ways = outlets.ways().map_err(failed)?;
        let answers = Answers::new(config.history, config.repair_within, ways);
        let below = outlets.feedback().map_err(failed)?;
        let tasks = Tasks::default();
        let feedback = Feedback::start(janus, below, &answers, &tasks).map_err(failed)?;
        let tree = config.tree.clone();
        let store = tree.map(|tree| Sessions::new(tree.redis, &config.node_id, &config.tree_id));
        let (broken, breaks) = mpsc::unbounded_channel();
        let rights = Rights {
            role: Role::Publish,
            shared: config.whip_token.clone(),
            shared_name: "the publishers' token (WHIP_TOKEN)",
            node_id: config.node_id.clone(),
            tree_id: config.tree_id.clone(),
        };
        let admission = Admission::new(rights, &config.auth);
        let webhooks = Webhooks::start(config.auth.webhook.clone(), &config.node_id, &config.tree_id);
        let rtmp = Rtmp::new(config.rtmp_waiting, config.rtmp_waiting_each);
        let injector = Injector {
            redirector: Arc::new(Redirector::new(&config)),
            state: Mutex::new(State { restored: store.is_none(), ..State::default() }),
            limits: Limits::new(config.http.clone()),
            drain: Drain::new(config.drain_limit, "publications").waits(),
            config,
            recipients: Recipients::new(answers.clone()),
            outlets,
            answers,
            feedback,
            tasks,
            store,
            tree: OnceLock::new(),
            janus: JanusLink::default(),
            changes: tokio::sync::Mutex::default(),
            retry: Notify::new(),
            broken,
            admission,
            webhooks,
            totals: Arc::default(),
            orphans: Mutex::default(),
            rtmp,
            started: Instant::now(),
            created: now_ms(),
        };
        Ok((Arc::new(injector), breaks))
    }

    /// What may be taken of it by HTTP.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// What it was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who may publish.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Where viewers are sent to.
    pub fn redirector(&self) -> &Arc<Redirector> {
        &self.redirector
    }

    /// Who is told what happens.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Creates a session: a room in Janus, a pipeline, a record in Redis, or none of them.
    pub async fn create(&self, new: NewSession) -> Result<Session, InjectorError> {
        if self.drain.is_on() {
            return Err(InjectorError::Draining);
        }
        let _change = self.changes.lock().await;
        // Nonsense is nonsense, whether or not Janus and Redis are there.
        let decided = session::decide(new.clone(), &self.taken(), rand::random, now_ms())?;
        session::are_hosts(&decided.recipients, &node::addresses::broadcasts())?;
        let janus = self.janus.get()?;
        if !self.state().restored {
            return Err(InjectorError::NotRestored);
        }
        let mut taken = self.others(&new).await?;
        taken.extend(self.taken());
        for _ in 0..ATTEMPTS {
            let entry = self.begin(&janus, &new, &taken).await?;
            let other = match &self.store {
                Some(store) => store.add(&entry.session, now_ms()).await,
                None => Ok(None),
            };
            match other {
                Ok(None) => {
                    let session = entry.session.clone();
                    self.state().sessions.insert(session.id.clone(), Arc::new(entry));
                    self.apply().await;
                    tracing::info!(
                        "session {} created: room {}, SSRCs {:?}",
                        session.id,
                        session.room,
                        session.ssrcs
                    );
                    self.webhooks.tell("session.created", json!({ "sessionId": session.id }));
                    return Ok(session);
                }
                // Another injection was faster.
                Ok(Some(other)) => {
                    self.take_back(&janus, entry).await;
                    taken.push(other);
                }
                Err(why) => {
                    self.take_back(&janus, entry).await;
                    return Err(InjectorError::Redis(why));
                }
            }
        }
        Err(InjectorError::TooManyChanges)
    }

    /// Ends a session and whoever publishes to it.
    pub async fn destroy(&self, id: &str) -> Result<Session, InjectorError> {
        let _change = self.changes.lock().await;
        let entry = match self.entry(id) {
            Ok(entry) => entry,
            Err(unknown) => return self.destroy_orphan(id).await?.ok_or(unknown),
        };
        // Redis first: if it refuses, nothing has changed.
        if let Some(store) = &self.store {
            store.end(&entry.recorded(), now_ms()).await.map_err(InjectorError::Redis)?;
        }
        let counted = entry.feed.counts();
        {
            // At once: whoever adds up finds it here or there.
            let mut state = self.state();
            state.sessions.remove(id);
            state.neighbours.remove(id);
            self.totals.ended(id, entry.session.ssrcs, &counted);
        }
        entry.close().await;
        let after = PerKind::from_fn(|kind| entry.feed.counts()[kind].since(counted[kind]));
        self.totals.ended(id, entry.session.ssrcs, &after);
        self.recipients.sent(std::slice::from_ref(&entry));
        // Without Janus there is no room either; or it is removed when we connect again.
        if let Ok(janus) = self.janus.get()
            && let Err(error) = janus.destroy(entry.session.room).await
        {
            tracing::warn!(
                "room {} could not be removed and is when Janus is back: {error}",
                entry.session.room
            );
        }
        tracing::info!("session {id} destroyed");
        self.webhooks.tell("session.destroyed", json!({ "sessionId": id }));
        Ok(entry.session.clone())
    }

    /// A session that there is.
    pub fn entry(&self, id: &str) -> Result<Arc<LiveSession>, InjectorError> {
        let unknown = || InjectorError::UnknownSession(id.to_owned());
        self.state().sessions.get(id).cloned().ok_or_else(unknown)
    }

    /// Takes a publisher in. `goes_on`: one who published until now, by other means. What is begun with Janus for it is completed or taken back even if whoever asks is gone meanwhile.
    pub async fn publish(
        self: &Arc<Self>,
        id: &str,
        offer: String,
        via: Via,
        goes_on: bool,
    ) -> Result<Published, InjectorError> {
        let entry = self.entry(id)?;
        // Who has published until now is no newcomer.
        if self.drain.is_on() && !goes_on {
            return Err(InjectorError::Draining);
        }
        let (tell, told) = oneshot::channel();
        let injector = self.clone();
        // A task of its own goes on when the one that waits for it is cancelled.
        tokio::spawn(async move {
            let published = injector.publish_to(&entry, offer, via, goes_on).await;
            if let Err(Ok(unwanted)) = tell.send(published) {
                // It may have been ended by somebody else.
                let _ = entry.unpublish(Some(&unwanted.key)).await;
            }
        });
        told.await.unwrap_or_else(|_| Err(InjectorError::Destroyed(id.to_owned())))
    }

    async fn publish_to(
        &self,
        entry: &Arc<LiveSession>,
        offer: String,
        via: Via,
        goes_on: bool,
    ) -> Result<Published, InjectorError> {
        let published = entry.publish(self.janus.get(), offer, via, goes_on).await?;
        let id = &entry.session.id;
        if let (Some(store), Some(video)) = (&self.store, entry.video_codec()) {
            // Told after the session's end, it would be back in the index, and nobody would end it again.
            let _change = self.changes.lock().await;
            let is_there = self.entry(id).is_ok_and(|there| Arc::ptr_eq(&there, entry));
            if is_there && let Err(why) = store.encoded(&entry.recorded(), now_ms()).await {
                tracing::warn!("session {id}: egresses are not told that it is {video}: {why}");
            }
        }
        Ok(published)
    }

    /// Whether somebody could publish to a session now.
    pub fn occupancy(&self, id: &str) -> Occupancy {
        self.entry(id).map_or(Occupancy::Unknown, |entry| entry.occupancy())
    }

    /// Ends all publications and removes the rooms; the sessions stay in Redis.
    pub async fn stop(&self) {
        let _change = self.changes.lock().await;
        let ending = async {
            for entry in self.entries() {
                entry.end(None, "the node stops").await;
                if let Ok(janus) = self.janus.get() {
                    let _ = janus.destroy(entry.session.room).await;
                }
            }
        };
        // Janus ends everything with the connection, too; only then its publishers learn of it later.
        let _ = tokio::time::timeout(FAREWELL, ending).await;
        self.webhooks.finish().await;
    }

    /// Decides, and makes room and pipeline.
    async fn begin(
        &self,
        janus: &VideoRoom,
        new: &NewSession,
        taken: &[session::Taken],
    ) -> Result<LiveSession, InjectorError> {
        let mut session = session::decide(new.clone(), taken, rand::random, now_ms())?;
        let allotted = new.room_id.is_none();
        for attempt in 0.. {
            match janus.create(session.room, &session.id).await {
                Ok(()) => break,
                // A room that is none of ours has the number that we drew.
                Err(error) if videoroom::is_room_exists(&error) && allotted && attempt < ATTEMPTS => {
                    session = session::decide(new.clone(), taken, rand::random, now_ms())?;
                }
                Err(why) if videoroom::is_room_exists(&why) => {
                    return Err(InjectorError::RoomExists { room: session.room, why });
                }
                Err(error) => return Err(error.into()),
            }
        }
        match self.feed(&session) {
            Ok(feed) => Ok(self.live(session, feed)),
            Err(error) => {
                if let Err(error) = janus.destroy(session.room).await {
                    tracing::warn!("room {} stays until Janus is connected to again: {error}", session.room);
                }
                Err(error.into())
            }
        }
    }

    /// What was begun is not to be: the pipeline goes with the entry.
    async fn take_back(&self, janus: &VideoRoom, entry: LiveSession) {
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
        Feed::start(&session.id, session.ssrcs, inlet, &self.outlets, &self.answers, self.broken.clone())
    }

    fn live(&self, session: Session, feed: Feed) -> LiveSession {
        let (feedback, totals) = (self.feedback.clone(), self.totals.clone());
        let webhooks = self.webhooks.clone();
        LiveSession::new(session, feed, feedback, webhooks, self.config.takeover, totals, self.started)
    }

    /// What others have that a new session could want: the numbers of the tree's sessions, which we are told of, and the
    /// name, of which we are told only if it is of this tree.
    async fn others(&self, new: &NewSession) -> Result<Vec<session::Taken>, InjectorError> {
        let (Some(store), Some(id)) = (&self.store, &new.session_id) else { return Ok(Vec::new()) };
        store.settle(id, now_ms()).await.map_err(InjectorError::Redis)?;
        let mut others: Vec<_> = store.see(id).await.map_err(InjectorError::Redis)?.into_iter().collect();
        if let Some(tree) = self.tree.get()
            && !self.state().met
        {
            tree.refresh().await.map_err(InjectorError::Redis)?;
        }
        let state = self.state();
        others.extend(state.neighbours.values().filter(|other| other.id != *id).cloned());
        Ok(others)
    }

    fn taken(&self) -> Vec<session::Taken> {
        self.state().sessions.values().map(|entry| entry.session.taken()).collect()
    }

    fn entries(&self) -> Vec<Arc<LiveSession>> {
        self.state().sessions.values().cloned().collect()
    }

    /// What all sessions have counted that there are and that there have been.
    fn counted(&self) -> PerKind<Count> {
        let (entries, mut sums) = {
            let state = self.state();
            (state.sessions.values().cloned().collect::<Vec<_>>(), self.totals.gone())
        };
        for counts in entries.iter().map(|entry| entry.feed.counts()) {
            counts.into_iter().for_each(|(kind, count)| sums[kind] += count);
        }
        sums
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
