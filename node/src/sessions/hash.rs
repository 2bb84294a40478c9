//! One session, as its hash has it.

use std::str::FromStr;

use super::Session;
use crate::contract::field::session as field;
use crate::contract::{LARGEST_ROOM, LONGEST_SESSION, is_room, is_session};
use crate::media::PerKind;

/// A session's hash as far as nodes other than its injection care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionHash {
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

/// What a hash says of a session that is among the active ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// It is one of this tree.
    Ours(Session),
    /// It is another tree's.
    Elsewhere,
    /// It has ended.
    Ended,
    /// It is of no use: its name, or what field of it, and what that must be.
    Odd(String),
}

impl SessionHash {
    /// There is something in it: a hash that is not there has no fields.
    pub fn is_there(&self) -> bool {
        *self != SessionHash::default()
    }

    /// What it says to a node of this tree.
    pub fn read(&self, id: &str, tree_id: &str) -> Read {
        let elsewhere = text(&self.tree_id).is_some_and(|tree| tree != tree_id);
        if elsewhere {
            return Read::Elsewhere;
        }
        if matches!(text(&self.active), Some("false" | "0")) {
            return Read::Ended;
        }
        self.session(id).map_or_else(Read::Odd, Read::Ours)
    }

    fn session(&self, id: &str) -> Result<Session, String> {
        if !is_session(id) {
            return Err(format!(
                "its name must be 1 to {LONGEST_SESSION} letters, digits, or any of '-._~', because it is part of addresses"
            ));
        }
        let an_ssrc = format!("a number from 1 to {}", u32::MAX);
        let ssrc = |name, field| number(name, field, &an_ssrc)?.ok_or_else(|| format!("it has no {name}"));
        let a_room = format!("a number from 1 to {LARGEST_ROOM}");
        let room_id = number(field::ROOM_ID, &self.room_id, &a_room)?;
        if let Some(room) = room_id.filter(|room| !is_room(*room)) {
            return Err(format!("its {} is {room} and must be {a_room}", field::ROOM_ID));
        }
        Ok(Session {
            id: id.to_owned(),
            ssrcs: PerKind {
                audio: ssrc(field::AUDIO_SSRC, &self.ssrcs.audio)?,
                video: ssrc(field::VIDEO_SSRC, &self.ssrcs.video)?,
            },
            room_id,
            video_codec: text(&self.video_codec).map(str::to_owned),
        })
    }
}

fn text(field: &Option<String>) -> Option<&str> {
    field.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// A field's number, if it is there. `must_be`: what it is otherwise said to have to be.
fn number<T: FromStr>(name: &str, field: &Option<String>, must_be: &str) -> Result<Option<T>, String> {
    let parsed = |text: &str| {
        let quoted: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        text.parse().map_err(|_| format!("its {name} is '{quoted}' and must be {must_be}"))
    };
    text(field).map(parsed).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Ssrc;

    fn hash(ssrcs: [&str; 2], tree: Option<&str>, active: Option<&str>) -> SessionHash {
        let text = |text: Option<&str>| text.map(str::to_owned);
        SessionHash {
            ssrcs: ssrcs.map(|ssrc| Some(ssrc.to_owned())).into(),
            tree_id: text(tree),
            active: text(active),
            ..SessionHash::default()
        }
    }

    #[test]
    fn only_active_sessions_of_the_tree_count() {
        let plain = Session {
            id: "s".to_owned(),
            ssrcs: [1111, 2222].map(Ssrc).into(),
            room_id: None,
            video_codec: None,
        };
        let shown = SessionHash {
            room_id: Some("1234".to_owned()),
            video_codec: Some("h264".to_owned()),
            ..hash(["1111", " 2222 "], Some("tree-1"), Some("true"))
        };
        let table = [
            (hash(["1111", "2222"], None, None), Read::Ours(plain.clone())),
            (hash(["1111", "2222"], Some(""), Some("")), Read::Ours(plain.clone())),
            (
                shown,
                Read::Ours(Session { room_id: Some(1234), video_codec: Some("h264".to_owned()), ..plain }),
            ),
            (hash(["1", "2"], Some("tree-2"), Some("true")), Read::Elsewhere),
            (hash(["1", "2"], Some("tree-1"), Some("false")), Read::Ended),
            (hash(["1", "2"], Some("tree-1"), Some(" 0 ")), Read::Ended),
        ];
        for (hash, wanted) in table {
            assert_eq!(hash.read("s", "tree-1"), wanted, "{hash:?}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        let with_room = |room: &str| SessionHash {
            room_id: Some(room.to_owned()),
            ..hash(["1", "2"], Some("tree-1"), Some("true"))
        };
        let good = hash(["1", "2"], None, None);
        let table = [
            (
                "s",
                hash(["1", "many"], Some("tree-1"), Some("true")),
                "its videoSsrc is 'many' and must be a number",
            ),
            ("s", hash(["4294967296", "2"], None, None), "its audioSsrc is '4294967296'"),
            ("s", SessionHash::default(), "it has no audioSsrc"),
            (
                "s",
                with_room("studio"),
                "its roomId is 'studio' and must be a number from 1 to 9007199254740991",
            ),
            ("s", with_room("0"), "its roomId is 0 and must be"),
            ("s", with_room("9007199254740992"), "its roomId is 9007199254740992"),
            ("a b", good.clone(), "its name must be"),
            ("a/b", good.clone(), "its name must be"),
            ("..", good, "its name must be"),
        ];
        for (id, hash, wanted) in table {
            let Read::Odd(why) = hash.read(id, "tree-1") else { panic!("{id} {hash:?} is taken") };
            assert!(why.starts_with(wanted), "{why}");
        }
        let noise = hash(["\u{7}x\n", "2"], None, None).read("s", "tree-1");
        assert!(matches!(noise, Read::Odd(why) if !why.contains(char::is_control)));
    }
}
