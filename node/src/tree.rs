//! The shell around [`crate::topology`]: connects to Redis, registers, listens, reads, and has the node carry out what
//! follows.
//!
//! [`Tree`] is the handle. Behind it one task (`keeper`) does one thing after the other: it connects, and connects again;
//! while connected (`serve`, and with it `enlist`, `listen` and `sweeping`) it looks whenever the `inbox` says so. The inbox takes in what comes at all times, also
//! while a look is being carried out.

mod enlist;
mod inbox;
mod keeper;
mod listen;
mod serve;
mod sweeping;
mod timing;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::TreeConfig;
use crate::directory::Particulars;
use crate::flow::Received;
use crate::record::{Place, Registration};
use crate::sessions::SessionChange;
use crate::topology::{ChildChange, TopologyView, Upstream};
use inbox::{Inbox, Request};
use keeper::Keeper;
pub use timing::Timing;

/// How long it takes, as a rule, until it is known whose a name is.
const NAMED_WITHIN: Duration = Duration::from_secs(2);
/// How long a node that stops waits for Redis.
const FAREWELL: Duration = Duration::from_secs(1);

/// A node's place in its tree, kept up to date for as long as this or a clone of it is there.
#[derive(Clone, Debug)]
pub struct Tree {
    requests: mpsc::UnboundedSender<Request>,
    view: watch::Receiver<TreeView>,
}

impl Tree {
    /// Begins to follow Redis. Never fails: what is wrong with Redis is in the view, and is tried again until it works.
    pub fn start<F: Follows>(config: TreeConfig, registration: Registration, node: Arc<F>) -> Tree {
        Tree::start_with(config, registration, node, Timing::default())
    }

    /// The same, with other times than those of docs/contract.md, *Redis*.
    pub fn start_with<F: Follows>(
        config: TreeConfig,
        registration: Registration,
        node: Arc<F>,
        timing: Timing,
    ) -> Tree {
        let (requests, inbox) = mpsc::unbounded_channel();
        let (publish, view) = watch::channel(TreeView::default());
        let inbox = Inbox::new(inbox, &registration, config.redis.database);
        tokio::spawn(Keeper::new(config, registration, node, timing, inbox, publish).run());
        Tree { requests, view }
    }

    /// What is known, and how it stands with Redis.
    pub fn view(&self) -> watch::Receiver<TreeView> {
        self.view.clone()
    }

    /// Waits until it is known that the node's name is its own.
    pub async fn is_named(&self) {
        let mut view = self.view.clone();
        // The other end is gone when the node ends.
        let _ = view.wait_for(|view| view.redis.named && view.redis.taken.is_none()).await;
    }

    /// Whether the node may do what concerns everything of its name, such as tidying up: nobody else is known to have it. Waits
    /// a moment for it to be known.
    pub async fn may_use_name(&self) -> bool {
        let _ = tokio::time::timeout(NAMED_WITHIN, self.is_named()).await;
        self.view.borrow().redis.taken.is_none()
    }

    /// Looks, and returns when what follows has been carried out. The look begins after the call. An error says why
    /// Redis cannot be read.
    pub async fn refresh(&self) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        let stopping = || "the node is stopping".to_owned();
        self.requests.send(Request::Refresh(done)).map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// The node is to be found elsewhere now. Its name stays.
    pub fn register_as(&self, registration: Registration) {
        // After the end there is nobody to tell.
        let _ = self.requests.send(Request::Register(Box::new(registration)));
    }

    /// What the registration says of the node is different now: it is written at once, not with the next look at the node.
    pub fn register_again(&self) {
        let _ = self.requests.send(Request::RegisterAgain);
    }

    /// Takes the registration back, within a second if Redis lets us, and ends.
    pub async fn stop(&self) {
        let (done, answer) = oneshot::channel();
        if self.requests.send(Request::Stop(done)).is_ok() {
            let _ = tokio::time::timeout(FAREWELL, answer).await;
        }
    }
}

/// What a node does with its place in the tree.
pub trait Follows: Send + Sync + 'static {
    /// The children that it has at present, as they were given to it.
    fn have(&self) -> impl Future<Output = BTreeMap<String, Place>> + Send;

    /// Carries out changes, all at once as far as it can. `seen`: when the first event came that led to them. What
    /// cannot be done is said in the node's own status; the next look gives the same change again.
    fn carry_out(&self, changes: Vec<ChildChange>, seen: Instant) -> impl Future<Output = ()> + Send;

    /// Where media is to come from: once after the first look, and whenever it changes, before the changes of that look.
    fn upstream(&self, upstream: Upstream) -> impl Future<Output = ()> + Send {
        drop(upstream);
        std::future::ready(())
    }

    /// What is different about the sessions of the tree: once after the first look, whether there are any or not, and
    /// whenever something is.
    fn sessions(&self, changes: Vec<SessionChange>) -> impl Future<Output = ()> + Send;

    /// `active`, or why the node cannot do its job, for its registration.
    fn health(&self) -> impl Future<Output = String> + Send;

    /// What the whole tree is to know of it besides.
    fn particulars(&self) -> Particulars {
        Particulars::default()
    }

    /// What has come to it since it started, asked every two seconds; `None`: it does not count.
    fn received(&self) -> impl Future<Output = Option<Received>> + Send {
        std::future::ready(None)
    }
}

/// How it stands between a node and Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisView {
    /// Where, without any secret.
    pub server: String,
    /// The last look succeeded, and the next is expected to.
    pub connected: bool,
    /// What is wrong: not reachable, slow, wrong password, read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Keyspace notifications come, so that a plain SADD takes effect at once.
    pub notifications: bool,
    /// Why they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications_problem: Option<String>,
    /// Why it is not known who stands by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby_problem: Option<String>,
    /// The node's own registration has been written and has not expired.
    pub registered: bool,
    /// Why the node is refused: another has its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// The name has been the node's: what Redis has under it may be written.
    #[serde(skip)]
    pub named: bool,
    /// Another wants its name, and is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
    /// Looks at the topology since the start.
    pub looks: u64,
    /// When the last one was.
    #[serde(skip)]
    pub looked: Option<Instant>,
    /// Events that said "look now".
    pub events: u64,
    /// Times that the connection was made again.
    pub reconnects: u64,
    /// Times that the server was found to have lost its data.
    #[serde(default)]
    pub losses: u64,
    /// What this node has taken out of Redis that dead nodes had left there.
    #[serde(default)]
    pub swept: u64,
    /// Why this node leaves that to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep_problem: Option<String>,
}

/// Everything that a node shows of its place in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeView {
    /// Topology.
    pub topology: TopologyView,
    /// Redis.
    pub redis: RedisView,
}
