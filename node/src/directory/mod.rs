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

use crate::contract::NODE_TTL;
use crate::flow::Flow;
use crate::http::wish::encoded;
use crate::record::{NodeType, Registration};

pub use facts::{Carriers, Nodes};
pub use reader::Directory;

/// Where WHEP is at an egress that says nothing else.
pub const WHEP: &str = "/whep";

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
    /// It has a new parent, and takes media from the former one as well until it comes from that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub between_parents: bool,
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

/// A directory as it was read. An entry that nobody can read is left out: it must not hide the others.
pub fn read(fields: BTreeMap<String, String>) -> BTreeMap<String, Entry> {
    let entry = |(id, text): (String, String)| Some((id, serde_json::from_str(&text).ok()?));
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
}
