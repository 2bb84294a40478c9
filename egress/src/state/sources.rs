//! Whose media is taken: in a tree the parents', as Redis says ([`node::sources`] decides).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::prefix::Prefix;
use node::repair::OfParent;
use node::resolve;
use node::sources::{HEARD_EVERY, Known};
use node::topology::Upstream;
use tokio::sync::{Notify, watch};

use super::{Egress, locked};

/// How often the parent's host name is looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// What is known of the parent, and what people should know of that.
pub(super) struct Sources {
    known: Mutex<Known>,
    warning: Mutex<Option<String>>,
    /// There is a name to look up.
    named: Notify,
    /// There is a new parent, and media is taken from the former one, too.
    between: watch::Sender<bool>,
}

impl Sources {
    /// Before Redis has said anything. Gives besides where media is taken from until then.
    pub fn new(configured: &BTreeSet<Prefix>) -> (Sources, BTreeSet<Prefix>) {
        let sources = Sources {
            known: Mutex::new(Known::new(configured).overlapping()),
            warning: Mutex::default(),
            named: Notify::new(),
            between: watch::Sender::new(false),
        };
        let first = match configured.is_empty() {
            true => BTreeSet::from([Prefix::ANY]),
            false => configured.clone(),
        };
        (sources, first)
    }

    /// What people should know of it.
    pub fn warning(&self) -> Option<String> {
        locked(&self.warning).clone()
    }

    /// There are two parents for a moment; if it lasts, the new one does not send.
    pub fn overlap(&self) -> Option<String> {
        locked(&self.known).overlap()
    }

    /// There is a new parent, and media is taken from the former one, too.
    pub fn is_between(&self) -> bool {
        *self.between.borrow()
    }
}

impl Egress {
    /// Redis says where media is to come from.
    pub(super) fn take_from(&self, upstream: Upstream) {
        if let Some(parent) = &upstream.parent {
            self.has_parent(parent);
        }
        // What has come so far came from whoever has been the parent.
        self.read_parent();
        locked(&self.sources.known).hear(upstream);
        self.read_parent();
        self.admit();
        self.sources.named.notify_one();
    }

    /// While media is taken from a former parent as well, looks whether it is needed; for ever.
    pub async fn keep_parent(self: Arc<Self>) {
        let mut between = self.sources.between.subscribe();
        while between.wait_for(|between| *between).await.is_ok() {
            tokio::time::sleep(HEARD_EVERY).await;
            let (streams, now) = self.media.streams();
            let mut known = locked(&self.sources.known);
            if known.is_superseded(&streams, now) {
                known.settle();
                drop(known);
                self.admit();
            }
        }
    }

    /// What has come from the parent is its own. Gives who that is, and how much.
    pub(super) fn read_parent(&self) -> Option<(String, u64)> {
        let known = locked(&self.sources.known);
        let mut parents = locked(&self.parents);
        parents.read(known.parents_name(), self.media.taken());
        self.media.repair_of_parents(&known);
        parents.shown()
    }

    /// What was missing of each parent's, and what became of it.
    pub(super) fn repair_of_parents(&self) -> Vec<OfParent> {
        self.media.repair_of_parents(&locked(&self.sources.known))
    }

    /// Of an egress with standby parents: each of its parents, and whether media comes from it.
    pub(super) fn heard(&self) -> Vec<(String, bool)> {
        let (streams, now) = self.media.streams();
        locked(&self.sources.known).heard(&streams, now)
    }

    /// Looks the parents' hosts up, for ever.
    pub async fn keep_sources(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(RESOLVE_EVERY, self.sources.named.notified()).await;
            let hosts = locked(&self.sources.known).hosts();
            for host in &hosts {
                let addresses = resolve::resolve(host).await.unwrap_or_else(|why| {
                    tracing::debug!("a parent: {why}");
                    Vec::new()
                });
                // Of one that is none any more nothing is kept.
                locked(&self.sources.known).resolved(host, addresses);
            }
            if !hosts.is_empty() {
                self.admit();
            }
        }
    }

    /// Takes media from where it is to come from, as far as that is known.
    fn admit(&self) {
        let known = locked(&self.sources.known);
        let (between, twice) = (known.is_between(), known.comes_twice());
        let Some((sources, warning)) = known.decide() else { return };
        // In the order of what is known.
        if self.media.senders.set(sources, twice) {
            tracing::info!("media is taken from {}", self.media.senders.shown().join(", "));
        }
        let is_news =
            self.sources.between.send_if_modified(|said| std::mem::replace(said, between) != between);
        drop(known);
        if is_news && let Some(tree) = self.tree.get() {
            tree.register_again();
        }
        let mut said = locked(&self.sources.warning);
        if let Some(why) = warning.as_ref().filter(|why| said.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        *said = warning;
    }
}
