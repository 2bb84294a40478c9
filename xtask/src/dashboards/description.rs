//! What a description says.

use serde::Deserialize;

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    pub title: String,
    /// In its address; it stays, or links break.
    pub uid: String,
    /// For whom, and which question it answers.
    pub about: String,
    pub rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    /// Of its panels, in Grafana's units of 30 pixels.
    #[serde(default = "usual_height")]
    pub height: u32,
    pub panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    pub title: String,
    /// What it shows and what is to be expected; Grafana shows it at the title.
    pub about: String,
    #[serde(default, rename = "as")]
    pub kind: Kind,
    /// Of 24.
    #[serde(default = "usual_width")]
    pub width: u32,
    /// By Grafana's name for it: `pps`, `Bps`, `percent`, `percentunit`, `s`, `short` …
    #[serde(default = "usual_unit")]
    pub unit: String,
    pub max: Option<f64>,
    /// From where it is yellow, and from where red.
    pub steps: Option<[f64; 2]>,
    /// What values mean: value, word, colour.
    #[serde(default)]
    pub words: Vec<(i64, String, String)>,
    /// Legend and PromQL of each.
    pub queries: Vec<[String; 2]>,
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Over time.
    #[default]
    Lines,
    /// The last one, large.
    Number,
    /// Over time, a bar for each, in the colours of `words` or `steps`.
    States,
}

fn usual_height() -> u32 {
    8
}

fn usual_width() -> u32 {
    8
}

fn usual_unit() -> String {
    "short".to_owned()
}
