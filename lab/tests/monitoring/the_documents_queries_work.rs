//! Every query of the table in deploy/monitoring/README.md is asked a real Prometheus that scrapes a real tree: it has an answer, or, where the
//! table says that there is no such series, none.

use std::fs;

use lab::monitoring::watch;
use lab::relay::{Mode, workspace};
use lab::{Lab, Studio};

use super::broadcast::{Broadcast, PATIENCE};

const TIMES: u32 = 15;
const HEADING: &str = "\n## The document's queries\n";

struct Row {
    written: String,
    used: String,
    why: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(workspace().join("deploy/monitoring/README.md")).unwrap();
    let (_, section) = text.split_once(HEADING).unwrap();
    let row = |line: &str| {
        let [written, used, why]: [&str; 3] = line
            .strip_prefix("| `")?
            .trim_end_matches('|')
            .splitn(3, " | ")
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        let written = written.trim_end_matches('`').to_owned();
        let used = if used == "the same" { written.clone() } else { used.trim_matches('`').to_owned() };
        Some(Row { written, used, why: why.to_owned() })
    };
    section.lines().filter_map(row).collect()
}

/// It picks what is too much; nothing is, as a rule.
fn is_a_condition(query: &str) -> bool {
    [" > ", " < ", " == "].iter().any(|sign| query.contains(sign))
}

#[test]
fn the_documents_queries_work() {
    let rows = rows();
    assert!(rows.len() > 20, "{}", rows.len());
    let lab = Lab::new("t-queries-").unwrap();
    let studio = Studio::open(&lab, Mode::Tc, 2, 2).unwrap();
    let prometheus = watch(&studio, TIMES).unwrap();
    let broadcast = Broadcast::begin(&studio);
    for Row { written, used, why } in rows {
        if is_a_condition(&used) {
            prometheus.query(&used).unwrap_or_else(|error| panic!("{used}: {error:#}"));
        } else {
            let answered =
                prometheus.wait(&used, PATIENCE, |found| found.iter().any(|one| one.value.is_finite()));
            answered.unwrap_or_else(|error| panic!("{used}: {error:#}{}", studio.diagnosis()));
        }
        if why.starts_with("no such series") {
            let found = prometheus.query(&written);
            assert!(found.as_ref().map_or(true, Vec::is_empty), "{written} has an answer: {found:?}");
        } else {
            prometheus.query(&written).unwrap_or_else(|error| panic!("{written}: {error:#}"));
        }
    }
    broadcast.end();
}
