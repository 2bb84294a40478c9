//! The egress in its tree: sessions become mountpoints. It has no children.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use node::directory::{Entry, Particulars, WHEP};
use node::flow::Received;
use node::media::VideoCodec;
use node::record::{NodeType, Place, Registration};
use node::sessions::{Session, SessionChange};
use node::sources::Known;
use node::topology::{ChildChange, Upstream};
use node::tree::{Follows, Tree, TreeView};
use node::watch::BESIDE;
use tokio::sync::watch;

use super::{Egress, locked};
use crate::mountpoints::Spec;

impl Follows for Egress {
    async fn have(&self) -> BTreeMap<String, Place> {
        BTreeMap::new()
    }

    async fn carry_out(&self, changes: Vec<ChildChange>, _seen: Instant) {
        for change in changes {
            tracing::debug!("an egress has no children: {change}");
        }
    }

    async fn upstream(&self, upstream: Upstream) {
        self.take_from(upstream);
    }

    async fn sessions(&self, changes: Vec<SessionChange>) {
        let mut books = self.books();
        for change in changes {
            match change {
                SessionChange::Is(session) => books.begins(spec(session)),
                SessionChange::Ended(session) => books.ends(&session),
            }
        }
        drop(books);
        // Redis is not kept waiting for Janus.
        self.wake.notify_one();
    }

    async fn health(&self) -> String {
        self.status_word().to_owned()
    }

    fn particulars(&self) -> Particulars {
        let [viewers, max_viewers] =
            self.capacity.viewers().map(|count| count.try_into().unwrap_or(u32::MAX));
        let whep_path = Some(&self.config.whep_path).filter(|path| *path != WHEP).cloned();
        let (draining, cut_off) = (self.drain.is_on(), self.standing().borrow().cut().is_some());
        let (between_parents, unheard) = (self.sources.is_between(), Known::silent(&self.heard()));
        Particulars {
            draining,
            drain_problem: self.drain.problem(),
            cut_off,
            between_parents,
            unheard,
            viewers,
            max_viewers,
            whep_path,
            ..Particulars::default()
        }
    }

    async fn received(&self) -> Option<Received> {
        let lanes = self.media.received().into_iter();
        let (packets, bytes) = lanes.fold((0, 0), |sum, lane| (sum.0 + lane.0, sum.1 + lane.1));
        let repaired = self.media.repair().map_or(0, |found| found.asking.repaired);
        Some(Received { packets, bytes, lost: self.media.lost(), repaired })
    }
}

impl Egress {
    /// Follows the tree from now on.
    pub fn in_tree(self: &Arc<Self>, tree: &Tree) {
        tokio::spawn(self.clone().mend_losses(tree.view()));
        let _ = self.tree.set(tree.clone());
    }

    /// Viewers find the egress by what is in Redis: what a server has lost is written again at once.
    async fn mend_losses(self: Arc<Self>, mut view: watch::Receiver<TreeView>) {
        let mut losses = 0;
        while view.changed().await.is_ok() {
            let now = view.borrow_and_update().redis.losses;
            if std::mem::replace(&mut losses, now) != now
                && let Some(records) = &*locked(&self.records)
            {
                records.send_modify(|_| {});
            }
        }
    }

    /// Its own entry in the directory, as it is now, for those who ask here; `None` if it does not carry the session. Without
    /// `--public-url` it is where whoever asks has found it.
    pub(super) fn entry_for(&self, session: &str) -> Option<Entry> {
        self.shown(session).ok()?;
        let parent = self.tree_view().topology.parent;
        let entry = Entry::new(&self.registration(), self.status_word(), parent, self.particulars());
        let url = self.config.node.public_url.clone().unwrap_or_else(|| BESIDE.to_owned());
        Some(Entry { url, ..entry })
    }

    /// `active`, or why not.
    fn status_word(&self) -> &'static str {
        let word = if self.troubles().is_empty() { "active" } else { "degraded" };
        self.drain.word().unwrap_or(word)
    }

    /// What the egress says of itself in Redis.
    pub fn registration(&self) -> Registration {
        Registration {
            id: self.config.node.node_id.clone(),
            node_type: NodeType::Egress,
            tree_id: self.config.node.tree_id.clone(),
            host: self.config.node.host.clone().unwrap_or_default(),
            port: self.config.api.port(),
            media: self.config.media,
            created: self.created,
            zone: self.config.node.zone.clone(),
            public_url: self.config.node.public_url.clone(),
            admin: self.config.auth.admin,
        }
    }
}

fn spec(session: Session) -> Spec {
    let codec = session.video_codec.as_deref().map(|name| (name, VideoCodec::parse(name)));
    if let Some((name, None)) = codec {
        tracing::warn!("session {}: the codec {name} is unknown; taken for vp8", session.id);
    }
    Spec {
        session: session.id,
        ssrcs: session.ssrcs,
        room: session.room_id.filter(|room| node::contract::is_room(*room)),
        codec: codec.and_then(|(_, codec)| codec).unwrap_or_default(),
    }
}
