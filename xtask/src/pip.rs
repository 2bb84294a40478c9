//! What tests need of PyPI, in a folder of its own below `target`: Helm, and Kubernetes' schemas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh;

/// What is to be there.
const WANTED: &str = "lab/kubernetes/requirements.txt";

/// Makes `target/kubernetes`, unless it has what is wanted already.
pub fn kubernetes() -> Result<()> {
    let root = sh::workspace_root();
    let wanted = fs::read_to_string(root.join(WANTED)).context(WANTED)?;
    let folder = root.join("target/kubernetes");
    // Written last: a folder that was interrupted is made anew.
    let mark = folder.join("has");
    if fs::read_to_string(&mark).is_ok_and(|has| has == wanted) {
        return Ok(());
    }
    sh::say(format!("fetching what {WANTED} names (pip), into target/kubernetes"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    run(&PathBuf::from("/usr/bin/python3"), &["-m", "venv"], &folder)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(&folder.join("bin/python"), &install, &root.join(WANTED))?;
    fs::write(&mark, wanted).with_context(|| mark.display().to_string())
}

fn run(program: &Path, arguments: &[&str], last: &Path) -> Result<()> {
    let status = Command::new(program).args(arguments).arg(last).status();
    if !status.with_context(|| format!("{} does not run", program.display()))?.success() {
        bail!("`{} {} {}` failed", program.display(), arguments.join(" "), last.display());
    }
    Ok(())
}
