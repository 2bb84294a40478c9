//! Says what is done: to a Slack channel, to a webhook, and to whoever reads the log.

mod slack;

use std::collections::BTreeSet;

use axum::http::Uri;
use node::webhook::{Told, WebhookConfig, Webhooks};
use serde_json::json;

use crate::action::{Action, Kind, Outcome, Progress};
use crate::decide::Decision;
use crate::keeper::kind_name;
use crate::model::Node;
pub use slack::Slack;

/// Of one tree.
pub struct Say {
    tree: String,
    slack: Option<Slack>,
    webhooks: Webhooks,
}

impl Say {
    /// Call it where there is a runtime.
    pub fn of(tree: &str, node_id: &str, slack: Option<Slack>, webhook: Option<WebhookConfig>) -> Say {
        Say { tree: tree.to_owned(), slack, webhooks: Webhooks::start(webhook, node_id, tree) }
    }

    /// What became of what was told.
    pub fn told(&self) -> Told {
        self.webhooks.told()
    }

    /// Tells what waits, for a moment.
    pub async fn finish(&self) {
        self.webhooks.finish().await;
    }

    /// Somebody's word is wanted.
    pub fn proposed(&self, action: &Action) {
        self.slack(&format!(
            "❓ {}: {action}? {} (`scaler approve {}`)",
            self.tree, action.reason, action.id
        ));
        self.tell("scaler.proposed", action, json!({}));
    }

    /// Something cannot wait, whether it can be mended by more egresses or not.
    pub fn critical(&self, decision: &Decision) {
        self.slack(&format!("🚨 {}: {}", self.tree, decision.reason));
        self.webhooks
            .tell("scaler.critical", json!({ "reason": decision.reason, "metrics": decision.metrics }));
    }

    /// It was done.
    pub fn done(&self, action: &Action, progress: &Progress, nodes: &[Node]) {
        self.slack(&format!("✅ {}", self.words(action, progress, nodes)));
        self.tell("scaler.done", action, json!({ "without": progress.given_up }));
    }

    /// It ended; well, or was undone.
    pub fn ended(&self, action: &Action, outcome: &Outcome) {
        let (problem, data) = match outcome {
            Outcome::Done => return,
            Outcome::Partly { without } => {
                let without: Vec<String> =
                    without.iter().map(|(node, why)| format!("{node} {why}")).collect();
                (format!("without {}", without.join(", ")), json!({ "without": without }))
            }
            Outcome::Undone { why } => (format!("undone: {why}"), json!({ "why": why })),
            Outcome::CalledBack { why } => (format!("called back: {why}"), json!({ "why": why })),
        };
        let (sign, kind) = match outcome {
            Outcome::CalledBack { .. } => ("↩️", "scaler.calledBack"),
            Outcome::Undone { .. } => ("⚠️", "scaler.undone"),
            Outcome::Done | Outcome::Partly { .. } => ("⚠️", "scaler.partly"),
        };
        self.slack(&format!("{sign} {}: {action}: {problem}", self.tree));
        self.tell(kind, action, data);
    }

    /// As the monitoring document has it: `Scaled out: tree-1 → +16 egress nodes, +16K capacity`.
    fn words(&self, action: &Action, progress: &Progress, nodes: &[Node]) -> String {
        let gone = |name: &str| progress.given_up.contains_key(name);
        match &action.kind {
            Kind::Grow { egresses, .. } => {
                let names: BTreeSet<&str> =
                    egresses.iter().map(|spec| spec.name.as_str()).filter(|name| !gone(name)).collect();
                let new = nodes.iter().filter(|node| names.contains(node.id.as_str()));
                let places: u64 = new.map(|node| u64::from(node.max_viewers)).sum();
                let capacity = in_thousands(places);
                format!(
                    "Scaled out: {} → +{} egress nodes, +{capacity} capacity. {}",
                    self.tree,
                    names.len(),
                    action.reason
                )
            }
            Kind::Shrink { nodes } => {
                let count = nodes.iter().filter(|name| !gone(name)).count();
                format!("Scaled in: {} → -{count} nodes. {}", self.tree, action.reason)
            }
            Kind::Slot { .. } | Kind::Clear { .. } => format!("{}: {action}", self.tree),
        }
    }

    fn slack(&self, text: &str) {
        if let Some(slack) = &self.slack {
            slack.say(text);
        }
    }

    fn tell(&self, kind: &str, action: &Action, more: serde_json::Value) {
        let mut data = json!({
            "action": action.id,
            "kind": kind_name(&action.kind),
            "nodes": action.nodes(),
            "reason": action.reason,
            "urgency": action.urgency,
        });
        if let (Some(data), serde_json::Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        self.webhooks.tell(kind, data);
    }
}

/// Whoever Slack's messages go to, if anybody; call it where there is a runtime.
pub fn slack(address: Option<&Uri>) -> Option<Slack> {
    address.cloned().map(Slack::start)
}

fn in_thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ if number.is_multiple_of(1000) => format!("{}K", number / 1000),
        _ => format!("{:.1}K", number as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_told_in_thousands() {
        let said = [0, 600, 1000, 16_000, 4800].map(in_thousands);
        assert_eq!(said, ["0", "600", "1K", "16K", "4.8K"]);
    }
}
