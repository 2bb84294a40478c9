//! [`Egress`]: holds the state and brings everything together.
//!
//! What it holds, each with a narrow handle: `media` (inputs), a [`Server`] (what serves viewers) and whether it is there (`link`),
//! `audience` (viewers), [`Notices`] (what viewers are told).
//!
//! What it does with these: `change` (mountpoints begin and end, one change at a time), `serving` (the server comes and goes),
//! `drain` and `moving` (viewers go elsewhere, because it is to be empty or gets no media), `pulse` (whether media arrives, seen four
//! times a second), `place` (whether it can), `dark` (who sees nothing), `tree` (what Redis says), `sources` (whose media is taken), `show` (what HTTP shows).
//! `error`: why not.

mod audience;
mod change;
mod dark;
mod drain;
mod error;
mod link;
mod media;
mod moving;
mod place;
mod pulse;
mod serving;
mod show;
mod sources;
mod tree;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use node::auth::{Admission, Rights, Role};
use node::drain::Drain;
use node::http::Limits;
use node::metrics::Parents;
use node::tree::Tree;
use node::watch::Redirector;
use node::webhook::Webhooks;
use tokio::sync::{Notify, watch};

use crate::capacity::Capacity;
use crate::config::Config;
use crate::lifecycle::Standing;
use crate::mountpoints::{Books, Mountpoint};
use crate::notices::Notices;
use crate::quality::Quality;
use crate::records::Records;
use crate::reports::{Report, Reports};
use crate::server::{self, Server};
use link::Link;
use media::Media;
use moving::Elsewhere;
use place::Where;
use sources::Sources;

pub use audience::{Audience, COUNTER_OFFER_HOLDS, Call, Ear, Newcomer, Reply, Seated, Tie};
pub use change::{NewMountpoint, Outcome};
pub use dark::Dark;
pub use error::EgressError;

/// The node.
pub struct Egress {
    /// What it is configured with.
    pub config: Config,
    /// What may be taken of it by HTTP.
    pub limits: Arc<Limits>,
    started: Instant,
    created: u64,
    books: Mutex<Books>,
    /// Held by whoever changes mountpoints.
    changing: tokio::sync::Mutex<()>,
    /// There is something to change.
    wake: Notify,
    media: Media,
    sources: Sources,
    place: Where,
    server: Arc<dyn Server>,
    link: Link,
    audience: Arc<Audience>,
    capacity: Arc<Capacity>,
    notices: Notices,
    elsewhere: Elsewhere,
    /// How viewers fare, by what they report.
    quality: Mutex<Quality>,
    /// The same by what our own page says.
    reports: Mutex<Reports>,
    /// What has come from each parent.
    parents: Mutex<Parents>,
    admission: Arc<Admission>,
    webhooks: Webhooks,
    records: Mutex<Option<watch::Sender<Records>>>,
    tree: OnceLock<Tree>,
    redirector: Arc<Redirector>,
    drain: Drain,
}

impl Egress {
    /// Binds everything and starts the pipelines. Gives besides what is to be in Redis.
    pub async fn start(config: Config) -> Result<(Arc<Egress>, watch::Receiver<Records>), String> {
        let started = Instant::now();
        let (sources, first) = Sources::new(&config.sources);
        let media = Media::start(&config, first, started).await?;
        if config.node.tree.is_none() && config.sources.is_empty() {
            tracing::warn!("media is taken from anybody; --source CIDR limits it");
        }
        let serves = config.server.name();
        let server = server::start(&config, media.keyframes.clone()).await?;
        let (records, wanted) = watch::channel(Records::new());
        let rights = Rights {
            role: Role::Watch,
            shared: config.whep_token.clone(),
            shared_name: "the viewers' token (WHEP_TOKEN)",
            node_id: config.node.node_id.clone(),
            tree_id: config.node.tree_id.clone(),
        };
        let admission = Admission::new(rights, &config.auth);
        let webhooks =
            Webhooks::start(config.auth.webhook.clone(), &config.node.node_id, &config.node.tree_id);
        let egress = Egress {
            books: Mutex::new(Books::new(config.server.pool().cloned())),
            limits: Limits::new(config.node.http.clone()),
            capacity: Capacity::new(config.most),
            redirector: Arc::new(Redirector::new(&config.node)),
            place: Where::new(config.cut_off_grace),
            drain: Drain::new(config.node.drain_limit, "viewers"),
            config,
            started,
            created: crate::now_ms(),
            changing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            audience: Audience::new(webhooks.clone(), serves),
            media,
            sources,
            link: Link::new(server.name()),
            server,
            notices: Notices::new(webhooks.clone()),
            elsewhere: Elsewhere::default(),
            quality: Mutex::default(),
            reports: Mutex::default(),
            parents: Mutex::default(),
            admission,
            webhooks,
            records: Mutex::new(Some(records)),
            tree: OnceLock::new(),
        };
        let egress = Arc::new(egress);
        let own = Arc::downgrade(&egress);
        egress.redirector.is_egress(Box::new(move |session| own.upgrade()?.entry_for(session)));
        Ok((egress, wanted))
    }

    /// Who may watch.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Where viewers are sent to whom this node cannot serve, or who have not come to any yet.
    pub fn redirector(&self) -> &Arc<Redirector> {
        &self.redirector
    }

    /// Who is told what happens.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// How it stands in its tree, and every change of that.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.place.standing()
    }

    /// Why there are no mountpoints at present, if there are to be none.
    fn released_for(&self) -> Option<String> {
        let standing = self.standing().borrow().clone();
        standing.cut().filter(|_| standing.is_released()).map(ToString::to_string)
    }

    /// What viewers are told.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// How many may come in.
    pub fn capacity(&self) -> &Arc<Capacity> {
        &self.capacity
    }

    /// The viewers.
    pub fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// A page says how it fares.
    pub fn take_report(&self, report: &Report) {
        locked(&self.reports).take(report);
    }

    /// A page says so too often.
    pub fn refuse_report(&self) {
        locked(&self.reports).refuse();
    }

    /// Somebody wants to watch. With an offer that can be served it gets an answer, otherwise it gets the server's offer.
    pub async fn watch(
        &self,
        session: &str,
        offer: Option<&[u8]>,
        newcomer: Newcomer<'_>,
    ) -> Result<Reply, EgressError> {
        let mountpoint = self.shown(session)?;
        self.audience.watch(&*self.server, self.link.check(), mountpoint, offer, newcomer).await
    }

    /// A session's mountpoint.
    pub fn mountpoint(&self, session: &str) -> Result<Mountpoint, EgressError> {
        let found = self.books().get(session).cloned();
        found.ok_or_else(|| EgressError::UnknownSession(session.to_owned()))
    }

    /// The same for somebody who wants to watch. That the session has no mountpoint yet, for want of Janus or of ports, will pass.
    pub fn shown(&self, session: &str) -> Result<Mountpoint, EgressError> {
        let books = self.books();
        let found = books.get(session).cloned();
        found.ok_or_else(|| match books.wants(session) {
            true => match self.released_for() {
                Some(why) => EgressError::CutOff(why),
                None => EgressError::NotReady(session.to_owned()),
            },
            false => EgressError::UnknownSession(session.to_owned()),
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        locked(&self.books)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
