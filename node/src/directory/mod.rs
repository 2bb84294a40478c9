//! Who there is in a tree: the hash `directory:{treeId}`, in which every node keeps an [`Entry`] of itself (docs/contract.md,
//! *Directory*). One key, so that whoever wants to know of a whole tree reads it at once, however many nodes there are.
//!
//! An entry says how a node sees itself. Whether it is alive, its registration says: an entry without one is a dead node's. That
//! takes a minute to expire; a node of which nobody has heard for some seconds is doubtful until then.
//!
//! - [`choice`]: where a viewer is to go, without I/O;
//! - [`Directory`]: reads who there is, and who carries a session, however many ask.

pub mod choice;
mod facts;
mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{base_path, is_name, public_url};
use crate::contract::NODE_TTL;
use crate::flow::Flow;
use crate::http::wish::encoded;
use crate::record::{NodeType, Registration};

pub use facts::{Carriers, Nodes};
pub use reader::Directory;

/// Where WHEP is at an egress that says nothing else.
pub const WHEP: &str = "/whep";
/// Most new children that a node names.
pub const MOST_NEW: usize = 16;
/// Longest entry that is read.
const LONGEST_ENTRY: usize = 4096;

/// A node, as it wants to be seen by the whole tree. What an older node does not write has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it does.
    #[serde(rename = "type")]
    pub node_type: NodeType,
    /// Where viewers, publishers and operators reach it by HTTP: `--public-url`, or `http://HOST:PORT`.
    pub url: String,
    /// Where it stands, as its operator calls it; empty if nothing was said. What is in one zone is close.
    #[serde(default)]
    pub zone: String,
    /// `active`, or why not: as in the registration.
    pub status: String,
    /// Its parent, as far as it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What else is to be known of it.
    #[serde(flatten)]
    pub particulars: Particulars,
}

/// What changes while a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Particulars {
    /// It takes nobody any more and gives away whom it has.
    #[serde(default)]
    pub draining: bool,
    /// What keeps it from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_problem: Option<String>,
    /// It has a new parent, and takes media from the former one as well until it comes from that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub between_parents: bool,
    /// Those that send to it beside its parent, as far as it takes media from them. The node's tree fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// Of a node with standby parents: those of its parents that nothing comes from, while it does from another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
    /// Nobody has heard of it for some seconds, as whoever read the directory found: it is never written.
    #[serde(skip)]
    pub doubtful: bool,
    /// No media reaches it any more: an egress without a parent, or whose sessions are all silent.
    #[serde(default)]
    pub cut_off: bool,
    /// Viewers; an egress' only.
    #[serde(default)]
    pub viewers: u32,
    /// The most that it takes.
    #[serde(default)]
    pub max_viewers: u32,
    /// What came to it in the last seconds; of an injection, what it sent. The node's tree fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Children that it has begun to send to within [`flow::NEW`](crate::flow::NEW), [`MOST_NEW`] at most: what they had missed
    /// before was not lost on the way. The node's tree fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_children: Vec<String>,
    /// Base path of its WHEP, if that is not [`WHEP`]; an egress' only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whep_path: Option<String>,
}

impl Entry {
    /// A node's own.
    pub fn new(
        registration: &Registration,
        status: &str,
        parent: Option<String>,
        particulars: Particulars,
    ) -> Entry {
        Entry {
            node_type: registration.node_type,
            url: registration.url(),
            zone: registration.zone.clone(),
            status: status.to_owned(),
            parent,
            particulars,
        }
    }

    /// Somebody more can watch there.
    pub fn has_room(&self) -> bool {
        let Particulars { draining, cut_off, viewers, max_viewers, .. } = self.particulars;
        self.node_type == NodeType::Egress && !draining && !cut_off && viewers < max_viewers
    }

    /// Its viewers' page of a session.
    pub fn page(&self, session: &str) -> String {
        format!("{}/?id={}", self.url, encoded(session))
    }

    /// Its WHEP endpoint of a session.
    pub fn endpoint(&self, session: &str) -> String {
        let whep = self.particulars.whep_path.as_deref().unwrap_or(WHEP);
        format!("{}{whep}/endpoint/{}", self.url, encoded(session))
    }

    /// What happens to its sessions; an egress' only.
    pub fn events(&self) -> String {
        format!("{}/events", self.url)
    }

    /// Its addresses are such as a node can be configured with: viewers are sent there, and nodes ask there by themselves.
    fn is_sound(&self) -> bool {
        let whep = self.particulars.whep_path.as_deref().unwrap_or(WHEP);
        public_url(&self.url).is_ok_and(|url| url == self.url)
            && base_path(whep, WHEP, &[]).is_ok_and(|path| path == whep)
    }

    /// As it is written.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// For how long nobody has heard of a node, by what is left of the time to live of `node:instance:{id}`, ms; `None`: it has none, as
/// one that somebody has written by hand.
pub fn unheard(left: i64) -> Option<Duration> {
    Some(NODE_TTL.saturating_sub(Duration::from_millis(left.try_into().ok()?)))
}

/// A directory as it was read. An entry that nobody can read, or that says what no node says, is left out: it must neither hide
/// the others nor lead anybody astray.
pub fn read(fields: BTreeMap<String, String>) -> BTreeMap<String, Entry> {
    let entry = |(id, text): (String, String)| {
        let is_one = is_name(&id) && text.len() <= LONGEST_ENTRY;
        let entry: Entry = is_one.then(|| serde_json::from_str(&text).ok()).flatten()?;
        entry.is_sound().then_some((id, entry))
    };
    fields.into_iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_writes_another_can_read() {
        let particulars = Particulars { viewers: 7, max_viewers: 300, ..Particulars::default() };
        let entry = Entry {
            node_type: NodeType::Egress,
            url: "https://media.example.com/e1".to_owned(),
            zone: "eu".to_owned(),
            status: "active".to_owned(),
            parent: Some("relay-1".to_owned()),
            particulars,
        };
        let written = BTreeMap::from([("egress-1".to_owned(), entry.text())]);
        assert_eq!(read(written), BTreeMap::from([("egress-1".to_owned(), entry)]));
    }

    #[test]
    fn what_nobody_can_read_hides_nobody_and_what_is_new_hinders_nobody() {
        let text = |text: &str| text.to_owned();
        let few = r#"{"type":"relay","url":"http://a:7071","status":"active","later":[1]}"#;
        let fields =
            [(text("a"), text("{")), (text("b"), text(few)), (text("c"), text(r#"{"type":"tree"}"#))];
        let found = read(fields.into());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(found["b"].particulars, Particulars::default());
    }

    #[test]
    fn what_no_node_says_leads_nobody_astray() {
        let read = |id: &str, url: &str, more: &str| {
            let text =
                format!(r#"{{"type":"egress","url":{},"status":"active"{more}}}"#, serde_json::json!(url));
            !super::read([(id.to_owned(), text)].into()).is_empty()
        };
        let url = "https://media.example.com/e1";
        assert!(read("e1", url, "") && read("e1", "http://[fd00::7]:7073", r#","whepPath":"/in/whep""#));
        let long = format!("http://{}", "a".repeat(2000));
        for bad in [
            "",
            "..",
            "javascript:alert(1)//",
            "data:text/html,x",
            "ftp://a",
            "//a",
            "http:///a",
            "http://a@b",
            "http://a/?x=",
            "http://a#",
            "http://a/\u{7}",
            "http://a\r\nSet-Cookie: x=1",
            "http://a b",
            "http://\u{fc}",
            "http://a/",
            &long,
        ] {
            assert!(!read("e1", bad, ""), "{bad:?}");
        }
        for path in ["", "whep", "/whep/", "/status", "//evil", "/a?b=", "/a#", "/a b", "/%0d"] {
            assert!(!read("e1", url, &format!(r#","whepPath":"{path}""#)), "{path:?}");
        }
        for odd in
            [r#","viewers":-1"#, r#","viewers":1e99"#, r#","maxViewers":"all""#, r#","maxViewers":NaN"#]
        {
            assert!(!read("e1", url, odd), "{odd}");
        }
        for id in ["", "a b", "a\nb", "a=b", &"a".repeat(64)] {
            assert!(!read(id, url, ""), "{id:?}");
        }
        assert!(!read("e1", url, &format!(r#","zone":"{}""#, "z".repeat(LONGEST_ENTRY))));
    }
}
