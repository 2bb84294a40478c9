//! The sessions of a tree, from the hashes `session:{sid}` that the injections write. Pure.

use std::str::FromStr;

use crate::tree::Session;

/// A session's hash as far as nodes other than its injection care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its name in `sessions:active`.
    pub id: String,
    /// `audioSsrc`.
    pub audio_ssrc: Option<String>,
    /// `videoSsrc`.
    pub video_ssrc: Option<String>,
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
pub fn of_tree(rows: Vec<Row>, tree_id: &str) -> (Vec<Session>, Vec<String>) {
    let (mut sessions, mut odd) = (Vec::new(), Vec::new());
    for row in rows {
        let elsewhere = row.tree_id.as_deref().is_some_and(|tree| !tree.is_empty() && tree != tree_id);
        if elsewhere || matches!(row.active.as_deref(), Some("false" | "0")) {
            continue;
        }
        match (number(row.audio_ssrc), number(row.video_ssrc)) {
            (Some(audio_ssrc), Some(video_ssrc)) => {
                let room_id = number(row.room_id);
                let video_codec = row.video_codec.filter(|codec| !codec.is_empty());
                sessions.push(Session { id: row.id, audio_ssrc, video_ssrc, room_id, video_codec });
            }
            _ => odd.push(row.id),
        }
    }
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    odd.sort();
    (sessions, odd)
}

fn number<T: FromStr>(text: Option<String>) -> Option<T> {
    text?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, ssrcs: [&str; 2], tree: Option<&str>, active: Option<&str>) -> Row {
        let [audio, video] = ssrcs.map(|ssrc| Some(ssrc.to_owned()));
        let text = |text: Option<&str>| text.map(str::to_owned);
        Row {
            id: id.to_owned(),
            audio_ssrc: audio,
            video_ssrc: video,
            tree_id: text(tree),
            active: text(active),
            ..Row::default()
        }
    }

    fn session(id: &str, [audio_ssrc, video_ssrc]: [u32; 2]) -> Session {
        Session { id: id.to_owned(), audio_ssrc, video_ssrc, room_id: None, video_codec: None }
    }

    #[test]
    fn only_active_sessions_of_the_tree_count() {
        let shown = |room: &str, codec: &str| Row {
            room_id: Some(room.to_owned()),
            video_codec: Some(codec.to_owned()),
            ..row("s1", ["1111", "2222"], Some("tree-1"), Some("true"))
        };
        let rows = vec![
            row("s4", ["7", "8"], None, None),
            shown("1234", "h264"),
            row("s2", ["3333", "4444"], Some("tree-2"), Some("true")),
            row("s3", ["5555", "6666"], Some("tree-1"), Some("false")),
            row("s5", ["5555", "many"], Some("tree-1"), Some("true")),
            Row { id: "s6".to_owned(), ..Row::default() },
        ];
        let (sessions, odd) = of_tree(rows, "tree-1");
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
