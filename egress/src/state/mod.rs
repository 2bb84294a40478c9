//! [`Egress`]: holds the state and brings everything together.
//!
//! - `change`: mountpoints begin and end; one change at a time.
//! - `janus`: Janus comes and goes; `pulse`: whether media arrives, seen twice a second.
//! - `seat`: viewers; `show`: what HTTP shows; `tree`: what Redis says.

mod change;
mod janus;
mod pulse;
mod seat;
mod show;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use node::media::Kind;
use node::tree::Tree;
use serde::Serialize;
use tokio::sync::{Notify, broadcast, watch};

use crate::activity::Activity;
use crate::config::Config;
use crate::keyframes::{Keyframes, Sockets};
use crate::mountpoints::Books;
use crate::pipeline::{Input, Lane};
use crate::records::Records;
use crate::streaming::{Ages, Streaming};
use crate::viewers::Viewers;

pub use change::{NewMountpoint, Outcome};
pub use seat::{Offer, Seat, Tie};

/// Events that a slow reader may be behind.
const BACKLOG: usize = 64;

/// The node.
pub struct Egress {
    /// What it is configured with.
    pub config: Config,
    started: Instant,
    created: u64,
    books: Mutex<Books>,
    /// Held by whoever changes mountpoints.
    changing: tokio::sync::Mutex<()>,
    /// There is something to change.
    wake: Notify,
    viewers: Mutex<Viewers<Seat>>,
    audio: Arc<Lane>,
    video: Arc<Lane>,
    janus: Mutex<Link>,
    janus_returns: std::sync::atomic::AtomicU64,
    /// What Janus last said, by mountpoint.
    ages: Mutex<BTreeMap<u64, Ages>>,
    activity: Mutex<BTreeMap<String, Activity>>,
    keyframes: Arc<Keyframes>,
    said: broadcast::Sender<Said>,
    records: Mutex<Option<watch::Sender<Records>>>,
    tree: OnceLock<Tree>,
}

/// The connection to Janus.
#[derive(Clone, Debug)]
enum Link {
    /// There is one.
    Up(Streaming),
    /// There is none, and why.
    Down(String),
}

/// Something that viewers of a session are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Session.
    pub session_id: String,
    /// `started`, `ended`, `stalled`, `back`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Egress {
    /// Binds everything and starts the pipelines. Gives besides what is to be in Redis.
    pub async fn start(config: Config) -> Result<(Arc<Egress>, watch::Receiver<Records>), String> {
        let epoch = Instant::now();
        let sockets = Sockets::bind(config.listen, config.media).await?;
        let lane = |kind: Kind, port: u16| {
            Lane::start(kind, Input { address: config.listen, port, epoch })
                .map_err(|error| error.to_string())
        };
        let audio = lane(Kind::Audio, config.media[0])?;
        let video = lane(Kind::Video, config.media[1])?;
        let keyframes = Keyframes::start(sockets, video.clone(), epoch);
        let (records, wanted) = watch::channel(Records::new());
        let egress = Egress {
            books: Mutex::new(Books::new(config.pool.clone())),
            config,
            started: epoch,
            created: crate::now_ms(),
            changing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            viewers: Mutex::default(),
            audio,
            video,
            janus: Mutex::new(Link::Down("Janus has not been connected to yet".to_owned())),
            janus_returns: Default::default(),
            ages: Mutex::default(),
            activity: Mutex::default(),
            keyframes,
            said: broadcast::Sender::new(BACKLOG),
            records: Mutex::new(Some(records)),
            tree: OnceLock::new(),
        };
        Ok((Arc::new(egress), wanted))
    }

    /// What viewers are told, from now on.
    pub fn listen(&self) -> broadcast::Receiver<Said> {
        self.said.subscribe()
    }

    fn say(&self, session: &str, kind: &'static str, reason: Option<String>) {
        // Nobody listens: nobody is to be told.
        let _ = self.said.send(Said { session_id: session.to_owned(), kind, reason });
    }

    fn lane(&self, kind: Kind) -> &Arc<Lane> {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        locked(&self.books)
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers<Seat>> {
        locked(&self.viewers)
    }

    /// Janus, or why it is not there.
    fn janus(&self) -> Result<Streaming, String> {
        match &*locked(&self.janus) {
            Link::Up(streaming) => Ok(streaming.clone()),
            Link::Down(why) => Err(why.clone()),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
