//! Whose media is taken: in a tree the parent's, as Redis says ([`node::sources`] decides).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::prefix::Prefix;
use node::resolve;
use node::sources::Known;
use node::topology::Upstream;
use tokio::sync::Notify;

use super::{Egress, locked};

/// How often the parent's host name is looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// What is known of the parent, and what people should know of that.
pub(super) struct Sources {
    known: Mutex<Known>,
    warning: Mutex<Option<String>>,
    /// There is a name to look up.
    named: Notify,
}

impl Sources {
    /// Before Redis has said anything. Gives besides where media is taken from until then.
    pub fn new(configured: &BTreeSet<Prefix>) -> (Sources, BTreeSet<Prefix>) {
        let sources = Sources {
            known: Mutex::new(Known::new(configured)),
            warning: Mutex::default(),
            named: Notify::new(),
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

    /// What has come from the parent is its own. Gives who that is, and how much.
    pub(super) fn read_parent(&self) -> Option<(String, u64)> {
        let known = locked(&self.sources.known);
        let mut parents = locked(&self.parents);
        parents.read(known.parents_name(), self.media.taken());
        parents.shown()
    }

    /// Looks the parent's host up, for ever.
    pub async fn keep_sources(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(RESOLVE_EVERY, self.sources.named.notified()).await;
            let host = locked(&self.sources.known).parents_host().map(str::to_owned);
            let Some(host) = host else { continue };
            let addresses = resolve::resolve(&host).await.unwrap_or_else(|why| {
                tracing::debug!("the parent: {why}");
                Vec::new()
            });
            let mut known = locked(&self.sources.known);
            // Another parent may have been named meanwhile.
            if known.parents_host() == Some(&host) {
                known.resolved(host, addresses);
            }
            drop(known);
            self.admit();
        }
    }

    /// Takes media from where it is to come from, as far as that is known.
    fn admit(&self) {
        let Some((sources, warning)) = locked(&self.sources.known).decide() else { return };
        let mut said = locked(&self.sources.warning);
        if let Some(why) = warning.as_ref().filter(|why| said.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        *said = warning;
        if self.media.senders.set(sources) {
            tracing::info!("media is taken from {}", self.media.senders.shown().join(", "));
        }
    }
}
