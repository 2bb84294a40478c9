//! What the output of `cargo test` says, line by line: which tests failed, of which program, when, and what they noticed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Begins a line in which the lab says what disturbed a trial.
pub const MARK: &str = "disturbed: ";

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub name: String,
    /// The program that it is in, as cargo calls it.
    pub binary: Option<PathBuf>,
    /// It ran at some time between these.
    pub began: Instant,
    pub ended: Instant,
    /// What its own output says that disturbed it.
    pub disturbed: Vec<String>,
}

/// What was read so far.
#[derive(Debug)]
pub struct Output {
    pub failed: Vec<Failed>,
    /// A program of tests ended without its closing line: it crashed, or could not be compiled.
    pub broken: bool,
    /// Tests that ran, whatever became of them.
    pub ran: usize,
    /// Those that passed.
    pub passed: Vec<String>,
    binary: Option<PathBuf>,
    /// When the program that now runs began, and when its latest test ended.
    began: Instant,
    latest: Instant,
    /// Tests that failed, with the time they ran in.
    seen: Vec<(String, Instant, Instant)>,
    /// Disturbances by test, from the sections at the end.
    sections: Vec<(String, Vec<String>)>,
    part: Part,
}

/// Where in the output of a program we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Tests,
    Sections,
    Names,
}

impl Output {
    pub fn begin(now: Instant) -> Self {
        Self {
            failed: Vec::new(),
            broken: false,
            ran: 0,
            passed: Vec::new(),
            binary: None,
            began: now,
            latest: now,
            seen: Vec::new(),
            sections: Vec::new(),
            part: Part::Tests,
        }
    }

    /// Reads the next line, which came at `now`. If a test ended with it: how long after the one before.
    pub fn line(&mut self, line: &str, now: Instant) -> Option<Duration> {
        let before = self.latest;
        let ran = self.ran;
        self.read(line, now);
        (self.ran > ran).then(|| now - before)
    }

    fn read(&mut self, line: &str, now: Instant) {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix("Running ")
            && let Some(path) =
                rest.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map(|(_, path)| path)
        {
            self.program(Some(path.into()), now);
        } else if trimmed.starts_with("Doc-tests ") {
            self.program(None, now);
        } else if trimmed.starts_with("error: could not compile")
            || trimmed.contains("process didn't exit successfully")
        {
            // Cargo says the latter of every program with a failed test, and names the exit code 101 then.
            self.broken |= !trimmed.contains("exit status: 101");
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some((name, result)) = rest.split_once(" ... ")
            && self.part == Part::Tests
        {
            if result.trim_end().ends_with("FAILED") {
                self.seen.push((name.to_owned(), self.latest, now));
            } else if !result.starts_with("ignored") {
                self.passed.push(name.to_owned());
            }
            self.ran += usize::from(!result.starts_with("ignored"));
            self.latest = now;
        } else if let Some(rest) = line.strip_prefix("---- ")
            && let Some(name) = rest.strip_suffix(" stdout ----")
        {
            self.part = Part::Sections;
            self.sections.push((name.to_owned(), Vec::new()));
        } else if line.starts_with("test result: ") {
            // What cargo lists afterwards are programs, not tests.
            self.part = Part::Tests;
        } else if line == "failures:" {
            self.part = if self.part == Part::Tests { Part::Sections } else { Part::Names };
        } else if self.part == Part::Sections {
            if let Some(what) = trimmed.strip_prefix(MARK)
                && let Some((_, disturbed)) = self.sections.last_mut()
            {
                disturbed.push(what.to_owned());
            }
        } else if self.part == Part::Names
            && let Some(name) = line.strip_prefix("    ")
        {
            self.fail(name, now);
        }
    }

    fn program(&mut self, binary: Option<PathBuf>, now: Instant) {
        self.binary = binary;
        (self.began, self.latest) = (now, now);
        self.seen.clear();
        self.sections.clear();
        self.part = Part::Tests;
    }

    fn fail(&mut self, name: &str, now: Instant) {
        let ran = self.seen.iter().find(|(seen, ..)| seen == name);
        // Its own line may be torn by what other programs printed; then it ran while its program did.
        let (began, ended) = ran.map_or((self.began, now), |(_, began, ended)| (*began, *ended));
        let disturbed = self.sections.iter().find(|(section, _)| section == name);
        let disturbed = disturbed.map_or_else(Vec::new, |(_, disturbed)| disturbed.clone());
        self.failed.push(Failed {
            name: name.to_owned(),
            binary: self.binary.clone(),
            began,
            ended,
            disturbed,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line comes every second.
    fn read(text: &str) -> (Output, Instant) {
        let began = Instant::now();
        let mut output = Output::begin(began);
        for (line, second) in text.lines().zip(0..) {
            output.line(line, began + Duration::from_secs(second));
        }
        (output, began)
    }

    const TWO_PROGRAMS: &str = "\
     Running tests/net/main.rs (target/release/deps/net-0123)

running 2 tests
test loops::are_refused ... ok
test fan_out::in_xdp_mode ... FAILED

failures:

---- fan_out::in_xdp_mode stdout ----
disturbed: the source in injection-1 was 30 ms late
thread panicked
failures of others:


failures:
    fan_out::in_xdp_mode

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p lab --test net`
error: 1 target failed:
    `-p lab --test net`
     Running tests/media/main.rs (/abs/deps/media-4567)

running 1 test
test viewers ... FAILED

failures:

---- viewers stdout ----
thread panicked

failures:
    viewers

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
";

    #[test]
    fn failed_tests_are_known_with_program_time_and_cause() {
        let (output, began) = read(TWO_PROGRAMS);
        assert!(!output.broken);
        let [first, second] = output.failed.as_slice() else { panic!("{:?}", output.failed) };
        assert_eq!(first.name, "fan_out::in_xdp_mode");
        assert_eq!(first.binary.as_deref(), Some("target/release/deps/net-0123".as_ref()));
        assert_eq!(
            (first.began - began, first.ended - began),
            (Duration::from_secs(3), Duration::from_secs(4))
        );
        assert_eq!(first.disturbed, ["the source in injection-1 was 30 ms late"]);
        assert_eq!(second.name, "viewers");
        assert_eq!(second.binary.as_deref(), Some("/abs/deps/media-4567".as_ref()));
        assert!(second.disturbed.is_empty());
    }

    #[test]
    fn a_torn_line_leaves_the_time_of_the_program() {
        let (output, began) = read(
            "     Running tests/a.rs (a)\ntest one ... said a child\nFAILED\n\nfailures:\n\n---- one stdout ----\nx\n\nfailures:\n    one\n",
        );
        assert_eq!(output.failed[0].began, began);
        assert_eq!(output.failed[0].ended - began, Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_crashed_or_did_not_compile_is_no_failed_test() {
        for line in [
            "error: could not compile `lab` (test \"net\") due to 1 previous error",
            "  process didn't exit successfully: `target/release/deps/net-1` (signal: 6, SIGABRT: process abort signal)",
        ] {
            assert!(read(line).0.broken, "{line}");
        }
        let of_a_failure =
            "  process didn't exit successfully: `target/release/deps/net-1` (exit status: 101)";
        assert!(!read(of_a_failure).0.broken);
    }

    #[test]
    fn output_that_passes_has_no_failures() {
        let (output, _) = read(
            "     Running tests/a.rs (a)\n\nrunning 1 test\ntest one ... ok\n\ntest result: ok. 1 passed\n",
        );
        assert!(output.failed.is_empty() && !output.broken);
    }

    #[test]
    fn a_test_took_from_the_end_of_the_one_before_to_its_own() {
        let began = Instant::now();
        let mut output = Output::begin(began);
        let mut at = |line: &str, second| output.line(line, began + Duration::from_secs(second));
        assert_eq!(at("     Running tests/net/main.rs (target/tests/deps/net-0123)", 20), None);
        assert_eq!(at("running 3 tests", 20), None);
        assert_eq!(at("test one ... ok", 21), Some(Duration::from_secs(1)));
        assert_eq!(at("test two ... ignored, for a reason", 21), None);
        assert_eq!(at("test three ... FAILED", 36), Some(Duration::from_secs(15)));
        assert_eq!(output.ran, 2);
    }
}
