//! The images: binaries that were built on this machine are put where the Dockerfiles look for them, without what only a
//! debugger reads, then docker-compose builds.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::compose;
use crate::sh;

/// What is in them.
pub const BINARIES: [&str; 5] = ["relay-ctl", "injection", "egress", "scaler", "media-client"];
/// One service of each image.
const SERVICES: [&str; 8] = [
    "redis",
    "janus-videoroom",
    "relay-1",
    "injection-1",
    "egress-1",
    "whip-client-1",
    "prometheus",
    "scaler",
];
/// What all our images begin with.
const PREFIX: &str = "media-tree/";

/// Builds all, and says how large they are.
pub fn build(base: &str) -> Result<()> {
    stage()?;
    let mut build = compose();
    build.args(["build", "--quiet"]).args(SERVICES).env("BASE_IMAGE", base);
    // The engine's own builder: BuildKit needs a part that Debian's engine does not have.
    build.env("COMPOSE_DOCKER_CLI_BUILD", "0").stdout(Stdio::null());
    sh::run("images", &mut build)?;
    let format = "{{.Repository}} {{.Size}}";
    let sizes =
        sh::output_of(Command::new("docker").args(["images", "--format", format, &format!("{PREFIX}*")]));
    for line in sizes.unwrap_or_default().lines().rev() {
        sh::say(format!("image {line}"));
    }
    Ok(())
}

/// Removes all, and what was left of building them.
pub fn remove() -> Result<()> {
    let ids = sh::output_of(Command::new("docker").args(["images", "-q", &format!("{PREFIX}*")]))
        .unwrap_or_default();
    let mut ids: Vec<&str> = ids.lines().collect();
    ids.dedup();
    if !ids.is_empty() {
        sh::run(
            "images",
            Command::new("docker").args(["image", "rm", "--force"]).args(&ids).stdout(Stdio::null()),
        )?;
    }
    let mut prune = Command::new("docker");
    prune.args(["image", "prune", "--force", "--filter", "label=media-tree"]);
    sh::run("stages", prune.stdout(Stdio::null()))
}

fn stage() -> Result<()> {
    let folder = sh::workspace_root().join("deploy/images/bin");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for name in BINARIES {
        let built: PathBuf = sh::workspace_root().join("target/release").join(name);
        let stripped = Command::new("strip").arg("-o").arg(folder.join(name)).arg(&built).status();
        if !stripped.is_ok_and(|status| status.success()) {
            // It does as it is, and takes more room.
            fs::copy(&built, folder.join(name)).with_context(|| format!("copying {}", built.display()))?;
        }
    }
    Ok(())
}
