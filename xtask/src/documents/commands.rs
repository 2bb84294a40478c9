//! Commands of this repository that documents quote: each is one that the command line takes, and names tests that there are.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;

use super::documents;
use crate::{Cli, sh};

/// What is typed after `command`, in code style or in a block of commands.
fn typed(text: &str, command: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(command) {
        let rest = text[at + command.len()..].split(['`', '\n']).next().unwrap_or_default();
        found.push(rest.split(" #").next().unwrap_or_default().trim().to_owned());
    }
    // Stand-ins: `cargo test -p CRATE`.
    let is_stand_in = |word: &str| word.contains('…') || word.chars().all(|c| c.is_ascii_uppercase());
    found.retain(|line| !line.is_empty() && !line.split(' ').any(is_stand_in));
    found
}

/// Names of functions and modules of the workspace, tests among them.
fn names(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && name != ".git" {
            names(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name =
                |word: &str| word.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
            for keyword in ["fn ", "mod "] {
                found.extend(text.split(keyword).skip(1).filter_map(name));
            }
        }
    }
}

/// What is wrong with the words behind ` -- `, which choose tests by their names.
fn unknown(line: &str, tests: &BTreeSet<String>) -> Option<String> {
    let (_, words) = line.split_once(" -- ")?;
    let mut words = words.split(' ').filter(|word| !word.starts_with('-'));
    let missing = words.find(|word| !tests.iter().any(|test| test.contains(word)))?;
    Some(format!("no test has `{missing}` in its name"))
}

#[test]
fn every_command_that_a_document_quotes_is_one() {
    let root = sh::workspace_root();
    let mut tests = BTreeSet::new();
    names(&root, &mut tests);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (document, text) in documents() {
        for line in typed(&text, "cargo xtask ") {
            seen += 1;
            let taken = Cli::try_parse_from(std::iter::once("xtask").chain(line.split_whitespace()));
            // `cargo xtask compose`, of which there are several, is a name and no line to type.
            let is_wrong = |error: &clap::Error| {
                error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            };
            let refused = taken.err().filter(is_wrong).map(|error| error.to_string());
            wrong.extend(
                refused.or_else(|| unknown(&line, &tests)).map(|why| format!("{document}: {line}: {why}")),
            );
        }
        for line in typed(&text, "cargo test ") {
            seen += 1;
            let words: Vec<&str> = line.split(' ').collect();
            let after = |flag: &str| Some(words[words.iter().position(|word| *word == flag)? + 1]);
            let Some(package) = after("-p") else { continue };
            // One package is within another.
            let own = [package.to_owned(), format!("egress/{package}")]
                .map(|folder| root.join(folder).join("tests"));
            let is_there = |test: &str| {
                own.iter()
                    .any(|tests| tests.join(test).is_dir() || tests.join(format!("{test}.rs")).is_file())
            };
            let missing = after("--test").filter(|test| !is_there(test));
            let missing = missing.map(|test| format!("{package} has no tests `{test}`"));
            wrong.extend(
                missing.or_else(|| unknown(&line, &tests)).map(|why| format!("{document}: {line}: {why}")),
            );
        }
    }
    assert!(seen > 60, "the documents quote many commands, and {seen} were found");
    assert!(wrong.is_empty(), "no such command:\n{}", wrong.join("\n"));
}

#[test]
fn commands_are_told_from_what_stands_beside_them() {
    let text =
        "as `cargo xtask test net -- loops`,\n    cargo xtask demo --once   # twice\n`cargo xtask COMMAND`";
    assert_eq!(typed(text, "cargo xtask "), ["test net -- loops", "demo --once"]);
    let tests = BTreeSet::from(["loops_are_refused".to_owned()]);
    assert_eq!(unknown("test net -- loops --nocapture", &tests), None);
    assert!(unknown("test net -- looops", &tests).is_some_and(|why| why.contains("looops")));
}
