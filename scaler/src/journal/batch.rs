//! What is written at one moment: commands, each with the key that it is about.

use node::contract::key;
use serde::Serialize;

use super::Entry;
use crate::action::{Action, Progress};
use crate::decide::Memory;

/// Entries of the stream that are kept; some more may be.
const KEPT: usize = 10_000;

/// Commands for the slot of one tree.
#[derive(Clone, Debug)]
pub struct Batch {
    tree: String,
    pub(super) commands: Vec<Vec<String>>,
}

/// An action, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// The action.
    pub action: Action,
    /// How far.
    pub progress: Progress,
}

impl Batch {
    /// Nothing yet.
    pub fn of(tree: &str) -> Batch {
        Batch { tree: tree.to_owned(), commands: Vec::new() }
    }

    fn add<const N: usize>(mut self, words: [&str; N]) -> Batch {
        self.commands.push(words.map(str::to_owned).to_vec());
        self
    }

    /// How far an action is.
    pub fn running(self, running: &Running) -> Batch {
        let key = key::scaler_running(&self.tree);
        self.add(["HSET", &key, &running.action.id, &json(running)])
    }

    /// It has ended.
    pub fn ended(self, id: &str) -> Batch {
        let key = key::scaler_running(&self.tree);
        self.add(["HDEL", &key, id])
    }

    /// It waits for somebody's word.
    pub fn proposed(self, action: &Action) -> Batch {
        let key = key::scaler_proposed(&self.tree);
        self.add(["HSET", &key, &action.id, &json(action)])
    }

    /// It waits no more: somebody has spoken, or it is out of date.
    pub fn settled(self, id: &str) -> Batch {
        let (proposed, approvals) = (key::scaler_proposed(&self.tree), key::scaler_approvals(&self.tree));
        self.add(["HDEL", &proposed, id]).add(["HDEL", &approvals, id])
    }

    /// What the next look has to know.
    pub fn memory(self, memory: &Memory) -> Batch {
        let key = key::scaler_memory(&self.tree);
        self.add(["SET", &key, &json(memory)])
    }

    /// What was done.
    pub fn entry(self, entry: &Entry) -> Batch {
        let key = key::scaler_actions(&self.tree);
        let (at, fence, kept) = (entry.at.to_string(), entry.fence.to_string(), KEPT.to_string());
        let head = ["XADD", &key, "MAXLEN", "~", &kept, "*", "at", &at, "fence", &fence, "by", &entry.by];
        let mut words: Vec<String> = head.map(str::to_owned).to_vec();
        let rest = ["action", &entry.action, "what", &entry.what, "text", &entry.text];
        words.extend(rest.map(str::to_owned));
        if let Some(data) = &entry.data {
            words.extend(["data".to_owned(), json(data)]);
        }
        let mut batch = self;
        batch.commands.push(words);
        batch
    }
}

/// What is written is plain data, of which JSON can always be made.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
