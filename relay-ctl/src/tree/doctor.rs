//! `relay-ctl tree doctor`: what the tree shows, and what every node says of itself when it is asked.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use node::asking::{Asking, Unheard};
use node::doctor::Finding;
use node::overview::{NodeView, Overview, State};
use serde::Deserialize;

/// Nodes that are asked at a time.
const AT_ONCE: usize = 16;
/// All are asked within this; whoever was not is said.
const BUDGET: Duration = Duration::from_secs(30);

/// What every node's `/status` has.
#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    uptime: u64,
    #[serde(default)]
    problems: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Asks them all.
pub async fn examine(overview: &Overview, asking: &Asking) -> Vec<Finding> {
    let mut findings = of_the_tree(overview);
    let until = Instant::now() + BUDGET;
    let there = overview.nodes.iter().filter(|node| !matches!(node.state, State::Gone | State::Unknown));
    let asked = there.map(async |node| {
        let Some(url) = node.operators() else { return of_node(node, None) };
        if Instant::now() > until {
            return vec![Finding::wanted(
                &node.id,
                Err("not asked: the others took too long".to_owned()),
                "",
            )];
        }
        of_node(node, Some(asking.get::<Status>(&format!("{url}/status")).await))
    });
    let found: Vec<Vec<Finding>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    findings.extend(found.into_iter().flatten());
    findings
}

/// What needs no node to be asked. That one is degraded it says itself, and why.
fn of_the_tree(overview: &Overview) -> Vec<Finding> {
    let tree = &overview.tree_id;
    let degraded = |sentence: &&String| {
        !overview.nodes.iter().any(|node| {
            node.state == State::Degraded
                && sentence.strip_prefix(&node.id).is_some_and(|rest| rest.starts_with(": "))
        })
    };
    let problems = overview.problems.iter().filter(degraded);
    let problems = problems.map(|why| Finding::needed(tree, Err(why.clone()), ""));
    let notes = overview.notes.iter().map(|why| Finding::wanted(tree, Err(why.clone()), ""));
    let findings: Vec<Finding> = problems.chain(notes).collect();
    if findings.is_empty() {
        let count = overview.nodes.len();
        return vec![Finding::needed(tree, Ok(format!("{count} nodes, who are all there and agree")), "")];
    }
    findings
}

fn of_node(node: &NodeView, answer: Option<Result<Status, Unheard>>) -> Vec<Finding> {
    let id = &node.id;
    match answer {
        None => vec![Finding::wanted(id, Err("it does not say where its HTTP is".to_owned()), "")],
        Some(Ok(Status { uptime, problems, warnings })) => {
            let bad = problems.into_iter().map(|why| Finding::needed(id, Err(why), ""));
            let odd = warnings.into_iter().map(|why| Finding::wanted(id, Err(why), ""));
            let found: Vec<Finding> = bad.chain(odd).collect();
            match found.is_empty() {
                true => vec![Finding::needed(id, Ok(format!("healthy, for {}", duration(uptime))), "")],
                false => found,
            }
        }
        Some(Err(Unheard::Silent { url, why })) if why.contains("refused") => {
            let fix = "nobody listens there: without an API token a node listens on 127.0.0.1 only (API_TOKEN, or --api); or it is elsewhere than it registers (--public-url), or was stopped or killed and its registration has not expired yet";
            vec![Finding::needed(id, Err(Unheard::Silent { url, why }.to_string()), fix)]
        }
        Some(Err(error @ Unheard::Silent { .. })) => {
            let fix = "it is registered, so it lives: it hangs, or is not reached from this machine by the address that it registers (--public-url)";
            vec![Finding::needed(id, Err(error.to_string()), fix)]
        }
        // There is somebody.
        Some(Err(error)) => vec![Finding::wanted(id, Err(error.to_string()), "")],
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::samples::tree;

    fn said(problems: &[&str], warnings: &[&str]) -> Option<Result<Status, Unheard>> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Some(Ok(Status { uptime: 300, problems: owned(problems), warnings: owned(warnings) }))
    }

    #[test]
    fn every_node_says_what_ails_it() {
        let tree = tree();
        let of = |answer| {
            let found = of_node(&tree.nodes[1], answer);
            found.into_iter().map(|finding| (finding.ok, finding.optional, finding.seen)).collect::<Vec<_>>()
        };
        assert_eq!(of(said(&[], &[])), [(true, false, "healthy, for 5 min".to_owned())]);
        let ill = [(false, false, "a".to_owned()), (false, true, "b".to_owned())];
        assert_eq!(of(said(&["a"], &["b"])), ill);
        let url = "http://r1:7000/status".to_owned();
        let silent = of(Some(Err(Unheard::Silent { url: url.clone(), why: "refused".to_owned() })));
        assert!(!silent[0].0 && !silent[0].1 && silent[0].2.contains("refused"), "{silent:?}");
        let fix = |why: &str| {
            let error = Unheard::Silent { url: "http://r1:7000/status".to_owned(), why: why.to_owned() };
            of_node(&tree.nodes[1], Some(Err(error))).remove(0).fix.unwrap_or_default()
        };
        let refused = fix("Connection refused (os error 111)");
        assert!(refused.contains("stopped or killed") && !refused.contains("hangs"), "{refused}");
        assert!(fix("not within 5 s").contains("it hangs"));
        let guarded = of(Some(Err(Unheard::Token { url, shown: false })));
        assert!(!guarded[0].0 && guarded[0].1 && guarded[0].2.contains("API_TOKEN"), "{guarded:?}");
    }

    #[test]
    fn what_a_node_says_itself_is_not_said_twice() {
        let mut tree = tree();
        assert!(of_the_tree(&tree)[0].ok);
        tree.nodes[2].state = State::Degraded;
        tree.problems = vec!["e1: it says that it is degraded".to_owned(), "r1 to e1: silent".to_owned()];
        let found = of_the_tree(&tree);
        assert_eq!(
            found.iter().map(|finding| finding.seen.as_str()).collect::<Vec<_>>(),
            ["r1 to e1: silent"]
        );
    }
}
