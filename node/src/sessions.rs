//! The sessions of a tree, from the hashes `session:{sid}` that the injections write. Pure: what Redis says and the time in;
//! the sessions that there are out.
//!
//! Like children (see [`crate::topology`]), sessions that vanish together with our own registration were lost, not ended,
//! and are *held* for a grace, in which the injections write them again. A session whose hash is there and is not among the
//! active ones was ended by somebody, and goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use crate::media::{PerKind, Ssrc};

/// A session of the tree, as `session:{sid}` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sessionId`.
    pub id: String,
    /// `audioSsrc` and `videoSsrc`.
    pub ssrcs: PerKind<Ssrc>,
    /// `roomId`, when it is there and a number.
    pub room_id: Option<u64>,
    /// `videoCodec`, when it is there.
    pub video_codec: Option<String>,
}

/// A session's hash as far as nodes other than its injection care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHash {
    /// Its name in `sessions:active`.
    pub id: String,
    /// `audioSsrc` and `videoSsrc`.
    pub ssrcs: PerKind<Option<String>>,
    /// `roomId`.
    pub room_id: Option<String>,
    /// `videoCodec`.
    pub video_codec: Option<String>,
    /// `treeId`.
    pub tree_id: Option<String>,
    /// `active`.
    pub active: Option<String>,
}

/// The active sessions of a tree, sorted, and the names of those whose hash is of no use.
pub fn of_tree(hashes: Vec<SessionHash>, tree_id: &str) -> (Vec<Session>, Vec<String>) {
    let (mut sessions, mut odd) = (Vec::new(), Vec::new());
    for hash in hashes {
        let elsewhere = hash.tree_id.as_deref().is_some_and(|tree| !tree.is_empty() && tree != tree_id);
        if elsewhere || matches!(hash.active.as_deref(), Some("false" | "0")) {
            continue;
        }
        match (number(hash.ssrcs.audio), number(hash.ssrcs.video)) {
            (Some(audio), Some(video)) => {
                let ssrcs = PerKind { audio, video };
                let room_id = number(hash.room_id);
                let video_codec = hash.video_codec.filter(|codec| !codec.is_empty());
                sessions.push(Session { id: hash.id, ssrcs, room_id, video_codec });
            }
            _ => odd.push(hash.id),
        }
    }
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    odd.sort();
    (sessions, odd)
}

fn number<T: FromStr>(text: Option<String>) -> Option<T> {
    text?.trim().parse().ok()
}

/// All that Redis says of sessions, read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHashes {
    /// Those in `sessions:active`.
    pub active: Vec<SessionHash>,
    /// Of those that were asked about, the ones that have a hash.
    pub known: BTreeSet<String>,
}

/// Follows the sessions of one tree.
#[derive(Clone, Debug)]
pub struct Sessions {
    tree_id: String,
    grace: Duration,
    /// What the node was told last.
    told: Option<Vec<Session>>,
    /// What may have vanished because the server lost its data, and until when it is held.
    held: BTreeMap<String, Duration>,
}

impl Sessions {
    /// Nothing known yet. `grace`: how long sessions that were lost are held.
    pub fn new(tree_id: &str, grace: Duration) -> Sessions {
        Sessions { tree_id: tree_id.to_owned(), grace, told: None, held: BTreeMap::new() }
    }

    /// Those whose hashes the next hashes have to say whether they are there.
    pub fn held(&self) -> impl Iterator<Item = &String> {
        self.held.keys()
    }

    /// When the next hashes are needed even if nothing happens: the end of a grace.
    pub fn due(&self) -> Option<Duration> {
        self.held.values().copied().min()
    }

    /// The server has lost its data: what vanishes from now on, as far as it was there, was in it. True when something is
    /// held that was not.
    pub fn lost(&mut self, now: Duration) -> bool {
        let before = self.held.len();
        for session in self.told.iter().flatten() {
            self.held.entry(session.id.clone()).or_insert(now + self.grace);
        }
        self.held.len() > before
    }

    /// From hashes to the sessions that there are now, if they are others than before, and the names of those whose hash is
    /// of no use.
    pub fn observe(&mut self, hashes: SessionHashes, now: Duration) -> (Option<Vec<Session>>, Vec<String>) {
        let listed: BTreeSet<String> = hashes.active.iter().map(|hash| hash.id.clone()).collect();
        let (mut sessions, odd) = of_tree(hashes.active, &self.tree_id);
        self.held.retain(|id, until| now < *until && !listed.contains(id) && !hashes.known.contains(id));
        let held = self.told.iter().flatten().filter(|session| self.held.contains_key(&session.id));
        sessions.extend(held.cloned());
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        let changed = self.told.as_ref() != Some(&sessions);
        if changed {
            self.told = Some(sessions.clone());
        }
        (changed.then_some(sessions), odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Ssrc;

    fn hash(id: &str, ssrcs: [&str; 2], tree: Option<&str>, active: Option<&str>) -> SessionHash {
        let text = |text: Option<&str>| text.map(str::to_owned);
        SessionHash {
            id: id.to_owned(),
            ssrcs: ssrcs.map(|ssrc| Some(ssrc.to_owned())).into(),
            tree_id: text(tree),
            active: text(active),
            ..SessionHash::default()
        }
    }

    fn session(id: &str, ssrcs: [u32; 2]) -> Session {
        Session { id: id.to_owned(), ssrcs: ssrcs.map(Ssrc).into(), room_id: None, video_codec: None }
    }

    const GRACE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// SessionHashes of these sessions, and the hashes of those.
    fn hashes(active: &[&str], known: &[&str]) -> SessionHashes {
        SessionHashes {
            active: active.iter().map(|id| hash(id, ["1", "2"], Some("t"), Some("true"))).collect(),
            known: known.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    /// The names of the sessions that the node is told of, if it is.
    fn told(sessions: &mut Sessions, hashes: SessionHashes, now: u64) -> Option<Vec<String>> {
        let (told, _) = sessions.observe(hashes, at(now));
        told.map(|told| told.into_iter().map(|session| session.id).collect())
    }

    fn following(active: &[&str]) -> Sessions {
        let mut sessions = Sessions::new("t", GRACE);
        assert_eq!(told(&mut sessions, hashes(active, &[]), 0).unwrap(), active);
        sessions
    }

    #[test]
    fn what_ends_goes_at_once() {
        let mut sessions = following(&["a", "b"]);
        assert_eq!(told(&mut sessions, hashes(&["a", "b"], &[]), 1), None, "nothing is new");
        assert_eq!(told(&mut sessions, hashes(&["b"], &[]), 2).unwrap(), ["b"]);
        assert_eq!((sessions.held().count(), sessions.due()), (0, None));
    }

    #[test]
    fn what_the_server_lost_is_held_until_it_is_back() {
        let mut sessions = following(&["a", "b"]);
        assert!(sessions.lost(at(10)));
        assert_eq!(sessions.held().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(told(&mut sessions, hashes(&[], &[]), 10), None);
        assert!(!sessions.lost(at(12)));
        assert_eq!(sessions.due(), Some(at(40)), "the grace begins once");
        assert_eq!(told(&mut sessions, hashes(&["a", "c"], &[]), 13).unwrap(), ["a", "b", "c"]);
        assert_eq!(told(&mut sessions, hashes(&["a", "b", "c"], &[]), 14), None);
        assert_eq!(sessions.due(), None, "all are back");
        assert_eq!(told(&mut sessions, hashes(&["a"], &[]), 15).unwrap(), ["a"], "and go at once again");
    }

    #[test]
    fn what_ends_in_the_grace_goes_at_once() {
        let mut sessions = following(&["a", "b"]);
        sessions.lost(at(10));
        assert_eq!(
            told(&mut sessions, hashes(&[], &["a"]), 11).unwrap(),
            ["b"],
            "a has a hash and is not active"
        );
        let mut ended = hashes(&["b"], &[]);
        ended.active[0].active = Some("false".to_owned());
        assert_eq!(told(&mut sessions, ended, 12).unwrap(), [""; 0]);
        assert_eq!(sessions.due(), None);
    }

    #[test]
    fn after_the_grace_the_server_is_obeyed() {
        let mut sessions = following(&["a"]);
        sessions.lost(at(10));
        assert_eq!(told(&mut sessions, hashes(&[], &[]), 39), None);
        assert_eq!(told(&mut sessions, hashes(&[], &[]), 40).unwrap(), [""; 0]);
        assert_eq!(sessions.due(), None);
        sessions.lost(at(50));
        assert_eq!(sessions.due(), None, "there is nothing to lose");
    }

    #[test]
    fn one_that_comes_back_as_another_is_that_other() {
        let mut sessions = following(&["a"]);
        sessions.lost(at(10));
        let mut other = hashes(&["a"], &[]);
        other.active[0].video_codec = Some("h264".to_owned());
        let (now, _) = sessions.observe(other, at(11));
        assert_eq!(now.unwrap()[0].video_codec.as_deref(), Some("h264"));
    }

    #[test]
    fn only_active_sessions_of_the_tree_count() {
        let shown = |room: &str, codec: &str| SessionHash {
            room_id: Some(room.to_owned()),
            video_codec: Some(codec.to_owned()),
            ..hash("s1", ["1111", "2222"], Some("tree-1"), Some("true"))
        };
        let hashes = vec![
            hash("s4", ["7", "8"], None, None),
            shown("1234", "h264"),
            hash("s2", ["3333", "4444"], Some("tree-2"), Some("true")),
            hash("s3", ["5555", "6666"], Some("tree-1"), Some("false")),
            hash("s5", ["5555", "many"], Some("tree-1"), Some("true")),
            SessionHash { id: "s6".to_owned(), ..SessionHash::default() },
        ];
        let (sessions, odd) = of_tree(hashes, "tree-1");
        assert_eq!(
            sessions,
            [
                Session {
                    room_id: Some(1234),
                    video_codec: Some("h264".to_owned()),
                    ..session("s1", [1111, 2222])
                },
                session("s4", [7, 8]),
            ]
        );
        assert_eq!(odd, ["s5", "s6"]);
    }
}
