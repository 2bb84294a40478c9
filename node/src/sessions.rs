//! The sessions of a tree, from the hashes `session:{sid}` that the injections write. Pure.

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
        match (ssrc(row.audio_ssrc), ssrc(row.video_ssrc)) {
            (Some(audio_ssrc), Some(video_ssrc)) => {
                sessions.push(Session { id: row.id, audio_ssrc, video_ssrc });
            }
            _ => odd.push(row.id),
        }
    }
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    odd.sort();
    (sessions, odd)
}

fn ssrc(text: Option<String>) -> Option<u32> {
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
        }
    }

    #[test]
    fn only_active_sessions_of_the_tree_count() {
        let rows = vec![
            row("s4", ["7", "8"], None, None),
            row("s1", ["1111", "2222"], Some("tree-1"), Some("true")),
            row("s2", ["3333", "4444"], Some("tree-2"), Some("true")),
            row("s3", ["5555", "6666"], Some("tree-1"), Some("false")),
            row("s5", ["5555", "many"], Some("tree-1"), Some("true")),
            Row { id: "s6".to_owned(), ..Row::default() },
        ];
        let (sessions, odd) = of_tree(rows, "tree-1");
        assert_eq!(
            sessions,
            [
                Session { id: "s1".to_owned(), audio_ssrc: 1111, video_ssrc: 2222 },
                Session { id: "s4".to_owned(), audio_ssrc: 7, video_ssrc: 8 },
            ]
        );
        assert_eq!(odd, ["s5", "s6"]);
    }
}
