//! The rows of the dashboards as pictures, of a real tree that a real Prometheus looked at: what `docs/monitoring.md` shows.
//!
//! Not Grafana's own drawing, which takes a Grafana: the same queries, legends, units, colours and places, read from the JSON that
//! people import.

mod draw;
mod scale;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::monitoring::panels::{Panel, Query, dashboards, panels};
use lab::monitoring::{Prometheus, Scene, Series, faster};

/// Time in Prometheus runs so many times faster than in `deploy/monitoring`: 15 s between scrapes are 1 s.
const TIMES: u32 = 15;
/// Between two values that are drawn: s.
const STEP: f64 = 1.0;

/// What came of a panel's queries.
pub struct Shown {
    panel: Panel,
    /// Name and values of each line; time in seconds since the picture's left edge.
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Runs the scene, and draws all rows into a folder.
pub fn run(quick: bool, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let lab = Lab::new("bench-dashboards-")?;
    let mut scene = Scene::open(&lab, TIMES)?;
    let began = now();
    scene.play(Duration::from_secs(if quick { 4 } else { 20 }))?;
    let ended = now();
    for file in dashboards()? {
        let all = panels(&file)?;
        for (number, row) in all.chunk_by(|one, next| one.row == next.row).enumerate() {
            let shown: Vec<Shown> = row
                .iter()
                .map(|panel| show(&scene.prometheus, panel, began, ended))
                .collect::<Result<_>>()?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let picture = folder.join(format!("{name}-{}.svg", number + 1));
            draw::row(&picture, &shown, ended - began)?;
            eprintln!("bench: {}: {}", picture.display(), row[0].row);
        }
    }
    scene.end()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn show(prometheus: &Prometheus<'_>, panel: &Panel, began: f64, ended: f64) -> Result<Shown> {
    let mut lines = Vec::new();
    for query in &panel.queries {
        let expression = faster(&query.promql("1m"), TIMES);
        let found = prometheus.range(&expression, began..ended, STEP)?;
        lines.extend(found.into_iter().map(|series| line(query, series, began)));
    }
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    ensure!(lines.len() < 200, "{} has {} lines", panel.title, lines.len());
    Ok(Shown { panel: panel.clone(), lines })
}

fn line(query: &Query, series: Series, began: f64) -> (String, Vec<(f64, f64)>) {
    let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
    let name = legend(&query.legend, label);
    let points = series.points.iter().filter(|(_, value)| value.is_finite());
    (name, points.map(|(time, value)| (time - began, *value)).collect())
}

/// `{{node_id}} {{kind}}` with the labels' values in it.
fn legend<'a>(template: &str, label: impl Fn(&str) -> &'a str) -> String {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        text += label(name.trim());
        text += rest;
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legends_have_labels_in_them() {
        let label = |name: &str| if name == "node_id" { "relay-1" } else { "" };
        assert_eq!(legend("{{node_id}} sends", label), "relay-1 sends");
        assert_eq!(legend("half, {{ node_id }}{{gone}}", label), "half, relay-1");
        assert_eq!(legend("", label), "");
    }
}
