//! The relay's place in its tree: what Redis told, as far as it is shown, and what the relay says of itself there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use node::config::RedisServer;
use node::media::{PerKind, Ssrc};
use node::record::{NodeType, Registration};
use node::sessions::{Session, SessionChange};
use node::tree::{Tree, TreeView};
use tokio::sync::watch;

use crate::clock::now_ms;
use crate::config::Config;
use crate::net::{NetError, Netlink, Usable, primary};

/// A name server that takes longer does not say in time where Redis is.
const REDIS_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// A relay in its tree, or one that is run without Redis and is in none.
pub struct Membership {
    /// Follows Redis, in a relay that is run with it.
    tree: OnceLock<Tree>,
    /// Where Redis is, as far as that is known.
    redis: OnceLock<SocketAddr>,
    /// ms since 1970 at which the daemon started.
    created: u64,
    /// The node's place in the tree, as it is at each moment; `None` for a relay run without Redis.
    view: RwLock<Option<watch::Receiver<TreeView>>>,
    sessions: RwLock<Sessions>,
}

/// The sessions of the tree.
#[derive(Default)]
struct Sessions {
    ssrcs: BTreeMap<String, PerKind<Ssrc>>,
    /// Sessions of each SSRC, in the order in which they came. Two with one are a mistake of somebody's.
    by_ssrc: BTreeMap<u32, Vec<String>>,
}

impl Sessions {
    fn change(&mut self, change: SessionChange) {
        let id = change.id().to_owned();
        if let SessionChange::Is(Session { ssrcs, .. }) = &change
            && self.ssrcs.get(&id) == Some(ssrcs)
        {
            return;
        }
        for ssrc in self.ssrcs.remove(&id).into_iter().flat_map(PerKind::into_array) {
            let Some(holders) = self.by_ssrc.get_mut(&ssrc.0) else { continue };
            holders.retain(|holder| *holder != id);
            if holders.is_empty() {
                self.by_ssrc.remove(&ssrc.0);
            }
        }
        if let SessionChange::Is(Session { ssrcs, .. }) = change {
            for ssrc in ssrcs.into_array() {
                self.by_ssrc.entry(ssrc.0).or_default().push(id.clone());
            }
            self.ssrcs.insert(id, ssrcs);
        }
    }

    /// Session of each SSRC: of several the one that had it first.
    fn first(&self) -> BTreeMap<u32, String> {
        let first = |(ssrc, holders): (&u32, &Vec<String>)| Some((*ssrc, holders.first()?.clone()));
        self.by_ssrc.iter().filter_map(first).collect()
    }
}

impl Membership {
    /// In no tree yet, from now on.
    pub fn begin() -> Membership {
        Membership {
            tree: OnceLock::new(),
            redis: OnceLock::new(),
            created: now_ms(),
            view: RwLock::default(),
            sessions: RwLock::default(),
        }
    }

    /// Follows the tree from now on.
    pub fn follow(&self, tree: &Tree) {
        self.show_tree(tree.view());
        let _ = self.tree.set(tree.clone());
    }

    /// Reads Redis again; the error says why it cannot be.
    pub async fn refresh(&self) -> Result<(), String> {
        match self.tree.get() {
            Some(tree) => tree.refresh().await,
            None => Ok(()),
        }
    }

    /// Shows the node's place in the tree, as it is at each moment.
    pub fn show_tree(&self, view: watch::Receiver<TreeView>) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
    }

    /// What is different about the sessions of the tree, to be shown from now on.
    pub fn sessions_changed(&self, changes: Vec<SessionChange>) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        changes.into_iter().for_each(|change| sessions.change(change));
    }

    /// What Redis said last; `None` for a relay run without.
    pub fn view(&self) -> Option<TreeView> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.as_ref().map(|view| view.borrow().clone())
    }

    /// Session of each SSRC.
    pub fn sessions(&self) -> BTreeMap<u32, String> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).first()
    }

    /// What the relay registers with. `own`: the address that others reach it by, unless `--node-host` says another.
    pub fn registration(&self, config: &Config, own: Option<IpAddr>) -> Registration {
        let host = config.host.clone().or_else(|| own.map(|own| own.to_string()));
        Registration {
            id: config.node_id.clone(),
            node_type: NodeType::Relay,
            tree_id: config.tree_id.clone(),
            host: host.unwrap_or_default(),
            port: config.api.port(),
            media: config.listen.ports,
            created: self.created,
            zone: config.zone.clone(),
            public_url: config.public_url.clone(),
            admin: None,
        }
    }

    /// What the whole tree is to know of the relay is different now.
    pub fn register_now(&self) {
        if let Some(tree) = self.tree.get() {
            tree.register_again();
        }
    }

    /// The interface's addresses changed: other nodes may have to send media elsewhere.
    pub async fn register_again(
        &self,
        config: &Config,
        netlink: &Netlink,
        ifindex: u32,
        listened: &[IpAddr],
    ) {
        let Some(tree) = self.tree.get() else { return };
        match self.own_address(netlink, ifindex, listened).await {
            Ok(own) => tree.register_as(self.registration(config, own)),
            Err(error) => tracing::warn!("the registration stays as it was: {error}"),
        }
    }

    /// The address that other nodes reach this one by, of those on the interface that media is taken on, unless
    /// `--node-host` says another.
    pub async fn own_address(
        &self,
        netlink: &Netlink,
        ifindex: u32,
        listened: &[IpAddr],
    ) -> Result<Option<IpAddr>, NetError> {
        let mut usable = netlink.usable(ifindex).await?;
        usable.retain(|usable| listened.contains(&usable.address));
        let towards_redis = self.redis.get().and_then(|redis| source_towards(*redis));
        Ok(registered(towards_redis, &usable))
    }

    /// Finds out where Redis is, once: which of our addresses it is reached from is asked again and again.
    pub async fn find_redis(&self, config: &Config) {
        let Some(tree) = &config.tree else { return };
        let host = match &tree.redis.server {
            RedisServer::Single { host, port } => (host.clone(), *port),
            RedisServer::Sentinel { sentinels: others, .. } | RedisServer::Cluster { seeds: others } => {
                match others.first() {
                    Some(first) => first.clone(),
                    None => return,
                }
            }
        };
        let (host, port) = host;
        let found = tokio::time::timeout(REDIS_LOOKUP_TIMEOUT, node::resolve::server(&host, port)).await;
        if let Ok(Ok(address)) = found {
            let _ = self.redis.set(address);
        }
    }
}

/// The address to be registered: the one that Redis is reached from, if it is one that media is taken on, or else the
/// primary one of those.
fn registered(towards_redis: Option<IpAddr>, usable: &[Usable]) -> Option<IpAddr> {
    let ours = |address: &IpAddr| usable.iter().any(|usable| usable.address == *address);
    towards_redis.filter(ours).or_else(|| primary(usable))
}

/// The address that the kernel would send from. Nothing is sent.
fn source_towards(address: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_sessions_with_one_ssrc_each_has_it_while_it_is_there() {
        let is = |id: &str, ssrcs: [u32; 2]| {
            let ssrcs = ssrcs.map(Ssrc).into();
            SessionChange::Is(Session { id: id.to_owned(), ssrcs, room_id: None, video_codec: None })
        };
        let ended = |id: &str| SessionChange::Ended(id.to_owned());
        let mut sessions = Sessions::default();
        let mut after = |change| {
            sessions.change(change);
            sessions.first().into_iter().map(|(ssrc, id)| format!("{ssrc}{id}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(is("a", [1, 2])), "1a 2a");
        assert_eq!(after(is("b", [2, 3])), "1a 2a 3b", "it was a's before");
        assert_eq!(after(is("a", [1, 2])), "1a 2a 3b", "nothing is different");
        assert_eq!(after(ended("a")), "2b 3b");
        assert_eq!(after(is("a", [2, 4])), "2b 3b 4a");
        assert_eq!(after(ended("b")), "2a 4a");
        assert_eq!(after(is("a", [4, 5])), "4a 5a");
        assert_eq!(after(ended("a")), "");
    }
}
