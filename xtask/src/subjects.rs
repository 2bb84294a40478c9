//! The subjects of the commits on a branch: `git log --oneline` shows 72 characters of them without a fold.

use std::process::Command;

use anyhow::{Result, bail};

use crate::sh;

/// Longest subject, in characters.
const LONGEST: usize = 72;
/// The main line, by the names that a clone may have for it.
const MAIN: [&str; 2] = ["origin/main", "main"];

/// Looks at the commits of a branch since it left the main line: what is there cannot be mended any more. Where there is no
/// main line to compare with (an archive, a shallow clone) nothing can be looked at, which is said.
pub fn check() -> Result<()> {
    let Some(beginning) = MAIN.iter().find_map(|branch| git(&["merge-base", "HEAD", branch])) else {
        sh::say("commit subjects: no main branch to compare with; not checked");
        return Ok(());
    };
    let range = format!("{beginning}..HEAD");
    let Some(log) = git(&["log", "--no-merges", "--format=%h %s", &range]) else {
        sh::say(format!("commit subjects: git cannot list {range}; not checked"));
        return Ok(());
    };
    let long = too_long(&log);
    if !long.is_empty() {
        bail!("these subjects are longer than {LONGEST} characters:\n{}", long.join("\n"));
    }
    sh::say(format!("commit subjects: {} looked at", log.lines().count()));
    Ok(())
}

/// `hash subject` lines whose subject is too long.
fn too_long(log: &str) -> Vec<&str> {
    let is_long =
        |line: &&str| line.split_once(' ').is_some_and(|(_, subject)| subject.chars().count() > LONGEST);
    log.lines().filter(is_long).collect()
}

fn git(arguments: &[&str]) -> Option<String> {
    let root = sh::workspace_root();
    let output = sh::output_of(Command::new("git").current_dir(root).args(arguments))?;
    Some(output.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_at_most_72_characters() {
        let fits = format!("abc {}", "ü".repeat(72));
        let long = format!("def {}", "x".repeat(73));
        assert_eq!(too_long(&format!("{fits}\n{long}\n")), [long.as_str()]);
        assert!(too_long("").is_empty());
    }
}
