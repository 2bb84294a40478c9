//! WHIP and WHEP clients that nobody here wrote: fetched by npm in the versions of `lab/players/package-lock.json`, and made one
//! script for the pages of tests.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::sh;

/// Makes the script, unless it is newer than all that it is made of.
pub fn build() -> Result<()> {
    let folder = sh::workspace_root().join("lab/players");
    let made = modified(&folder.join("dist/players.js"));
    let sources = ["package.json", "package-lock.json", "players.js"];
    if made.is_some() && sources.iter().all(|source| modified(&folder.join(source)) < made) {
        return Ok(());
    }
    sh::say("fetching players (npm)");
    for arguments in [&["ci"][..], &["run", "--silent", "build"]] {
        let status = Command::new("npm").current_dir(&folder).args(arguments).status();
        if !status.context("npm does not run; install Debian's npm")?.success() {
            bail!("`npm {}` failed in {}", arguments.join(" "), folder.display());
        }
    }
    Ok(())
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}
