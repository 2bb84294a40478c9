//! One session, as its hash has it.

use std::str::FromStr;

use super::Session;
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
    /// It has no SSRCs.
    Odd,
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
        match (number(&self.ssrcs.audio), number(&self.ssrcs.video)) {
            (Some(audio), Some(video)) => Read::Ours(Session {
                id: id.to_owned(),
                ssrcs: PerKind { audio, video },
                room_id: number(&self.room_id),
                video_codec: text(&self.video_codec).map(str::to_owned),
            }),
            _ => Read::Odd,
        }
    }
}

fn text(field: &Option<String>) -> Option<&str> {
    field.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn number<T: FromStr>(field: &Option<String>) -> Option<T> {
    text(field)?.parse().ok()
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
            (hash(["1", "many"], Some("tree-1"), Some("true")), Read::Odd),
            (SessionHash::default(), Read::Odd),
        ];
        for (hash, wanted) in table {
            assert_eq!(hash.read("s", "tree-1"), wanted, "{hash:?}");
        }
    }
}
