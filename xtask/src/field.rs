//! Tables of cases, each with the test that shows what becomes of it now: the inputs of the field that once went wrong
//! (`cargo xtask test field`), who can publish and watch, by what and by which way (`cargo xtask test matrix`), and what viewers notice
//! when a part of the tree fails (`cargo xtask test failures`).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result, bail, ensure};

use crate::sh;
use crate::suite::{self, Suite};
use crate::trials::{self, Priority};

/// A table, and the file that it is made from.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    file: &'static str,
    /// What its columns are called: of what is tried, and of what is right.
    heads: [&'static str; 3],
}

/// The inputs of the field.
pub const FIELD: Table = Table { file: "lab/field.tsv", heads: ["case", "input", "right"] };
/// Encoders and players.
pub const MATRIX: Table = Table { file: "lab/matrix.tsv", heads: ["way", "who, by what", "what is seen"] };

/// What goes wrong in a tree, and what viewers notice of it.
pub const FAILURES: Table =
    Table { file: "lab/failures.tsv", heads: ["test", "what happens", "what is seen"] };

/// Test programs of these are unit tests: `unit:PACKAGE`.
const UNIT: &str = "unit:";

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    /// As in the reports that it came from; several cases can have one.
    id: String,
    input: String,
    right: String,
    /// A test program, or `unit:PACKAGE`.
    program: String,
    /// Of a test, or of the module that holds tests of nothing else.
    test: String,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Right,
    Wrong,
}

impl Display for Now {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Now::Right => "right",
            Now::Wrong => "WRONG",
        })
    }
}

/// Runs every case and prints the table.
pub fn run(suite: Suite, table: Table) -> Result<()> {
    let Table { file, heads: [first, second, third] } = table;
    let text = std::fs::read_to_string(sh::workspace_root().join(file)).with_context(|| file.to_owned())?;
    let mut cases = read(file, &text)?;
    cases.sort();
    let mut programs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let names = programs.entry(case.runs_in()).or_default();
        if !names.contains(&case.test) {
            names.push(case.test.clone());
        }
    }
    let mut passed = BTreeMap::new();
    let mut failed = Vec::new();
    for (program, names) in &programs {
        let (priority, arguments) = arguments(suite, program, names);
        let mut names = Vec::new();
        if let Err(error) = trials::counted(&format!("{file}: {program}"), priority, &arguments, &mut names) {
            failed.push(format!("{error:#}"));
        }
        passed.insert(*program, names);
    }
    let failures = failed.join("\n");
    let mut wrong = 0;
    println!("\n| {first} | {second} | {third} | now |\n|---|---|---|---|");
    for case in &cases {
        let now = judge(case, &passed[case.runs_in()], &failures);
        wrong += usize::from(now == Now::Wrong);
        println!("| {} | {} | {} | {now} |", case.id, case.input, case.right);
    }
    println!("\n{} cases: {} right, {wrong} wrong", cases.len(), cases.len() - wrong);
    if wrong > 0 || !failed.is_empty() {
        bail!("{wrong} cases are wrong; {failures}");
    }
    Ok(())
}

fn arguments(suite: Suite, program: &str, tests: &[String]) -> (Priority, Vec<String>) {
    match program {
        // Of all packages at once: one alone would be compiled with other features, and all that it needs once more.
        UNIT => (Priority::Ordinary, suite.tests(&["--lib".to_owned(), "--bins".to_owned()], tests)),
        program => {
            let told = [&["--test-threads=1".to_owned()], tests].concat();
            (Priority::First, suite.tests(&suite::named(&[program]), &told))
        }
    }
}

impl Case {
    /// The program that has its test, or [`UNIT`] for all that have unit tests.
    fn runs_in(&self) -> &str {
        if self.program.starts_with(UNIT) { UNIT } else { &self.program }
    }
}

/// Right if one of the tests meant has passed, and none of them failed.
fn judge(case: &Case, passed: &[String], failures: &str) -> Now {
    let meant = |name: &str| name.contains(case.test.as_str());
    let failed = failures.split([' ', ',', '\n']).any(meant);
    match passed.iter().any(|name| meant(name)) && !failed {
        true => Now::Right,
        false => Now::Wrong,
    }
}

/// The cases of the file; lines that begin with `#` are for people.
fn read(file: &str, text: &str) -> Result<Vec<Case>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    let cases = lines.map(|(at, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, input, right, program, test] = columns[..] else {
            bail!("{file}:{}: {} columns instead of 5, divided by tabs", at + 1, columns.len());
        };
        ensure!(columns.iter().all(|column| !column.trim().is_empty()), "{file}:{}: an empty column", at + 1);
        let owned = |text: &str| text.replace('|', "\\|");
        Ok(Case {
            id: id.to_owned(),
            input: owned(input),
            right: owned(right),
            program: program.to_owned(),
            test: test.to_owned(),
        })
    });
    cases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "A1\t17 bytes\tthe connection closes\tunit:injection\trtmp::amf\n";

    #[test]
    fn a_line_is_a_case() {
        let cases = read(FIELD.file, &format!("# for people\n{LINE}")).unwrap();
        assert_eq!(
            (cases.len(), cases[0].id.as_str(), cases[0].program.as_str()),
            (1, "A1", "unit:injection")
        );
        let error = read(FIELD.file, "A1\tinput only").unwrap_err().to_string();
        assert!(error.contains("lab/field.tsv:1: 2 columns"), "{error}");
    }

    #[test]
    fn a_case_is_right_only_when_its_test_ran_and_passed() {
        let case = &read(FIELD.file, LINE).unwrap()[0];
        let passed = |name: &str| vec![name.to_owned()];
        assert_eq!(judge(case, &passed("rtmp::amf::tests::deep"), ""), Now::Right);
        assert_eq!(judge(case, &passed("rtmp::flv::tests::deep"), ""), Now::Wrong);
        assert_eq!(judge(case, &[], ""), Now::Wrong);
        let failures = "field failed: failed: rtmp::amf::tests::wide, other";
        assert_eq!(judge(case, &passed("rtmp::amf::tests::deep"), failures), Now::Wrong);
    }

    #[test]
    fn every_line_of_the_files_names_a_test_that_there_is() {
        let root = sh::workspace_root();
        let lines = |table: Table| {
            read(table.file, &std::fs::read_to_string(root.join(table.file)).unwrap()).unwrap()
        };
        let cases = [FIELD, MATRIX, FAILURES].map(lines).concat();
        let mut sources = Vec::new();
        for folder in
            ["injection", "egress", "node", "relay-ctl", "relay-common", "lab", "bench", "fuzz", "janus"]
        {
            collect(&root.join(folder), &mut sources);
        }
        for case in &cases {
            let name = case.test.rsplit("::").find(|part| !part.is_empty()).unwrap();
            let there = [format!("fn {name}"), format!("mod {name}"), format!("/{name}.rs")];
            // In the program that is to run it, and in no other.
            let of_its_program = |path: &str| match case.program.strip_prefix("unit:") {
                Some("") => path.contains("/src/"),
                Some(package) => path.contains(&format!("/{package}/src/")),
                None => {
                    ["/", ".rs"].iter().any(|end| path.contains(&format!("/tests/{}{end}", case.program)))
                }
            };
            let mut own = sources.iter().filter(|(path, _)| of_its_program(path));
            let found = own.any(|(path, text)| {
                there.iter().any(|part| text.contains(part.as_str()) || path.ends_with(part.as_str()))
            });
            // What is named after its program is that program's whole.
            assert!(found || name == case.program, "{}: no test {} in {}", case.id, case.test, case.program);
        }
    }

    /// The paths and texts of all Rust files in a folder.
    fn collect(folder: &std::path::Path, sources: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                sources.push((path.display().to_string(), text));
            }
        }
    }
}
