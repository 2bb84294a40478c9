//! Connects, and connects again. While there is no connection the node goes on with what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::inbox::Inbox;
use super::{Follows, RedisView, Timing, TreeView, sweeping};
use crate::backoff::Backoff;
use crate::config::TreeConfig;
use crate::flow::{Flow, Meter, Received};
use crate::record::{Place, Registration};
use crate::redis::connect::Connector;
use crate::redis::failure::Failure;
use crate::sessions::Sessions;
use crate::sweep::Sweeper;
use crate::topology::{Follower, Heard, Registered, Upstream};

/// A connection that lives longer than this was a good one. Longer than connecting can take.
const STABLE: Duration = Duration::from_secs(5);

/// All that is known of the tree.
pub(super) struct Keeper<F> {
    pub node: Arc<F>,
    pub registration: Registration,
    pub inbox: Inbox,
    pub connector: Connector,
    pub timing: Timing,
    pub follower: Follower,
    /// Children as the last look found them.
    pub known: BTreeMap<String, Registered>,
    /// The parent as the last look found it.
    pub parent: Option<String>,
    /// Its registration as the last look found it.
    pub origin: Heard,
    /// The standby parents as the last look found them.
    pub standby: BTreeMap<String, Heard>,
    /// Why those may not be read.
    pub standby_unread: Option<String>,
    /// What the node was told last of where media is to come from.
    pub told: Option<Upstream>,
    /// Children and parents whose registration is listened to.
    pub heard: BTreeSet<String>,
    /// Why something may not be listened to.
    pub unheard: Option<String>,
    /// The sessions that the node was told of.
    pub sessions: Sessions,
    /// There was a connection before.
    pub was_connected: bool,
    /// This process, among those that may call themselves the same.
    pub instance: String,
    /// Where the node said last that it takes media.
    pub place: Option<Place>,
    /// Who had the node's name when it wanted it, and when that was seen last.
    pub refused_by: Option<(String, Instant)>,
    /// Another that wanted its name, and until when that is worth a word.
    pub rival: Option<(String, Instant)>,
    /// What was written last in place of a status.
    pub status: String,
    /// Why the node is not in the tree's directory.
    pub left_out: Option<String>,
    /// What the directory was told last, but for what flows.
    pub entry: String,
    /// Asks the node what it has received, and when it had.
    pub counting: Option<JoinHandle<(Option<Received>, Duration)>>,
    /// From what the node has received to what flows.
    pub meter: Meter,
    /// Children that the node has begun to send to, and when; forgotten when they are not new any more.
    pub begun: BTreeMap<String, Duration>,
    /// What flows, as it was seen last, …
    pub flow: Option<Flow>,
    /// … and as the directory was told.
    pub told_passing: (Option<Flow>, Vec<String>),
    /// The host's addresses that were written last.
    pub addresses: BTreeSet<IpAddr>,
    /// The server has our registration, as far as we know.
    pub believed: bool,
    /// It was found missing when it was written: the next look is one at a server that lost its data.
    pub lost: bool,
    /// When everything is read again at the latest, should no event ask for it sooner.
    pub reread_at: Instant,
    /// When the registration is written again at the latest.
    pub rewrite_at: Instant,
    /// When keyspace notifications are checked, and turned on, at the latest.
    pub notify_at: Instant,
    /// When the registration was written last.
    pub written_at: Instant,
    /// Takes out what dead nodes left, if nobody else does and it may.
    pub sweeper: Option<Arc<tokio::sync::Mutex<Sweeper>>>,
    pub view: TreeView,
    publish: watch::Sender<TreeView>,
}

impl<F: Follows> Keeper<F> {
    pub fn new(
        config: TreeConfig,
        registration: Registration,
        node: Arc<F>,
        timing: Timing,
        inbox: Inbox,
        publish: watch::Sender<TreeView>,
    ) -> Keeper<F> {
        let connector = Connector::new(config.redis, timing.answer);
        let redis = RedisView { server: connector.server(), ..RedisView::default() };
        let now = Instant::now();
        let instance = format!("{:016x}", rand::random::<u64>());
        let sweeper = (!config.sweep_after.is_zero()).then(|| {
            let me = format!("{}/{instance}", registration.id);
            let every = sweeping::every(config.sweep_after);
            Arc::new(tokio::sync::Mutex::new(Sweeper::new(
                &registration.tree_id,
                &me,
                config.sweep_after,
                every,
            )))
        });
        let keeper = Keeper {
            node,
            follower: Follower::new(&registration.id, config.grace),
            sessions: Sessions::new(&registration.tree_id, config.grace),
            registration,
            inbox,
            connector,
            timing,
            known: BTreeMap::new(),
            parent: None,
            origin: None,
            standby: BTreeMap::new(),
            standby_unread: None,
            told: None,
            heard: BTreeSet::new(),
            unheard: None,
            was_connected: false,
            instance,
            place: None,
            refused_by: None,
            rival: None,
            status: String::new(),
            left_out: None,
            entry: String::new(),
            counting: None,
            meter: Meter::default(),
            begun: BTreeMap::new(),
            flow: None,
            told_passing: (None, Vec::new()),
            addresses: BTreeSet::new(),
            believed: false,
            lost: false,
            reread_at: now,
            rewrite_at: now,
            notify_at: now,
            written_at: now,
            sweeper,
            view: TreeView { redis, ..TreeView::default() },
            publish,
        };
        keeper.publish.send_replace(keeper.view.clone());
        keeper
    }

    /// Until the node is to end.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.timing.retry);
        while !self.inbox.is_over() {
            let started = Instant::now();
            let Err(failure) = self.attempt().await else { break };
            // Whoever waits for a look learns why there is none.
            for refresher in self.inbox.refreshers.drain(..) {
                let _ = refresher.send(Err(failure.to_string()));
            }
            self.disconnected(failure);
            // A connection that held for a while was a good one; one that breaks at once is not tried in haste.
            if started.elapsed() > STABLE {
                backoff.reset();
            }
            self.pause(backoff.pause()).await;
        }
        for done in self.inbox.stop.drain(..) {
            let _ = done.send(());
        }
    }

    /// Connects and serves. `Ok`: the node is to end.
    async fn attempt(&mut self) -> Result<(), Failure> {
        let Some(link) = self.inbox.during_or_end(self.connector.connect()).await else { return Ok(()) };
        let mut link = link?;
        self.inbox.listen(link.messages.take());
        let result = self.serve(&mut link).await;
        self.inbox.listen(None);
        result
    }

    /// Waits, unless somebody wants a look now.
    async fn pause(&mut self, delay: Duration) {
        let until = tokio::time::Instant::now() + delay;
        while !self.inbox.is_over() && self.inbox.refreshers.is_empty() {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = self.inbox.next() => {}
            }
        }
    }

    fn disconnected(&mut self, failure: Failure) {
        let problem = failure.to_string();
        if self.view.redis.problem.as_ref() != Some(&problem) {
            tracing::warn!("{problem}; forwarding goes on as it is");
        }
        let redis = &mut self.view.redis;
        redis.connected = false;
        redis.notifications = false;
        redis.registered &= self.written_at.elapsed() < self.timing.ttl;
        redis.problem = Some(problem);
        self.show();
    }

    /// The view as others see it.
    pub fn shown(&self) -> watch::Receiver<TreeView> {
        self.publish.subscribe()
    }

    /// Publishes the view, if it is another one.
    pub fn show(&mut self) {
        self.view.redis.events = self.inbox.events;
        self.publish.send_if_modified(|shown| {
            let changed = *shown != self.view;
            if changed {
                shown.clone_from(&self.view);
            }
            changed
        });
    }
}
