//! Holds docs/contract.md, *Metrics*, to what a node really has. A module of each node's own tests.

use std::collections::{BTreeMap, BTreeSet};

/// Name of a family, and the labels of its series but those that all have.
type Families = BTreeMap<String, BTreeSet<String>>;

/// Fails unless the document has exactly the families of these scrapes, with their labels, but those of the process itself.
/// `prefix`: how their names begin.
pub fn are_the_metrics_of(prefix: &str, scrapes: &[String]) {
    let documented = documented(prefix);
    assert!(!documented.is_empty(), "no metric is documented that begins with {prefix}");
    assert_eq!(documented, scraped(prefix, scrapes));
}

fn documented(prefix: &str) -> Families {
    let row = |line: &str| {
        let mut cells = line.split('|').skip(1);
        let name = cells.next()?.trim().trim_matches('`').to_owned();
        let labels = cells.next()?.trim().trim_matches('`');
        let labels = labels.split_whitespace().map(str::to_owned).collect();
        name.starts_with(prefix).then_some((name, labels))
    };
    include_str!("../../../docs/contract.md").lines().filter_map(row).collect()
}

fn scraped(prefix: &str, scrapes: &[String]) -> Families {
    let lines = || scrapes.iter().flat_map(|text| text.lines());
    let names = lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut families: Families = names
        .filter(|name| name.starts_with(prefix))
        .map(|name| (name.to_owned(), BTreeSet::new()))
        .collect();
    for line in lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        // Of a histogram.
        let bare =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let Some(labels) = [name, bare].into_iter().find(|name| families.contains_key(*name)) else {
            continue;
        };
        let labels = families.get_mut(labels).expect("it was found just now");
        let names = rest.split("=\"").filter_map(|part| part.rsplit([',', '{', '"']).next());
        let own = names.filter(|label| !["tree_id", "node_id", "le"].contains(label));
        labels.extend(own.filter(|label| !label.is_empty() && !label.starts_with('}')).map(str::to_owned));
    }
    families
}
