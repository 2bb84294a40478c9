//! An entry of the stream: something that was done.

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::model::Ms;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Ms,
    /// By whose fence.
    pub fence: u64,
    /// By which scaler.
    pub by: String,
    /// Name of the action.
    pub action: String,
    /// `proposed`, `refused`, `begun`, `step`, `given up`, `ended`.
    pub what: String,
    /// A sentence.
    pub text: String,
    /// The action itself, with `proposed` and `begun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Action>,
}

impl Entry {
    /// Of an entry's fields; `None`: somebody else wrote it.
    pub(super) fn read(fields: &[String]) -> Option<Entry> {
        let of = |name: &str| {
            let mut pairs = fields.chunks_exact(2);
            pairs.find(|pair| pair[0] == name).map(|pair| pair[1].clone())
        };
        Some(Entry {
            at: of("at")?.parse().ok()?,
            fence: of("fence")?.parse().ok()?,
            by: of("by")?,
            action: of("action")?,
            what: of("what")?,
            text: of("text")?,
            data: of("data").and_then(|data| serde_json::from_str(&data).ok()),
        })
    }
}
