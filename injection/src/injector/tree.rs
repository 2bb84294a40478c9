//! The injection in its tree: children become recipients.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use node::media::PerKind;
use node::record::{NodeType, Place, Registration};
use node::resolve::Families;
use node::topology::Command;
use node::tree::{Follows, Session, Tree, TreeView};
use tokio::sync::watch;

use super::Injector;
use crate::session::Recipient;

impl Follows for Injector {
    async fn have(&self) -> BTreeMap<String, Place> {
        self.state().children.clone()
    }

    async fn carry_out(&self, commands: Vec<Command>, seen: Instant) {
        {
            let mut state = self.state();
            for command in &commands {
                match command.clone() {
                    Command::Remove { id } => state.children.remove(&id),
                    Command::Move { id, place } | Command::Add { id, place } => {
                        state.children.insert(id, place)
                    }
                };
            }
        }
        self.apply().await;
        for command in &commands {
            tracing::info!("{command} ({} ms)", seen.elapsed().as_millis());
        }
    }

    /// The truth about our own sessions is here, and others' are not our business.
    async fn sessions(&self, _: Vec<Session>) {}

    async fn health(&self) -> String {
        if self.problems().is_empty() { "active" } else { "degraded" }.to_owned()
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
        }
    }

    /// Tells every pipeline whom to send to, as things are now.
    pub(super) async fn apply(&self) {
        let _applying = self.applying.lock().await;
        let (children, entries, known) = {
            let state = self.state();
            let children: Vec<Recipient> = state.children.values().map(recipient).collect();
            (children, state.sessions.values().cloned().collect::<Vec<_>>(), state.hosts.clone())
        };
        let send = |hosts: &BTreeMap<String, Result<IpAddr, String>>| {
            for entry in &entries {
                let recipients = match entry.session.recipients.is_empty() {
                    true => &children,
                    false => &entry.session.recipients,
                };
                entry.feed.send_to(&addresses(recipients, hosts));
            }
        };
        // Whoever's address is known does not wait for a name server.
        send(&known);
        let explicit = entries.iter().flat_map(|entry| &entry.session.recipients);
        let names = children.iter().chain(explicit).map(|to| to.host.clone());
        let names: BTreeSet<String> = names.filter(|name| name.parse::<IpAddr>().is_err()).collect();
        let hosts = resolve(names, &known).await;
        send(&hosts);
        self.state().hosts = hosts;
    }
}

/// A child as a recipient.
pub(super) fn recipient(place: &Place) -> Recipient {
    let [audio_port, video_port] = place.ports;
    Recipient { host: place.host.clone(), audio_port, video_port }
}

/// Addresses of audio and video; those whose name means nothing at present are left out.
fn addresses(
    recipients: &[Recipient],
    hosts: &BTreeMap<String, Result<IpAddr, String>>,
) -> PerKind<BTreeSet<SocketAddr>> {
    let of = |port: fn(&Recipient) -> u16| {
        let address = |to: &Recipient| match to.host.parse() {
            Ok(address) => Some(address),
            Err(_) => hosts.get(&to.host)?.as_ref().ok().copied(),
        };
        recipients.iter().filter_map(|to| Some(SocketAddr::new(address(to)?, port(to)))).collect()
    };
    PerKind { audio: of(|to| to.audio_port), video: of(|to| to.video_port) }
}

/// What names mean now. One that cannot be looked up at this moment keeps what it meant before; one that means several
/// addresses keeps the one that is sent to. Media goes out over both IP versions, so none of them is preferred to what
/// [`node::resolve::choose`] takes while there is no media.
async fn resolve(
    names: BTreeSet<String>,
    known: &BTreeMap<String, Result<IpAddr, String>>,
) -> BTreeMap<String, Result<IpAddr, String>> {
    let answers = node::resolve::resolve_all(names).await;
    answers
        .into_iter()
        .map(|(name, answer)| {
            let before = known.get(&name);
            if let (Err(why), true) = (&answer, before.is_none_or(Result::is_ok)) {
                tracing::warn!("{why}");
            }
            (name, meaning(answer, before))
        })
        .collect()
}

fn meaning(
    answer: Result<Vec<IpAddr>, String>,
    before: Option<&Result<IpAddr, String>>,
) -> Result<IpAddr, String> {
    let before = before.and_then(|before| before.as_ref().ok().copied());
    match answer {
        Ok(addresses) => node::resolve::choose(&addresses, before, Families::NONE, Families::NONE)
            .ok_or_else(|| "it has no address".to_owned()),
        Err(why) => before.ok_or(why),
    }
}

/// The address that Redis sees us by; other nodes reach us there as a rule.
async fn own_address(config: &crate::config::Config) -> String {
    let nowhere = || "127.0.0.1".to_owned();
    let Some(tree) = &config.tree else { return nowhere() };
    let (host, port) = match &tree.redis.server {
        node::config::RedisServer::Single { host, port } => (host.clone(), *port),
        node::config::RedisServer::Sentinel { sentinels, .. } => match sentinels.first() {
            Some(sentinel) => sentinel.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_meaning_as_long_as_it_can() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let [low, high, six] = ["10.0.0.1", "10.0.0.2", "fd00::1"].map(ip);
        let table = [
            (vec![six, high, low], None, low),
            // The one that is sent to stays, though a lower one has come.
            (vec![low, high], Some(high), high),
            (vec![low, six], Some(six), six),
            // It has to change: within its IP version, if that can be.
            (vec![low, six], Some(high), low),
            (vec![six], Some(high), six),
        ];
        for (answer, before, wanted) in table {
            let before = before.map(Ok);
            assert_eq!(meaning(Ok(answer.clone()), before.as_ref()), Ok(wanted), "{answer:?} {before:?}");
        }
        let failed = || Err("no answer".to_owned());
        assert_eq!(meaning(failed(), Some(&Ok(high))), Ok(high), "what was known is better than nothing");
        assert_eq!(meaning(failed(), Some(&Err("before".to_owned()))), Err("no answer".to_owned()));
    }

    #[test]
    fn unknown_hosts_are_left_out_and_equal_ones_count_once() {
        let to = |host: &str, audio_port| Recipient { host: host.to_owned(), audio_port, video_port: 5004 };
        let hosts = BTreeMap::from([
            ("a".to_owned(), Ok("10.0.0.1".parse().unwrap())),
            ("b".to_owned(), Ok("fd00::1".parse().unwrap())),
            ("c".to_owned(), Err("no such host".to_owned())),
        ]);
        let PerKind { audio, video } = addresses(
            &[
                to("a", 5002),
                to("10.0.0.1", 5002),
                to("a", 6002),
                to("fd00::1", 5002),
                to("b", 5002),
                to("c", 5002),
            ],
            &hosts,
        );
        let text = |set: BTreeSet<SocketAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(audio), ["10.0.0.1:5002", "10.0.0.1:6002", "[fd00::1]:5002"]);
        assert_eq!(text(video), ["10.0.0.1:5004", "[fd00::1]:5004"]);
    }
}
