//! Running other programs: one place for progress lines and readable failures.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::interrupt::{self, Told};

/// Prints a progress line for a person.
pub fn say(line: impl AsRef<str>) {
    println!("[xtask] {}", line.as_ref());
}

/// The root of the workspace, wherever the command was typed.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Begins again without what `cargo xtask` says of this program's own package. Build scripts that look at it, as ring's does, would be
/// run again after each `cargo build` in a shell, and all that depends on them compiled again.
pub fn as_in_a_shell() {
    let said = of_this_package(std::env::vars_os().map(|(name, _)| name));
    let Ok(program) = std::env::current_exe() else { return };
    if said.is_empty() {
        return;
    }
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1));
    for name in said {
        again.env_remove(name);
    }
    // It comes back only if it cannot: then more is compiled.
    let _ = again.exec();
}

fn of_this_package(names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.starts_with(of));
    names.filter(|name| name.to_str().is_some_and(is)).collect()
}

/// Runs a command with its output shown; an exit code other than 0 is an error that names the command.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    say(format!("{what}: {}", line_of(command)));
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("could not start `{}`", line_of(command)))?;
    let told = Told::child(child.id());
    let status = child.wait().with_context(|| format!("waiting for `{}`", line_of(command)))?;
    drop(told);
    if !status.success() && interrupt::seen() {
        bail!("{what}: interrupted");
    }
    if !status.success() {
        bail!("{what} failed ({status}): {}", line_of(command));
    }
    say(format!("{what}: done in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs a command and returns what it printed, or `None` when it is missing or failed.
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as somebody would type it.
pub fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_a_package_is_told_from_what_people_tell_cargo() {
        let names =
            ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BUILD_JOBS", "CARGO_HOME", "CARGO", "PATH"];
        assert_eq!(of_this_package(names.iter().map(Into::into)), ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"]);
    }
}
