//! The image that all others are built on: Debian's own where it can be pulled, else one made of Debian's packages. Such a
//! one is for this machine only and never to be published.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::sh;

const PULLED: &str = "debian:bookworm-slim";
const MADE: &str = "media-tree-base:bookworm";
/// What Debian's slim image leaves out, too.
const LEFT_OUT: [&str; 7] = [
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
];
/// First line of a settings file that we wrote.
const OURS: &str = "# Written by `cargo xtask compose`, for docker-compose.";

/// Finds or makes it; gives its name. docker-compose is told by the settings file that it reads by itself, so that whoever
/// types the commands of docs/contract.md, *Compatibility*, need not know.
pub fn ensure() -> Result<String> {
    let base = find()?;
    let file = settings();
    let theirs = fs::read_to_string(&file).is_ok_and(|text| !text.starts_with(OURS));
    if theirs {
        sh::say(format!("{} is not ours; BASE_IMAGE={base} is passed to docker-compose", file.display()));
    } else if base != PULLED {
        fs::write(&file, format!("{OURS}\nBASE_IMAGE={base}\n"))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(base)
}

/// Removes what [`ensure()`] made.
pub fn forget() -> Result<()> {
    let file = settings();
    if fs::read_to_string(&file).is_ok_and(|text| text.starts_with(OURS)) {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    if exists(MADE) {
        sh::run(
            "base image",
            Command::new("docker").args(["image", "rm", "--force", MADE]).stdout(Stdio::null()),
        )?;
    }
    Ok(())
}

fn find() -> Result<String> {
    if let Some(named) = std::env::var("BASE_IMAGE").ok().filter(|name| !name.is_empty()) {
        return Ok(named);
    }
    for known in [PULLED, MADE] {
        if exists(known) {
            return Ok(known.to_owned());
        }
    }
    // A registry that is not there may take its time to say so.
    let mut pull = Command::new("timeout");
    if sh::output_of(pull.args(["60", "docker", "pull", "--quiet", PULLED])).is_some() {
        return Ok(PULLED.to_owned());
    }
    sh::say(format!("{PULLED} cannot be pulled; a base is made of Debian's packages"));
    import()?;
    Ok(MADE.to_owned())
}

fn import() -> Result<()> {
    let began = Instant::now();
    let file = folder().join("base.tar");
    if !file.exists() {
        bootstrap(&file)?;
    }
    let tar = fs::File::open(&file).with_context(|| format!("reading {}", file.display()))?;
    let imported = Command::new("docker")
        .args(["import", "-", MADE])
        .stdin(tar)
        .stdout(Stdio::null())
        .status()
        .context("running docker import")?;
    ensure!(
        imported.success(),
        "docker import of {} failed ({imported}); delete it and try again",
        file.display()
    );
    sh::say(format!("{MADE}: made in {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

fn bootstrap(file: &std::path::Path) -> Result<()> {
    let root = folder().join("base");
    // What an interrupted run has left is of no use. debootstrap unmounts what it mounted, unless it was killed.
    for mounted in ["proc", "sys"] {
        let _ = sh::output_of(Command::new("umount").arg(root.join(mounted)));
    }
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    let mut debootstrap = Command::new("debootstrap");
    sh::run("base", debootstrap.args(["--variant=minbase", "bookworm"]).arg(&root).stdout(Stdio::null()))?;
    // Under another name until it is whole.
    let unfinished = file.with_extension("tar.part");
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(&root)
        .args(LEFT_OUT.map(|path| format!("--exclude={path}")))
        .arg("-cf")
        .arg(&unfinished)
        .arg(".");
    sh::run("tar", &mut tar)?;
    fs::rename(&unfinished, file).with_context(|| format!("renaming {}", unfinished.display()))?;
    fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))
}

fn exists(image: &str) -> bool {
    sh::output_of(Command::new("docker").args(["image", "inspect", image])).is_some()
}

fn folder() -> PathBuf {
    sh::workspace_root().join("target/compose")
}

fn settings() -> PathBuf {
    sh::workspace_root().join(".env")
}
