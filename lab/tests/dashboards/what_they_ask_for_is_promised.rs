//! Every series of ours that a panel asks for is in docs/contract.md, with the labels that it is narrowed by, or recorded by a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lab::relay::workspace;

use super::all;

/// Series of docs/contract.md, *Metrics*, and the labels of each, without those that all have.
fn promised() -> BTreeMap<String, BTreeSet<String>> {
    let contract = fs::read_to_string(workspace().join("docs/contract.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let (name, labels) = (cells.next()?.trim().strip_suffix('`')?, cells.next()?);
        let labels = labels.trim().trim_matches('`').split(' ').filter(|label| !label.is_empty());
        Some((name.to_owned(), labels.map(str::to_owned).collect()))
    };
    contract
        .lines()
        .filter_map(row)
        .filter(|(name, _): &(String, _)| name.starts_with("media_tree_"))
        .collect()
}

/// `media_tree_(relay|egress)_healthy` is two.
fn names(pattern: &str) -> Vec<String> {
    match pattern.split_once('(').and_then(|(head, rest)| Some((head, rest.split_once(')')?))) {
        Some((head, (nodes, tail))) => nodes.split('|').map(|node| format!("{head}{node}{tail}")).collect(),
        None => vec![pattern.to_owned()],
    }
}

/// What a query asks for: names, and the labels that each is narrowed by.
fn asked(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_()|".contains(c);
    for (at, _) in expression.match_indices("media_tree_") {
        let rest = &expression[at..];
        // In braces, `__name__=~"…",tree_id=…`; otherwise before them.
        let quoted = expression[..at].ends_with('"');
        let end = if quoted { rest.find('"') } else { rest.find(|c| !is_name(c) || c == ')' || c == '(') };
        let end = end.unwrap_or(rest.len());
        let matchers = rest[end..].trim_start_matches(['"', ',', '{']).split('}').next().unwrap_or_default();
        let is_narrowed = quoted || rest[end..].starts_with('{');
        let labels = if is_narrowed { label_names(matchers) } else { Vec::new() };
        found.extend(names(&rest[..end]).into_iter().map(|name| (name, labels.clone())));
    }
    found
}

fn label_names(matchers: &str) -> Vec<String> {
    let labels = matchers.split("\",").filter_map(|matcher| matcher.split(['=', '!']).next());
    labels.filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

#[test]
fn what_they_ask_for_is_promised() {
    let promised = promised();
    assert!(promised.len() > 80, "{promised:?}");
    let common = ["tree_id", "node_id", "job", "le"];
    for panel in all() {
        for query in &panel.queries {
            for (name, labels) in asked(&query.expression) {
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let known = promised.get(&name).or_else(|| promised.get(family?));
                let known = known.unwrap_or_else(|| panic!("{}: nobody promises {name}", panel.title));
                for label in labels {
                    let is_one = known.contains(&label) || common.contains(&label.as_str());
                    assert!(is_one, "{}: {name} has no {label}", panel.title);
                }
            }
        }
    }
}

/// A name with colons is what a rule records.
#[test]
fn what_rules_are_to_record_they_do() {
    let rules = fs::read_dir(workspace().join("deploy/monitoring/rules")).unwrap();
    let rules: String = rules.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let mut seen = 0;
    for query in all().iter().flat_map(|panel| &panel.queries) {
        let words = query.expression.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        for name in words.filter(|word| word.contains(':')) {
            seen += 1;
            assert!(rules.contains(&format!("record: {name}\n")), "no rule records {name}");
        }
    }
    assert!(seen > 1, "{seen}");
}

#[test]
fn what_a_query_asks_for_is_found() {
    let query = r#"sum by (le) (rate(media_tree_a_bucket{x=~"$x",y!="z"}[1m])) / {__name__=~"media_tree_(b|c)_d",z="1"} + media_tree_e"#;
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let wanted = [
        ("media_tree_a_bucket", labels(&["x", "y"])),
        ("media_tree_b_d", labels(&["z"])),
        ("media_tree_c_d", labels(&["z"])),
        ("media_tree_e", labels(&[])),
    ];
    assert_eq!(asked(query), wanted.map(|(name, labels)| (name.to_owned(), labels)));
}
