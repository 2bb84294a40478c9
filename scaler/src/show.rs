//! What the commands print for people. Without I/O.

use std::fmt::Write;

use crate::app::Status;
use crate::clock;
use crate::decide::{Decision, Verdict};
use crate::journal::Entry;
use crate::keeper::{Planned, Proposal, TreeView, verdict_name};
use crate::model::Ms;
use crate::words::counted;

/// `scaler status`.
pub fn status(status: &Status) -> String {
    let health = if status.healthy { "healthy" } else { "NOT HEALTHY" };
    let backend = status.backend.as_deref().unwrap_or("nothing: it is only said what would be done");
    let mut text =
        format!("{}: {health}, up {} s, nodes are made by {backend}\n", status.node_id, status.uptime);
    for problem in &status.problems {
        let _ = writeln!(text, "  problem: {problem}");
    }
    if status.trees.is_empty() {
        text += "no tree is looked after: name one with --tree, or put it into trees:active\n";
    }
    for tree in &status.trees {
        text += &self::tree(tree);
    }
    text
}

fn tree(tree: &TreeView) -> String {
    let mut text = format!("\n{}: ", tree.tree_id);
    match (tree.leads, &tree.leader) {
        (true, _) => text += "led by this scaler",
        (false, Some(leader)) => text += &format!("led by {leader}"),
        (false, None) => text += "led by nobody yet",
    }
    for (is_so, word) in [(tree.dry_run, "dry run"), (tree.manual, "by approval only")] {
        if is_so {
            text += &format!(", {word}");
        }
    }
    text.push('\n');
    if !tree.leads {
        return text;
    }
    let viewers = counted(tree.viewers, "viewer", "viewers");
    let places = counted(tree.places, "place", "places");
    let egresses = counted(tree.egresses, "egress", "egresses");
    let _ = writeln!(text, "  {viewers} of {places} at {egresses}");
    if let Some(decision) = &tree.decision {
        text += &self::decision(decision);
    }
    for running in &tree.running {
        let undoing = if running.undoing { "UNDOING " } else { "" };
        let _ = writeln!(text, "  doing {}: {}\n    {undoing}{}", running.id, running.what, running.step);
        if let Some(waits) = &running.waits {
            let _ = writeln!(text, "    {waits}");
        }
    }
    let what = if tree.dry_run { "would do" } else { "waits for approval" };
    for proposal in &tree.proposed {
        text += &proposed(what, proposal);
    }
    text
}

fn decision(decision: &Decision) -> String {
    let count = if decision.count > 0 { format!(" {}", decision.count) } else { String::new() };
    let mut text = format!("  {}{count}: {}\n", verdict_name(decision.verdict), decision.reason);
    for warning in &decision.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text
}

fn proposed(what: &str, proposal: &Proposal) -> String {
    format!("  {what} {}: {}\n    because: {}\n", proposal.id, proposal.what, proposal.reason)
}

/// `scaler plan`.
pub fn plan(plan: &Planned) -> String {
    let mut text = decision(&plan.decision);
    for (name, value) in &plan.decision.metrics {
        let _ = writeln!(text, "    {name} {value:.1}");
    }
    for action in &plan.actions {
        text += &proposed("would do", action);
    }
    if plan.actions.is_empty() {
        text += match plan.decision.verdict {
            Verdict::ScaleOut => {
                "  nothing would be done now: what is wanted is on its way already, or cannot be made yet, \
                 since no relay or injection with a free place is there to feed it\n"
            }
            Verdict::ScaleIn | Verdict::Noop => "  there is nothing to do\n",
        };
    }
    for held in &plan.held {
        let _ = writeln!(text, "  note: {held}");
    }
    text
}

/// `scaler history`.
pub fn history(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "nothing has been done so far\n".to_owned();
    }
    let now = clock::now();
    entries.iter().rev().map(|entry| line(entry, now)).collect()
}

fn line(entry: &Entry, now: Ms) -> String {
    let ago = now.saturating_sub(entry.at) as f64 / 1000.0;
    format!("{ago:>9.1} s ago  {:<12} {:<9} {}  ({})\n", entry.action, entry.what, entry.text, entry.by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_and_what_is_wrong_is_said() {
        let tree = TreeView {
            tree_id: "tree-1".to_owned(),
            leader: Some("scaler-2 7-1".to_owned()),
            ..TreeView::default()
        };
        let said = status(&Status {
            node_id: "scaler-1".to_owned(),
            healthy: false,
            uptime: 3,
            backend: None,
            trees: vec![tree],
            problems: vec!["tree-1: Redis is away".to_owned()],
        });
        for line in ["scaler-1: NOT HEALTHY", "problem: tree-1: Redis is away", "tree-1: led by scaler-2"] {
            assert!(said.contains(line), "{line} is not in {said}");
        }
    }

    #[test]
    fn nothing_is_said_in_words_too() {
        assert_eq!(history(&[]), "nothing has been done so far\n");
        let decision = |verdict: &str| {
            serde_json::from_value(serde_json::json!({
                "verdict": verdict, "count": 1, "wanted": 1, "reason": "few serve", "urgency": "HIGH", "metrics": {}, "warnings": [],
                "known": true, "paused": false, "dead": [], "useless": [],
            }))
            .unwrap()
        };
        let planned =
            |verdict: &str| Planned { decision: decision(verdict), actions: Vec::new(), held: Vec::new() };
        let said = plan(&planned("SCALE_OUT"));
        assert!(said.contains("nothing would be done now: what is wanted"), "{said}");
        let said = plan(&planned("NOOP"));
        assert!(said.contains("there is nothing to do"), "{said}");
        let held = vec!["--provision FILE has it act".to_owned()];
        let said = plan(&Planned { held, ..planned("NOOP") });
        assert!(said.ends_with("  note: --provision FILE has it act\n"), "{said}");
    }
}
