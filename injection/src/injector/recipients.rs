//! [`Recipients`]: whom sessions' media goes to. The node's children and their host names become addresses of pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use node::addresses::is_no_host;
use node::media::PerKind;
use node::record::Place;
use node::resolve::Families;
use node::topology::ChildChange;

use super::live::LiveSession;
use super::lock;
use super::sent::{Counts, Owners, Sent};
use crate::answers::Answers;
use crate::session::Recipient;

/// The node's children, and what host names mean at present: an address, or why none.
pub(super) struct Recipients {
    children: Mutex<BTreeMap<String, Place>>,
    hosts: Mutex<Hosts>,
    sent: Mutex<Sent>,
    /// What they ask for again.
    answers: Arc<Answers>,
    /// Held by whoever tells pipelines whom to send to.
    applying: tokio::sync::Mutex<()>,
}

impl Recipients {
    /// None yet.
    pub fn new(answers: Arc<Answers>) -> Recipients {
        Recipients {
            children: Mutex::default(),
            hosts: Mutex::default(),
            sent: Mutex::default(),
            answers,
            applying: tokio::sync::Mutex::default(),
        }
    }

    /// The children as they were given to us, by name.
    pub fn children(&self) -> BTreeMap<String, Place> {
        lock(&self.children).clone()
    }

    /// The children as recipients.
    pub fn of_children(&self) -> Vec<Recipient> {
        lock(&self.children).values().map(recipient).collect()
    }

    /// Children come, move and go. [`apply`](Self::apply) makes it so.
    pub fn change(&self, changes: &[ChildChange]) {
        let mut children = lock(&self.children);
        for change in changes.iter().cloned() {
            match change {
                ChildChange::Remove { id } => children.remove(&id),
                ChildChange::Move { id, place } | ChildChange::Add { id, place } => {
                    children.insert(id, place)
                }
            };
        }
    }

    /// Host names that mean nothing at present, and why.
    pub fn unresolved(&self) -> BTreeMap<String, String> {
        let hosts = lock(&self.hosts);
        hosts.iter().filter_map(|(host, found)| Some((host.clone(), found.as_ref().err()?.clone()))).collect()
    }

    /// Children that nothing can be sent to, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        refused(&lock(&self.children), &lock(&self.hosts))
    }

    /// Tells the pipelines of all sessions whom to send to. Those are asked for once it is this call's turn.
    pub async fn apply(&self, sessions: impl FnOnce() -> Vec<Arc<LiveSession>>) {
        let _applying = self.applying.lock().await;
        let (children, sessions, known) = (self.children(), sessions(), lock(&self.hosts).clone());
        // Whoever's address is known does not wait for a name server.
        self.send(&children, &sessions, &known).await;
        let explicit = sessions.iter().flat_map(|live| &live.session.recipients).map(|to| &to.host);
        let names: BTreeSet<String> =
            children.values().map(|place| &place.host).chain(explicit).cloned().collect();
        let hosts = resolve(names, &known).await;
        self.send(&children, &sessions, &hosts).await;
        *lock(&self.hosts) = hosts;
    }

    /// What each child was sent, and has asked for again. `sessions`: all that there are.
    pub fn sent(&self, sessions: &[Arc<LiveSession>]) -> Vec<(String, Counts)> {
        let mut sent = lock(&self.sent);
        sent.answered(self.answers.take_answered());
        sessions.iter().for_each(|live| sent.took(live.feed.take_sent()));
        sent.shown()
    }

    /// Has the pipelines send, and keeps the books of who was sent what.
    async fn send(&self, children: &BTreeMap<String, Place>, sessions: &[Arc<LiveSession>], hosts: &Hosts) {
        let owners = owners(children, hosts);
        self.sent(sessions);
        lock(&self.sent).and(&owners);
        let recipients: Vec<Recipient> = children.values().map(recipient).collect();
        send(&recipients, sessions, hosts).await;
        self.sent(sessions);
        lock(&self.sent).only(owners);
    }
}

/// Has the pipelines send to their recipients, as far as it is known where those are.
async fn send(children: &[Recipient], sessions: &[Arc<LiveSession>], hosts: &Hosts) {
    let wanted: Vec<_> = sessions
        .iter()
        .map(|live| {
            let recipients = match live.session.recipients.is_empty() {
                true => children,
                false => &live.session.recipients,
            };
            (live.clone(), addresses(recipients, hosts))
        })
        .filter(|(live, to)| live.feed.clients() != *to)
        .collect();
    if wanted.is_empty() {
        return;
    }
    // A change waits for the moment between two packets, on a thread that has nothing else to do.
    let sending = move || wanted.iter().for_each(|(live, to)| live.feed.send_to(to));
    if let Err(error) = tokio::task::spawn_blocking(sending).await {
        tracing::error!("recipients were not changed: {error}");
    }
}

/// What hosts mean at present: an address, or why none.
type Hosts = BTreeMap<String, Result<IpAddr, String>>;

/// A child as a recipient.
fn recipient(place: &Place) -> Recipient {
    let [audio_port, video_port] = place.ports;
    Recipient { host: place.host.clone(), audio_port, video_port }
}

/// Addresses of audio and video; those whose name means nothing at present are left out.
fn addresses(recipients: &[Recipient], hosts: &Hosts) -> PerKind<BTreeSet<SocketAddr>> {
    let of = |port: fn(&Recipient) -> u16| {
        recipients
            .iter()
            .filter_map(|to| Some(SocketAddr::new(address(&to.host, hosts)?, port(to))))
            .collect()
    };
    PerKind { audio: of(|to| to.audio_port), video: of(|to| to.video_port) }
}

/// Children whose host means nothing, and why.
fn refused(children: &BTreeMap<String, Place>, hosts: &Hosts) -> BTreeMap<String, String> {
    let why = |place: &Place| hosts.get(&place.host)?.as_ref().err().cloned();
    children.iter().filter_map(|(name, place)| Some((name.clone(), why(place)?))).collect()
}

/// Which child is sent to at an address.
fn owners(children: &BTreeMap<String, Place>, hosts: &Hosts) -> Owners {
    PerKind::from_fn(|kind| {
        let of = |(name, place): (&String, &Place)| {
            let port = place.ports[usize::from(kind.number())];
            Some((SocketAddr::new(address(&place.host, hosts)?, port), name.clone()))
        };
        children.iter().filter_map(of).collect()
    })
}

/// What a host means at present, if it means one.
fn address(host: &str, hosts: &Hosts) -> Option<IpAddr> {
    match (hosts.get(host), host.parse()) {
        (Some(known), _) => known.as_ref().ok().copied(),
        // A child that has just come: who is no host is left out all the same.
        (None, Ok(address)) => is_no_host(&address, &BTreeSet::new()).is_none().then_some(address),
        (None, Err(_)) => None,
    }
}

/// What names mean now. One that cannot be looked up at this moment keeps what it meant before; one that means several
/// addresses keeps the one that is sent to. Media goes out over both IP versions, so none of them is preferred to what
/// [`node::resolve::choose`] takes while there is no media.
async fn resolve(names: BTreeSet<String>, known: &Hosts) -> Hosts {
    let answers = node::resolve::resolve_all(names).await;
    let broadcasts = node::addresses::broadcasts();
    answers
        .into_iter()
        .map(|(name, answer)| {
            let (before, answer) =
                (known.get(&name), answer.and_then(|found| hosts_of(&name, found, &broadcasts)));
            if let (Err(why), true) = (&answer, before.is_none_or(Result::is_ok)) {
                tracing::warn!("{why}");
            }
            (name, meaning(answer, before))
        })
        .collect()
}

/// The addresses that are one host each; media is never sent to nobody, or to many.
fn hosts_of(name: &str, found: Vec<IpAddr>, broadcasts: &BTreeSet<IpAddr>) -> Result<Vec<IpAddr>, String> {
    let odd = found.iter().find_map(|address| Some((*address, is_no_host(address, broadcasts)?)));
    let hosts: Vec<IpAddr> =
        found.into_iter().filter(|address| is_no_host(address, broadcasts).is_none()).collect();
    match (hosts.is_empty(), odd) {
        (true, Some((address, what))) => {
            Err(format!("host '{name}' is {address}, {what}: nothing is sent there"))
        }
        _ => Ok(hosts),
    }
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
    fn nothing_is_sent_to_nobody_or_to_many() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let broadcasts = BTreeSet::from([ip("10.0.0.255")]);
        let of = |found: &[&str]| hosts_of("a", found.iter().map(|text| ip(text)).collect(), &broadcasts);
        assert_eq!(of(&["0.0.0.0", "10.0.0.7"]), Ok(vec![ip("10.0.0.7")]));
        for odd in ["0.0.0.0", "224.0.0.1", "10.0.0.255", "::"] {
            let why = of(&[odd]).unwrap_err();
            assert!(why.contains(odd) && why.contains("nothing is sent"), "{why}");
        }
        let to = |host: &str| Recipient { host: host.to_owned(), audio_port: 5002, video_port: 5004 };
        assert!(addresses(&[to("224.0.0.1")], &BTreeMap::new()).audio.is_empty(), "before it is looked into");
    }

    #[test]
    fn a_child_that_nothing_can_be_sent_to_is_named() {
        let place = |host: &str| Place { host: host.to_owned(), ports: [5002, 5004] };
        let children = ["a", "b", "c"].map(|name| (name.to_owned(), place(name)));
        let hosts = BTreeMap::from([
            ("a".to_owned(), Ok("10.0.0.1".parse().unwrap())),
            ("b".to_owned(), Err("no such host".to_owned())),
        ]);
        let wanted = BTreeMap::from([("b".to_owned(), "no such host".to_owned())]);
        assert_eq!(refused(&children.into(), &hosts), wanted, "c is being looked up");
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
