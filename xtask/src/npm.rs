//! What tests need of npm, in the versions of a `package-lock.json`: WHIP and WHEP clients that nobody here wrote, made one script
//! for the pages of tests; Grafana's types, which dashboards are checked against;
//! and schemas of the operators that the chart can make objects for.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::sh;

/// Makes the script of the players, unless it is newer than all that it is made of.
pub fn players() -> Result<()> {
    let sources = ["package.json", "package-lock.json", "players.js"];
    make("lab/players", "dist/players.js", &sources, &[&["ci"], &["run", "--silent", "build"]])
}

/// Fetches Grafana's types, unless they are there.
pub fn grafana() -> Result<()> {
    make("lab/grafana", "node_modules/.package-lock.json", &["package-lock.json"], &[&["ci"]])
}

/// Fetches the schemas of operators' objects, unless they are there.
pub fn kubernetes() -> Result<()> {
    make("lab/kubernetes", "node_modules/.package-lock.json", &["package-lock.json"], &[&["ci"]])
}

fn make(folder: &str, made: &str, sources: &[&str], commands: &[&[&str]]) -> Result<()> {
    let path = sh::workspace_root().join(folder);
    let there = modified(&path.join(made));
    if there.is_some() && sources.iter().all(|source| modified(&path.join(source)) < there) {
        return Ok(());
    }
    sh::say(format!("fetching what {folder} needs (npm)"));
    for arguments in commands {
        let status = Command::new("npm").current_dir(&path).args(*arguments).status();
        if !status.context("npm does not run; install Debian's npm")?.success() {
            bail!("`npm {}` failed in {folder}", arguments.join(" "));
        }
    }
    Ok(())
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}
