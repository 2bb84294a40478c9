//! The programs of tests: what is built for them, all at once, and how cargo is asked to run some of them.
//!
//! Always the same packages, features and profile in one run of xtask: otherwise cargo would compile what they depend on anew
//! for each part.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::interrupt::Told;
use crate::mounts::Mounts;
use crate::packages::{self, Need};
use crate::{build_ebpf, progress, sh};

/// In Cargo.toml.
pub const PROFILE: &str = "tests";
/// Test programs that need root. All others are unit tests, and run by plain `cargo test` too, but for those of packages
/// that need GStreamer to be built.
const NEED_ROOT: [&str; 10] = [
    "kernel",
    "net",
    "media",
    "browser",
    "monitoring",
    "scaler",
    "a_benchmark_runs",
    "broadcast",
    "chain",
    "narrow_ways",
];

/// Packages and profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    packages: &'static [&'static str],
    profile: &'static str,
}

impl Suite {
    /// Everything.
    pub const WHOLE: Suite = Suite { packages: &["--workspace"], profile: PROFILE };
    /// The relay, without the nodes and clients that need GStreamer.
    pub const RELAY: Suite = Suite {
        packages: &["--package=relay-ctl", "--package=lab", "--package=bench", "--package=vm"],
        profile: PROFILE,
    };
    /// The same as it is shipped: for runs so long that building it does not matter.
    const SHIPPED: Suite = Suite { profile: "release", ..Suite::RELAY };

    /// Builds programs, examples and tests. The former with what tests depend on, because that turns on features of what
    /// they depend on themselves.
    pub fn build(self) -> Result<()> {
        self.cargo("programs", &["build", "--bins", "--examples"])?;
        self.cargo("tests", &["test", "--no-run", "--tests"])
    }

    fn cargo(self, what: &str, command: &[&str]) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(sh::workspace_root()).args(command).args(self.packages);
        progress::cargo(what, cargo.args(["--profile", self.profile, "--locked"]))
    }

    /// What cargo is told to run these test programs, and they are told.
    pub fn tests(self, programs: &[String], told: &[String]) -> Vec<String> {
        let mut arguments = vec!["test".to_owned()];
        arguments.extend(self.packages.iter().map(|&package| package.to_owned()));
        arguments.extend(["--profile", self.profile, "--locked", "--no-fail-fast"].map(str::to_owned));
        arguments.extend(programs.iter().cloned());
        arguments.push("--".to_owned());
        arguments.extend(told.iter().cloned());
        arguments
    }
}

/// As cargo is told: test programs by name.
pub fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("--test={name}")).collect()
}

/// As cargo is told: everything that needs no root.
pub fn rootless() -> Result<Vec<String>> {
    let mut programs = ["--lib", "--bins"].map(str::to_owned).to_vec();
    let mut names = test_programs(&sh::workspace_root())?;
    names.retain(|name| !NEED_ROOT.contains(&name.as_str()));
    programs.extend(names.into_iter().map(|name| format!("--test={name}")));
    Ok(programs)
}

/// Those of all packages, and of packages in their folders: files in their `tests`, and folders with a `main.rs`.
fn test_programs(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut packages = packages_in(root)?;
    for package in packages.clone() {
        packages.extend(packages_in(&package)?);
    }
    for entry in packages.iter().filter_map(|package| package.join("tests").read_dir().ok()).flatten() {
        let path = entry.context("cannot read a folder of tests")?.path();
        let is_one = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").is_file();
        names.extend(path.file_stem().filter(|_| is_one).and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let packages = entries.flatten().map(|entry| entry.path());
    Ok(packages.filter(|path| path.join("Cargo.toml").is_file()).collect())
}

/// Some tests of one program, with numbers too large for every day, as they are shipped. `line` gets each line they print.
pub fn long_run(
    what: &str,
    program: &str,
    tests: &[&str],
    environment: &[(&str, String)],
    mut line: impl FnMut(&str),
) -> Result<()> {
    packages::install(Need::USUAL)?;
    build_ebpf::check()?;
    Suite::SHIPPED.build()?;
    let _mounts = Mounts::remember();
    let started = Instant::now();
    let told = ["--test-threads=1", "--nocapture"].iter().chain(tests).map(|&word| word.to_owned());
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(sh::workspace_root())
        .args(Suite::SHIPPED.tests(&named(&[program]), &told.collect::<Vec<_>>()))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    sh::say(format!("{what}: {}", sh::line_of(&cargo)));
    let mut child = cargo.spawn().context("could not start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let told = Told::child(child.id());
    for printed in BufReader::new(output).lines() {
        let printed = printed.context("reading what the tests print")?;
        println!("{printed}");
        line(&printed);
    }
    let status = child.wait().context("waiting for the tests")?;
    drop(told);
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    if !status.success() {
        bail!("{what}: some failed, see above (after {minutes:.1} minutes)");
    }
    sh::say(format!("{what}: done in {minutes:.1} minutes"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_program_is_known() {
        let all = test_programs(&sh::workspace_root()).unwrap();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "cargo would run both: {all:?}");
        for name in NEED_ROOT {
            assert!(all.iter().any(|known| known == name), "{name} is no test program any more");
        }
        let rootless = rootless().unwrap();
        assert!(rootless.contains(&"--test=parser_agrees_with_etherparse".to_owned()), "{rootless:?}");
        assert!(rootless.contains(&"--test=tree".to_owned()), "{rootless:?}");
        assert!(
            rootless.contains(&"--test=door".to_owned()),
            "of a package in another's folder: {rootless:?}"
        );
        assert!(!rootless.iter().any(|name| name.ends_with("common")), "no program: {rootless:?}");
        assert!(!rootless.contains(&"--test=net".to_owned()));
    }
}
