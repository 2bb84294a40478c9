//! `cargo xtask dashboards`: Grafana's dashboards, made of their descriptions.
//!
//! A description (`deploy/monitoring/grafana/*.toml`) is what people read and change: four lines a panel. What Grafana imports is
//! in `dashboards/` beside it: JSON of sixty lines a panel, in which all panels look and behave alike. Both are checked in.

mod description;
mod model;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sh;
use description::Dashboard;

/// Where the descriptions are.
fn folder() -> PathBuf {
    sh::workspace_root().join("deploy/monitoring/grafana")
}

/// Writes the JSON of each description.
pub fn run() -> Result<()> {
    for (file, text) in made()? {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        sh::say(format!("wrote {}", file.display()));
    }
    Ok(())
}

/// The files, and what is to be in them.
fn made() -> Result<Vec<(PathBuf, String)>> {
    let folder = folder();
    let mut descriptions = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.context("cannot read a folder of descriptions")?.path();
        descriptions.extend(path.extension().is_some_and(|end| end == "toml").then_some(path));
    }
    descriptions.sort();
    descriptions.iter().map(|path| Ok((json_of(path), dashboard(path)?))).collect()
}

fn json_of(description: &Path) -> PathBuf {
    let name = description.with_extension("json");
    folder().join("dashboards").join(name.file_name().unwrap_or_default())
}

fn dashboard(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let described: Dashboard = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let json = serde_json::to_string_pretty(&model::dashboard(&described)).context("writing JSON")?;
    Ok(json + "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_dashboards_are_what_their_descriptions_give() {
        let made = made().unwrap();
        assert!(!made.is_empty());
        for (file, text) in &made {
            let there = fs::read_to_string(file).unwrap_or_default();
            assert!(there == *text, "{} is another; run `cargo xtask dashboards`", file.display());
        }
        let wanted: BTreeSet<_> = made.iter().map(|(file, _)| file.clone()).collect();
        let there = fs::read_dir(folder().join("dashboards")).unwrap();
        let there: BTreeSet<_> = there.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(there, wanted, "a dashboard without a description, or the other way round");
    }

    #[test]
    fn a_word_that_nobody_knows_is_refused() {
        let text = |panel: &str| {
            format!(
                "title = 't'\nuid = 'u'\nabout = 'a'\n[[rows]]\ntitle = 'r'\n[[rows.panels]]\ntitle = 'p'\nabout = 'a'\n{panel}\n"
            )
        };
        assert!(toml::from_str::<Dashboard>(&text("queries = [['', 'up']]")).is_ok());
        for wrong in ["queries = ['up']", "querys = [['', 'up']]", "queries = [['', 'up']]\nas = 'pie'", ""] {
            assert!(toml::from_str::<Dashboard>(&text(wrong)).is_err(), "{wrong}");
        }
    }
}
