//! The injection in its tree: children become recipients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use node::directory::Particulars;
use node::flow::Received;
use node::record::{NodeType, Place, Registration};
use node::sessions::SessionChange;
use node::topology::ChildChange;
use node::tree::{Follows, Tree, TreeView};
use tokio::sync::watch;

use super::Injector;
use crate::session::Taken;

impl Follows for Injector {
    async fn have(&self) -> BTreeMap<String, Place> {
        self.recipients.children()
    }

    async fn carry_out(&self, changes: Vec<ChildChange>, seen: Instant) {
        self.recipients.change(&changes);
        self.apply().await;
        for change in &changes {
            tracing::info!("{change} ({} ms)", seen.elapsed().as_millis());
        }
    }

    /// The truth about our own sessions is here; what others have, a new one of ours cannot.
    async fn sessions(&self, changes: Vec<SessionChange>) {
        let mut state = self.state();
        state.met = true;
        for change in changes {
            match change {
                SessionChange::Is(session) => {
                    let taken = Taken {
                        same_tree: true,
                        room: session.room_id,
                        ssrcs: session.ssrcs.into_array().to_vec(),
                        id: session.id.clone(),
                    };
                    state.neighbours.insert(session.id, taken);
                }
                SessionChange::Ended(id) => drop(state.neighbours.remove(&id)),
            }
        }
    }

    async fn health(&self) -> String {
        let word = if self.is_well() { "active" } else { "degraded" };
        self.drain.word().unwrap_or(word).to_owned()
    }

    fn particulars(&self) -> Particulars {
        Particulars {
            draining: self.drain.is_on(),
            drain_problem: self.drain.problem(),
            ..Particulars::default()
        }
    }

    /// What it sends. Between Janus and here nothing is counted as lost: what the kernel drops there is a warning.
    async fn received(&self) -> Option<Received> {
        let counts = self.counted().into_array();
        Some(counts.into_iter().fold(Received::default(), |sum, count| Received {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
            lost: 0,
            repaired: 0,
        }))
    }
}

impl Injector {
    /// Follows the tree from now on.
    pub fn in_tree(self: &Arc<Self>, tree: Tree) {
        tokio::spawn(self.clone().mend_losses(tree.view()));
        let _ = self.tree.set(tree);
    }

    /// Others hold sessions that a server lost for a grace: by then they have to be there again.
    async fn mend_losses(self: Arc<Self>, mut view: watch::Receiver<TreeView>) {
        let mut losses = 0;
        while view.changed().await.is_ok() {
            let now = view.borrow_and_update().redis.losses;
            if std::mem::replace(&mut losses, now) != now {
                self.retry.notify_one();
            }
        }
    }

    /// What the injection says of itself in Redis.
    pub async fn registration(&self) -> Registration {
        let host = match &self.config.host {
            Some(host) => host.clone(),
            None => own_address(&self.config).await,
        };
        Registration {
            id: self.config.node_id.clone(),
            node_type: NodeType::Injection,
            tree_id: self.config.tree_id.clone(),
            host,
            port: self.config.api.port(),
            media: self.config.ports,
            created: self.created,
            zone: self.config.zone.clone(),
            public_url: self.config.public_url.clone(),
            admin: self.config.auth.admin,
        }
    }

    /// Tells every pipeline whom to send to, as things are now.
    pub(super) async fn apply(&self) {
        self.recipients.apply(|| self.entries()).await;
    }
}

/// The address that Redis sees us by; other nodes reach us there as a rule.
async fn own_address(config: &crate::config::Config) -> String {
    let nowhere = || "127.0.0.1".to_owned();
    let Some(tree) = &config.tree else { return nowhere() };
    let (host, port) = match &tree.redis.server {
        node::config::RedisServer::Single { host, port } => (host.clone(), *port),
        node::config::RedisServer::Sentinel { sentinels: others, .. }
        | node::config::RedisServer::Cluster { seeds: others } => match others.first() {
            Some(first) => first.clone(),
            None => return nowhere(),
        },
    };
    let probe = async {
        let place = node::resolve::server(&host, port).await.ok()?;
        let any: IpAddr = match place {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = tokio::net::UdpSocket::bind((any, 0)).await.ok()?;
        socket.connect(place).await.ok()?;
        socket.local_addr().ok().map(|address| address.ip().to_string())
    };
    probe.await.unwrap_or_else(nowhere)
}
