//! The panels of the dashboards in `deploy/monitoring/grafana/dashboards`, as Grafana would read them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::relay::workspace;

/// A panel that asks for something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Title of its dashboard.
    pub dashboard: String,
    /// Title of its row.
    pub row: String,
    /// Its own title.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// `timeseries`, `stat` or `state-timeline`.
    pub kind: String,
    /// By Grafana's name for it.
    pub unit: String,
    /// Place in the row: left edge, top edge, width and height, in units of which a dashboard is 24 wide.
    pub place: [u64; 4],
    /// From where it has which colour; the first is from nowhere.
    pub steps: Vec<(f64, String)>,
    /// What values mean: value, word, colour.
    pub words: Vec<(f64, String, String)>,
    /// What it asks for.
    pub queries: Vec<Query>,
}

/// A query of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// With labels in double braces.
    pub legend: String,
    /// PromQL with Grafana's variables.
    pub expression: String,
}

impl Query {
    /// PromQL with every variable at *All*, and this in place of the interval for rates, which Grafana makes out of the
    /// scrapes' interval: a minute with scrapes every 15 s.
    pub fn promql(&self, rate_interval: &str) -> String {
        let text = self.expression.replace("$__rate_interval", rate_interval);
        ["$tree", "$node", "$session"].iter().fold(text, |text, variable| text.replace(variable, ".*"))
    }
}

/// The files, in the order of their names.
pub fn dashboards() -> Result<Vec<PathBuf>> {
    let folder = workspace().join("deploy/monitoring/grafana/dashboards");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// All of a file, from top to bottom.
pub fn panels(file: &std::path::Path) -> Result<Vec<Panel>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    let mut panels = Vec::new();
    let (mut row, mut top) = (String::new(), 0);
    for panel in json["panels"].as_array().context("a dashboard without panels")? {
        if panel["type"] == "row" {
            row = text_of(&panel["title"]);
            top = panel["gridPos"]["y"].as_u64().unwrap_or_default() + 1;
            continue;
        }
        let read = read(panel, &text_of(&json["title"]), &row, top);
        ensure!(!read.queries.is_empty(), "{} asks for nothing", read.title);
        panels.push(read);
    }
    Ok(panels)
}

fn read(panel: &Value, dashboard: &str, row: &str, top: u64) -> Panel {
    let defaults = &panel["fieldConfig"]["defaults"];
    let place = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let words = list(&defaults["mappings"]).into_iter().flat_map(|mapping| {
        let options = mapping["options"].as_object().cloned().unwrap_or_default();
        let word = |(value, shown): (String, Value)| {
            Some((value.parse().ok()?, text_of(&shown["text"]), text_of(&shown["color"])))
        };
        options.into_iter().filter_map(word).collect::<Vec<_>>()
    });
    let step = |step: Value| (step["value"].as_f64().unwrap_or(f64::NEG_INFINITY), text_of(&step["color"]));
    let query = |target: Value| Query {
        legend: text_of(&target["legendFormat"]),
        expression: text_of(&target["expr"]),
    };
    Panel {
        dashboard: dashboard.to_owned(),
        row: row.to_owned(),
        title: text_of(&panel["title"]),
        about: text_of(&panel["description"]),
        kind: text_of(&panel["type"]),
        unit: text_of(&defaults["unit"]),
        place: [place[0], place[1].saturating_sub(top), place[2], place[3]],
        steps: list(&defaults["thresholds"]["steps"]).into_iter().map(step).collect(),
        words: words.collect(),
        queries: list(&panel["targets"]).into_iter().map(query).collect(),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_at_all() {
        let expression = r#"rate(a{tree_id=~"$tree",session_id=~"$session"}[$__rate_interval])"#;
        let query = Query { expression: expression.to_owned(), ..Query::default() };
        assert_eq!(query.promql("4s"), r#"rate(a{tree_id=~".*",session_id=~".*"}[4s])"#);
    }
}
