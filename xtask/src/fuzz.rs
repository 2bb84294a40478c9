//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, each for a while. What they are and what to do with a crash is in
//! fuzz/README.md.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Need};
use crate::{interrupt, sh};

/// Runs the targets named, or all, for so many seconds each. Each runs even if an earlier one has found something.
pub fn run(named: &[String], seconds: u64) -> Result<()> {
    let folder = sh::workspace_root().join("fuzz");
    let all = targets(&folder)?;
    let wanted = chosen(&all, named)?;
    packages::install(&[Need::Nodes])?;
    install_cargo_fuzz()?;
    sh::run(
        "fuzz targets",
        Command::new("cargo").current_dir(&folder).args(["fuzz", "build", "-s", "none"]),
    )?;
    let mut found = Vec::new();
    for target in wanted {
        if let Err(error) = sh::run(target, &mut fuzz(&folder, target, seconds)?) {
            eprintln!("[xtask] {error:#}");
            found.push(target);
        }
        if interrupt::seen() {
            break;
        }
    }
    if !found.is_empty() {
        bail!(
            "found something: {found:?}; the input is under fuzz/artifacts/, and fuzz/README.md says what to do with it"
        );
    }
    Ok(())
}

/// Without a sanitizer, because those need a nightly toolchain; coverage, which is what guides the search, does not.
fn fuzz(folder: &Path, target: &str, seconds: u64) -> Result<Command> {
    let grown = folder.join("corpus").join(target);
    std::fs::create_dir_all(&grown).with_context(|| format!("cannot make {}", grown.display()))?;
    let mut command = Command::new("cargo");
    command.current_dir(folder).args(["fuzz", "run", "-s", "none", target]);
    command.arg(grown).arg(folder.join("seeds").join(target));
    // A slow input and one that takes much memory are findings like a panic.
    command.args(["--", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]);
    command.arg(format!("-max_total_time={seconds}"));
    Ok(command)
}

/// A file in `fuzz_targets/` is a target.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let files = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let name = |file: std::fs::DirEntry| file.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned);
    let mut names: Vec<String> = files.flatten().filter_map(name).collect();
    names.sort();
    Ok(names)
}

fn chosen<'a>(all: &'a [String], named: &[String]) -> Result<Vec<&'a str>> {
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target '{unknown}'; there are {}", all.join(", "));
    }
    Ok(all
        .iter()
        .map(String::as_str)
        .filter(|name| named.is_empty() || named.iter().any(|n| n == name))
        .collect())
}

fn install_cargo_fuzz() -> Result<()> {
    if sh::output_of(Command::new("cargo").args(["fuzz", "--version"])).is_some() {
        return Ok(());
    }
    let install = ["install", "cargo-fuzz", "--quiet", "--locked", "--version", "^0.13"];
    sh::run("cargo-fuzz", Command::new("cargo").args(install))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn fuzz_folder() -> std::path::PathBuf {
        sh::workspace_root().join("fuzz")
    }

    #[test]
    fn targets_are_chosen_by_name() {
        let all = ["flv", "packet"].map(str::to_owned);
        assert_eq!(chosen(&all, &[]).unwrap(), ["flv", "packet"]);
        assert_eq!(chosen(&all, &["packet".to_owned()]).unwrap(), ["packet"]);
        let error = chosen(&all, &["paket".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no fuzz target 'paket'; there are flv, packet");
    }

    #[test]
    fn every_target_is_built_and_has_seeds_and_a_word_in_the_readme() {
        let folder = fuzz_folder();
        let [manifest, readme] =
            ["Cargo.toml", "README.md"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
        for target in targets(&folder).unwrap() {
            assert!(
                manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
                "Cargo.toml: {target}"
            );
            assert!(readme.contains(&format!("| `{target}` |")), "README.md: {target}");
            let seeds = std::fs::read_dir(folder.join("seeds").join(&target)).unwrap().count();
            assert!(seeds > 0, "seeds/{target} is empty");
        }
    }

    #[test]
    fn seeds_are_small_and_no_targets_are_missing() {
        let folder = fuzz_folder();
        let seeded: BTreeSet<String> = std::fs::read_dir(folder.join("seeds"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(seeded, targets(&folder).unwrap().into_iter().collect());
        for target in seeded {
            for seed in std::fs::read_dir(folder.join("seeds").join(target)).unwrap() {
                let seed = seed.unwrap();
                assert!(seed.metadata().unwrap().len() <= 4096, "{:?}", seed.path());
            }
        }
    }
}
