//! The relay's pinned maps as anybody can read them, with nothing but bpftool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::relay::Json;

/// How a packet finds its children. `root` is the relay's pin directory.
pub fn dump(root: &Path) -> Result<()> {
    let pins = folder(root)?;
    let instance =
        lookup(&pins, "SETS", 0, "the fan-out set of all streams: its instance in force")?.number() as u32;
    let members = lookup(&pins, "INSTANCES", instance, "the instance: its run of members")?;
    for position in 0..members["count"].number() as u32 {
        let slot = lookup(
            &pins,
            "MEMBERS",
            members["first"].number() as u32 + position,
            "a member: its child slot",
        )?;
        lookup(&pins, "CHILDREN", slot.number() as u32, "the child: the headers of its copies")?;
    }
    println!("$ bpftool map dump pinned {}/STREAMS", pins.display());
    println!("{}", bpftool(&["map", "dump", "pinned", &pins.join("STREAMS").to_string_lossy()])?.trim_end());
    Ok(())
}

/// ROOT/INTERFACE/vN.
fn folder(root: &Path) -> Result<PathBuf> {
    let folder = root.join("eth0");
    let mut versions = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(versions.next().context("no version in the pin directory")??.path())
}

/// Shows one entry of a pinned array as bpftool does, and gives its value.
fn lookup(pins: &Path, map: &str, index: u32, what: &str) -> Result<Json> {
    let file = pins.join(map).to_string_lossy().into_owned();
    let key = index.to_ne_bytes().map(|byte| byte.to_string());
    let arguments =
        [&["map", "lookup", "pinned", &file, "key"], &key.each_ref().map(String::as_str)[..]].concat();
    println!("$ bpftool {}    # {what}", arguments.join(" "));
    println!("{}", bpftool(&arguments)?.trim_end());
    let json: Json = bpftool(&[&["--json"], &arguments[..]].concat())?.parse()?;
    Ok(json["formatted"]["value"].clone())
}

fn bpftool(arguments: &[&str]) -> Result<String> {
    let output = Command::new("bpftool").args(arguments).output().context("running bpftool")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {}: {}", arguments.join(" "), stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
