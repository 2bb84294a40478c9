use super::*;
use crate::media::{PerKind, Ssrc};

const GRACE: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn session(id: &str) -> Session {
    Session { id: id.to_owned(), ssrcs: [1, 2].map(Ssrc).into(), room_id: None, video_codec: None }
}

/// What Redis has of sessions: what a look finds is asked of it.
#[derive(Clone, Default)]
struct Store {
    names: Names,
    index: BTreeSet<String>,
    hashes: BTreeMap<String, SessionHash>,
    /// ms since 1970.
    clock: u64,
    /// Hashes read so far.
    read: usize,
}

impl Store {
    /// As an injection writes it. Gives the event.
    fn begin(&mut self, id: &str) -> News {
        self.by_hand(id);
        self.names.indexed.insert(id.to_owned());
        self.index.insert(id.to_owned());
        self.change(SessionChange::Is(session(id)))
    }

    fn end(&mut self, id: &str) -> News {
        self.hashes.get_mut(id).unwrap().active = Some("false".to_owned());
        for names in [&mut self.names.active, &mut self.names.indexed, &mut self.index] {
            names.remove(id);
        }
        self.change(SessionChange::Ended(id.to_owned()))
    }

    fn change(&mut self, change: SessionChange) -> News {
        let after = self.names.version;
        self.names.version = self.clock.max(after + 1);
        News { version: self.names.version, after, change }
    }

    /// As somebody types it, or an older injection writes it.
    fn by_hand(&mut self, id: &str) {
        let hash = SessionHash {
            ssrcs: PerKind { audio: Some("1".to_owned()), video: Some("2".to_owned()) },
            tree_id: Some("t".to_owned()),
            active: Some("true".to_owned()),
            ..SessionHash::default()
        };
        self.names.active.insert(id.to_owned());
        self.hashes.insert(id.to_owned(), hash);
    }

    /// One look; the names of what is told, ended ones with a minus.
    fn look(&mut self, sessions: &mut Sessions, now: Duration) -> Option<Vec<String>> {
        let names = self.names.clone();
        let index = sessions.wants_index(&names, now).then(|| self.index.clone());
        let wanted = sessions.wanted(&names, index.as_ref());
        self.read += wanted.len();
        let hashes = wanted
            .into_iter()
            .map(|id| (id.clone(), self.hashes.get(&id).cloned().unwrap_or_default()))
            .collect();
        let (changes, _) = sessions.observe(Look { names, index, hashes }, now);
        changes.map(|changes| told(&changes))
    }
}

fn told(changes: &[SessionChange]) -> Vec<String> {
    let word = |change: &SessionChange| match change {
        SessionChange::Is(session) => session.id.clone(),
        SessionChange::Ended(id) => format!("-{id}"),
    };
    changes.iter().map(word).collect()
}

/// Follows a tree in which injections have begun these.
fn following(ids: &[&str]) -> (Store, Sessions) {
    let (mut store, mut sessions) = (Store::default(), Sessions::new("t", GRACE));
    for id in ids {
        store.begin(id);
    }
    assert_eq!(store.look(&mut sessions, at(0)).unwrap(), ids);
    (store, sessions)
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_event_is_all_it_takes() {
    let (mut store, mut sessions) = following(&["a", "b"]);
    store.read = 0;
    let news = store.begin("c");
    assert_eq!(told(&sessions.hear(news.clone(), at(1))), ["c"]);
    assert_eq!(told(&sessions.hear(news, at(1))), NOTHING, "the same again");
    let news = store.end("a");
    assert_eq!(told(&sessions.hear(news, at(1))), ["-a"]);
    assert_eq!(sessions.due(), None);
    assert_eq!(store.look(&mut sessions, at(30)), None, "the repair finds nothing");
    assert_eq!(store.read, 0, "and reads no hash");
}

#[test]
fn the_first_look_tells_even_of_nothing() {
    let (mut store, mut sessions) = (Store::default(), Sessions::new("t", GRACE));
    assert_eq!(store.look(&mut sessions, at(0)).unwrap(), NOTHING);
    assert_eq!(store.look(&mut sessions, at(1)), None);
}

#[test]
fn a_missed_event_is_made_good_by_reading() {
    let (mut store, mut sessions) = following(&["a"]);
    let missed = store.begin("b");
    let news = store.begin("c");
    assert_eq!(told(&sessions.hear(news, at(1))), NOTHING);
    assert_eq!(sessions.due(), Some(at(1) + PATIENCE));
    // It comes late after all: events of a Cluster may overtake each other.
    let mut other = sessions.clone();
    assert_eq!(told(&other.hear(missed, at(1))), ["b", "c"]);
    assert_eq!(other.due(), None);
    // It does not.
    assert_eq!(store.look(&mut sessions, at(1) + PATIENCE).unwrap(), ["b", "c"]);
    assert_eq!(sessions.due(), None);
    let news = store.end("b");
    assert_eq!(told(&sessions.hear(news, at(3))), ["-b"], "and events are enough again");
}

#[test]
fn a_look_that_is_faster_than_the_event_reads_nothing() {
    let (mut store, mut sessions) = following(&["a"]);
    store.read = 0;
    let news = store.begin("b");
    assert_eq!(store.look(&mut sessions, at(1)), None);
    assert_eq!(store.read, 0);
    assert_eq!(told(&sessions.hear(news, at(1))), ["b"]);
    assert_eq!(sessions.due(), None);
    // One that never comes.
    store.begin("c");
    assert_eq!(store.look(&mut sessions, at(2)), None);
    let due = sessions.due().unwrap();
    assert_eq!(store.look(&mut sessions, due).unwrap(), ["c"]);
}

#[test]
fn a_replica_that_lacks_the_last_changes_is_read_as_a_whole() {
    let (mut store, mut sessions) = following(&["a"]);
    let mut replica = store.clone();
    let news = store.begin("b");
    sessions.hear(news, at(1));
    assert_eq!(replica.clone().look(&mut sessions.clone(), at(2)).unwrap(), ["-b"]);
    // Or it has had others since, so that its number is a later one.
    replica.clock = 1_700_000_000_000;
    let news = replica.begin("c");
    assert_eq!(told(&sessions.hear(news, at(2))), NOTHING);
    assert_eq!(replica.look(&mut sessions, at(2) + PATIENCE).unwrap(), ["-b", "c"]);
    let news = replica.end("c");
    assert_eq!(told(&sessions.hear(news, at(3))), ["-c"]);
}

#[test]
fn what_is_written_by_hand_counts() {
    let (mut store, mut sessions) = following(&["a"]);
    store.by_hand("x");
    assert_eq!(store.look(&mut sessions, at(1)).unwrap(), ["x"]);
    store.names.active.remove("x");
    assert_eq!(store.look(&mut sessions, at(2)).unwrap(), ["-x"]);
    // An injection's session, too.
    store.names.active.remove("a");
    assert_eq!(store.look(&mut sessions, at(3)).unwrap(), ["-a"]);
    store.names.active.insert("a".to_owned());
    store.hashes.get_mut("a").unwrap().active = Some("false".to_owned());
    sessions.hear_of("a".to_owned());
    assert_eq!(store.look(&mut sessions, at(4)), None);
    store.hashes.get_mut("a").unwrap().active = None;
    sessions.hear_of("a".to_owned());
    assert_eq!(store.look(&mut sessions, at(5)).unwrap(), ["a"]);
    store.hashes.get_mut("a").unwrap().active = Some("0".to_owned());
    sessions.hear_of("a".to_owned());
    assert_eq!(store.look(&mut sessions, at(6)).unwrap(), ["-a"]);
}

#[test]
fn other_trees_sessions_are_not_read() {
    let (mut store, mut sessions) = following(&["a"]);
    store.read = 0;
    for id in ["x", "y"] {
        store.by_hand(id);
        store.names.indexed.insert(id.to_owned());
    }
    assert_eq!(store.look(&mut sessions, at(1)), None);
    assert_eq!(store.read, 0);
    assert_eq!(store.look(&mut Sessions::new("t", GRACE), at(1)).unwrap(), ["a"]);
    assert_eq!(store.read, 1);
}

#[test]
fn an_end_that_is_half_written_is_waited_for() {
    let (mut store, mut sessions) = following(&["a"]);
    let before = store.clone();
    let news = store.end("a");
    let names = Names { version: before.names.version, ..store.names.clone() };
    let mut half = Store { names, index: before.index, ..Store::default() };
    assert_eq!(half.look(&mut sessions, at(1)), None);
    assert_eq!(told(&sessions.hear(news, at(1))), ["-a"]);
}

#[test]
fn what_the_server_lost_is_held_until_it_is_back() {
    let (_, mut sessions) = following(&["a", "b"]);
    assert!(sessions.lost(at(10)));
    assert!(!sessions.lost(at(12)), "the grace begins once");
    let mut store = Store::default();
    assert_eq!(store.look(&mut sessions, at(12)), None);
    assert_eq!(sessions.due(), Some(at(40)));
    store.clock = 1_700_000_000_000;
    let news = store.begin("a");
    assert_eq!(told(&sessions.hear(news, at(13))), NOTHING);
    store.by_hand("c");
    assert_eq!(store.look(&mut sessions, at(14)).unwrap(), ["c"]);
    let news = store.begin("b");
    assert_eq!(told(&sessions.hear(news, at(14))), NOTHING, "they never ended");
    assert_eq!(sessions.due(), None, "all are back");
    let news = store.end("b");
    assert_eq!(told(&sessions.hear(news, at(15))), ["-b"], "and go at once again");
}

#[test]
fn what_ends_in_the_grace_goes_at_once() {
    let (mut store, mut sessions) = following(&["a", "b"]);
    store.end("a");
    sessions.lost(at(10));
    let mut empty = Store::default();
    // It has a hash and is not active.
    empty.hashes.extend(store.hashes.remove_entry("a"));
    assert_eq!(empty.look(&mut sessions, at(11)).unwrap(), ["-a"]);
    empty.by_hand("b");
    empty.hashes.get_mut("b").unwrap().active = Some("false".to_owned());
    assert_eq!(empty.look(&mut sessions, at(12)).unwrap(), ["-b"]);
    assert_eq!(sessions.due(), None);
}

#[test]
fn after_the_grace_the_server_is_obeyed() {
    let (_, mut sessions) = following(&["a"]);
    sessions.lost(at(10));
    let mut store = Store::default();
    assert_eq!(store.look(&mut sessions, at(39)), None);
    assert_eq!(store.look(&mut sessions, at(40)).unwrap(), ["-a"]);
    assert_eq!(sessions.due(), None);
    sessions.lost(at(50));
    assert_eq!(sessions.due(), None, "there is nothing to lose");
}

#[test]
fn what_is_wrong_with_a_session_is_said_once() {
    let (mut store, mut sessions) = following(&["a"]);
    let look = |store: &Store, sessions: &mut Sessions| {
        let wanted = sessions.wanted(&store.names, None);
        let hash = |id: &String| store.hashes.get(id).cloned().unwrap_or_default();
        let hashes = wanted.into_iter().map(|id| (id.clone(), hash(&id))).collect();
        let look = Look { names: store.names.clone(), index: None, hashes };
        sessions
            .observe(look, at(1))
            .1
            .into_iter()
            .map(|(id, why)| format!("{id}: {why}"))
            .collect::<Vec<_>>()
    };
    // Listed, and not written yet.
    store.names.active.insert("c".to_owned());
    store.by_hand("b");
    store.hashes.get_mut("b").unwrap().ssrcs.video = Some("many".to_owned());
    let said = look(&store, &mut sessions);
    assert!(said.len() == 1 && said[0].starts_with("b: its videoSsrc is 'many'"), "{said:?}");
    assert_eq!(look(&store, &mut sessions), [""; 0]);
    store.hashes.get_mut("b").unwrap().room_id = Some("0".to_owned());
    assert_eq!(look(&store, &mut sessions).len(), 1, "another fault");
    for mended in [true, false] {
        store.hashes.get_mut("b").unwrap().room_id = Some(if mended { "7" } else { "0" }.to_owned());
        store.hashes.get_mut("b").unwrap().ssrcs.video = Some("2".to_owned());
        assert_eq!(look(&store, &mut sessions).len(), usize::from(!mended));
    }
}

#[test]
fn one_that_comes_back_as_another_is_that_other() {
    let (_, mut sessions) = following(&["a"]);
    sessions.lost(at(10));
    let mut store = Store::default();
    store.begin("a");
    store.hashes.get_mut("a").unwrap().video_codec = Some("h264".to_owned());
    assert_eq!(store.look(&mut sessions, at(11)).unwrap(), ["a"]);
}

#[test]
fn a_flood_of_what_cannot_be_used_is_bounded() {
    let (mut store, mut sessions) = following(&["a"]);
    for version in 0..5 * MOST_WAITING as u64 {
        let change = SessionChange::Ended("x".to_owned());
        sessions.hear(News { version: 100 + version, after: 50, change }, at(1));
        sessions.hear_of(format!("x{version}"));
    }
    assert!(sessions.ahead.len() <= MOST_WAITING && sessions.named.len() <= MOST_WAITING);
    let news = store.begin("b");
    sessions.hear(news, at(1));
    let due = sessions.due().unwrap();
    assert_eq!(store.look(&mut sessions, due).unwrap(), ["b"]);
}
