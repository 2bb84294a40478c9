//! `GET /metrics` of a scaler.

use std::collections::BTreeMap;

use node::metrics::{Scrape, flag};
use prometheus::Result;

use crate::app::App;
use crate::clock::now;
use crate::keeper::{Counts, TreeView, counted};

/// A tree, and what has been counted of it.
struct Tree {
    view: TreeView,
    counts: Counts,
    told: node::webhook::Told,
}

/// Everything, as Prometheus' text.
pub fn scrape(app: &App) -> Result<String> {
    let of = |keeper: &std::sync::Arc<crate::keeper::Keeper>| Tree {
        view: keeper.view(),
        counts: keeper.counts(),
        told: keeper.say().told(),
    };
    let trees: Vec<Tree> = app.keepers().iter().map(of).collect();
    text(&app.config().node_id, app.status().healthy, &trees)
}

fn text(node_id: &str, healthy: bool, trees: &[Tree]) -> Result<String> {
    let scrape = Scrape::of_trees("scaler", node_id)?;
    scrape.gauge("build_info", "Always 1.", ["version"], [([env!("CARGO_PKG_VERSION")], 1.0)])?;
    scrape.one_gauge("healthy", "1 when it can do its job in every tree.", flag(healthy))?;
    let gauge = |name: &str, help: &str, value: fn(&TreeView) -> Option<f64>| {
        let rows = trees.iter().filter_map(|tree| Some(([tree.view.tree_id.as_str()], value(&tree.view)?)));
        scrape.gauge(name, help, ["tree_id"], rows)
    };
    gauge("leads", "1 while this scaler leads in the tree.", |view| Some(flag(view.leads)))?;
    gauge("look_age_seconds", "Since the tree was last looked at, by who leads.", |view| {
        Some(now().saturating_sub(view.looked?) as f64 / 1000.0)
    })?;
    gauge("viewers", "Viewers of egresses that can be had; this and the next five by who leads.", |view| {
        view.leads.then_some(view.viewers as f64)
    })?;
    gauge("places", "Their places.", |view| view.leads.then_some(view.places as f64))?;
    gauge("egresses", "Egresses that can be had.", |view| view.leads.then_some(view.egresses as f64))?;
    gauge("actions_running", "Actions that are being carried out.", |view| {
        view.leads.then_some(view.running.len() as f64)
    })?;
    gauge("actions_proposed", "Actions that wait for approval; in a dry run, that would be done.", |view| {
        view.leads.then_some(view.proposed.len() as f64)
    })?;
    gauge("warnings", "Warnings of the last decision: figures that are missing, and the like.", |view| {
        view.leads.then(|| view.decision.as_ref().map_or(0.0, |decision| decision.warnings.len() as f64))
    })?;
    gauge("problems", "What keeps the tree from being looked after.", |view| {
        Some(view.problems.len() as f64)
    })?;
    let looks = trees.iter().map(|tree| ([tree.view.tree_id.as_str()], tree.counts.looks as f64));
    scrape.counter("looks_total", "Looks at the tree.", ["tree_id"], looks)?;
    let rows = by(trees, |counts| {
        counts.decisions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    });
    two(&scrape, "decisions_total", "Decisions.", "verdict", &rows)?;
    let rows = by(trees, |counts| {
        let none = counted::STEPS.map(|step| (step.to_owned(), 0));
        none.into_iter().chain(counts.failed.clone()).collect()
    });
    two(&scrape, "steps_failed_total", "Steps that did not do what they should, each time.", "step", &rows)?;
    let ended = trees.iter().flat_map(|tree| {
        let id = tree.view.tree_id.as_str();
        let count = |key| tree.counts.ended.get(&key).copied().unwrap_or(0) as f64;
        let of_kind =
            move |kind| counted::OUTCOMES.map(|outcome| ([id, kind, outcome], count((kind, outcome))));
        counted::KINDS.into_iter().flat_map(of_kind)
    });
    let labels = ["tree_id", "kind", "outcome"];
    scrape.counter("actions_total", "Actions that ended.", labels, ended)?;
    let told = trees.iter().flat_map(|tree| {
        let id = tree.view.tree_id.as_str();
        tree.told.rows().map(|([result], count)| ([id, result], count))
    });
    let help = "Webhooks: events delivered and dropped, and attempts that failed.";
    scrape.counter("webhook_events_total", help, ["tree_id", "result"], told)?;
    scrape.text()
}

type Rows<'a> = Vec<(&'a str, BTreeMap<String, u64>)>;

fn by(trees: &[Tree], of: fn(&Counts) -> BTreeMap<String, u64>) -> Rows<'_> {
    trees.iter().map(|tree| (tree.view.tree_id.as_str(), of(&tree.counts))).collect()
}

/// Counters of a tree by one more label.
fn two(scrape: &Scrape, name: &str, help: &str, label: &str, rows: &Rows<'_>) -> Result<()> {
    let rows = rows.iter().flat_map(|(tree, counts)| {
        counts.iter().map(move |(value, count)| ([*tree, value.as_str()], *count as f64))
    });
    scrape.counter(name, help, ["tree_id", label], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_exactly_these() {
        let view =
            TreeView { tree_id: "t".to_owned(), leads: true, looked: Some(now()), ..TreeView::default() };
        let counts = Counts {
            looks: 1,
            decisions: [("NOOP", 1)].into(),
            ended: [(("grow", "done"), 1)].into(),
            failed: [("make".to_owned(), 1)].into(),
        };
        let text = text("s", true, &[Tree { view, counts, told: Default::default() }]).unwrap();
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .filter(|name| name.starts_with("media_tree_"))
            .collect();
        assert_eq!(names, documented());
        let line = r#"media_tree_scaler_actions_total{kind="grow",node_id="s",outcome="done",tree_id="t"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    /// `increase()` of a series that begins with 1 is 0: the first failure would alarm nobody.
    #[test]
    fn what_has_not_failed_yet_has_failed_0_times() {
        let view = TreeView { tree_id: "t".to_owned(), ..TreeView::default() };
        let text =
            text("s", true, &[Tree { view, counts: Counts::default(), told: Default::default() }]).unwrap();
        for series in [
            r#"actions_total{kind="grow",node_id="s",outcome="undone",tree_id="t"}"#,
            r#"actions_total{kind="clear",node_id="s",outcome="partly done",tree_id="t"}"#,
            r#"steps_failed_total{node_id="s",step="destroy",tree_id="t"}"#,
        ] {
            let line = format!("media_tree_scaler_{series} 0");
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }

    /// Sorted, as a scrape is.
    fn documented() -> Vec<&'static str> {
        let contract = include_str!("../../docs/contract.md");
        let row = |line: &'static str| line.strip_prefix("| `")?.split('`').next();
        let ours = |name: &&str| name.starts_with("media_tree_scaler_");
        let mut names: Vec<&str> = contract.lines().filter_map(row).filter(ours).collect();
        names.sort_unstable();
        names
    }
}
