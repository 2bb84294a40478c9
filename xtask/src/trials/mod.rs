//! Runs tests, and repeats those that failed while the machine was taken away from them.
//!
//! Tests that count packets need the machine: a generator that waited for a CPU, a ring that overflowed because its
//! reader slept, say nothing of the relay. Such a trial is no verdict, neither way. It is repeated, with a word, at most
//! [`REPEATS`] times, each time in a process of its own; a test that fails while nothing disturbed it has failed.
//!
//! Tests that ran beside each other have disturbed each other: one that failed is repeated alone before anything is said.
//!
//! What counts as disturbance: what the lab itself noticed (lines that begin with [`output::MARK`] in the output of the
//! test), and what the machine's own books say of the time in which the test ran ([`machine`]).

mod machine;
mod output;
pub mod repeated;
mod session;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt::{self, Told};
use crate::sh;
use machine::Watch;
use output::{Failed, Output};
use repeated::Repeated;
use session::Session;

/// How often a disturbed trial is repeated.
const REPEATS: u32 = 3;
/// With more failures than this it is not the machine, unless tests ran beside each other.
const MOST: usize = 12;
/// A test that takes longer says how long.
const SLOW: Duration = Duration::from_secs(5);
/// What tests that measure run with (nice(1)), before all other programs of this machine.
pub(crate) const NICENESS: &str = "-10";

/// Which programs go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Ordinary,
    /// The tests before all else that runs here: they measure loss. Needs root.
    First,
}

impl Priority {
    /// A command of this priority.
    fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Priority::Ordinary => Command::new(program),
            Priority::First => {
                let mut command = Command::new("nice");
                command.args(["-n", NICENESS]).arg(program);
                command
            }
        }
    }
}

/// Runs `cargo` with these arguments, its output shown, and judges each failure. `what` names it for a person.
///
/// # Errors
/// Names the tests that failed, and those that could not be judged because every trial was disturbed.
pub fn run(what: &str, priority: Priority, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    counted(what, priority, arguments, &mut Vec::new())
}

/// The same of tests that run beside each other.
pub fn run_beside(what: &str, priority: Priority, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    judged(what, priority, Some("other tests ran beside it"), arguments, &mut Vec::new())
}

/// The same as [`run`], and `passed` gets the names of the tests that passed, also when others did not.
pub fn counted(
    what: &str,
    priority: Priority,
    arguments: &[impl AsRef<OsStr>],
    passed: &mut Vec<String>,
) -> Result<()> {
    judged(what, priority, None, arguments, passed)
}

fn judged(
    what: &str,
    priority: Priority,
    company: Option<&'static str>,
    arguments: &[impl AsRef<OsStr>],
    passed: &mut Vec<String>,
) -> Result<()> {
    let watch = Watch::start();
    let _session = (priority == Priority::First).then(Session::first);
    let mut command = priority.command("cargo");
    command.current_dir(sh::workspace_root()).args(arguments);
    let machine = |from, to| watch.between(from, to);
    let trials = Trials { priority, company, machine: &machine, show: |line| println!("{line}") };
    trials.run(what, &mut command, passed)
}

/// How tests are run, and who knows what disturbed the machine between two moments.
struct Trials<'a> {
    priority: Priority,
    /// What disturbed each of the first trials.
    company: Option<&'static str>,
    machine: &'a dyn Fn(Instant, Instant) -> Option<String>,
    /// What becomes of a line that the tests print.
    show: fn(&str),
}

/// How one failed test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In a repeated trial.
    Passed,
    Failed,
    /// Every trial was disturbed.
    NotJudged,
}

impl Trials<'_> {
    fn run(&self, what: &str, command: &mut Command, passed: &mut Vec<String>) -> Result<()> {
        let line = sh::line_of(command);
        sh::say(format!("{what}: {line}"));
        let started = Instant::now();
        let (success, mut output) = shown(command, self.show)?;
        passed.append(&mut output.passed);
        if success && output.ran == 0 {
            bail!("{what}: not one test has such a name: {line}");
        }
        if interrupt::seen() {
            bail!("{what}: interrupted");
        }
        if !success {
            self.judge(what, &output, passed).with_context(|| format!("{what} failed: {line}"))?;
        }
        sh::say(format!("{what}: done in {:.1} s", started.elapsed().as_secs_f64()));
        Ok(())
    }

    fn judge(&self, what: &str, output: &Output, passed: &mut Vec<String>) -> Result<()> {
        if output.broken || output.failed.is_empty() {
            bail!("it did not come to its end");
        }
        let (mut failed, mut not_judged) = (Vec::new(), Vec::new());
        let many = self.company.is_none() && output.failed.len() > MOST;
        for test in &output.failed {
            interrupt::check()?;
            let verdict = if many { Ok(Verdict::Failed) } else { self.repeat(what, test) };
            if let Err(error) = &verdict {
                sh::say(format!("{}: cannot be tried again: {error:#}", test.name));
            }
            match verdict.unwrap_or(Verdict::Failed) {
                Verdict::Passed => passed.push(test.name.clone()),
                Verdict::Failed => failed.push(test.name.as_str()),
                Verdict::NotJudged => not_judged.push(test.name.as_str()),
            }
        }
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        if !not_judged.is_empty() {
            bail!(
                "not judged, because something else had the machine in each of {} trials: {}; stop what else runs here, \
                 then try again",
                REPEATS + 1,
                not_judged.join(", ")
            );
        }
        sh::say(format!("{what}: all that failed passed when it had the machine"));
        Ok(())
    }

    /// Repeats a failed test for as long as the failure can be the machine's, and notes that it did.
    fn repeat(&self, what: &str, test: &Failed) -> Result<Verdict> {
        let mut causes = Vec::new();
        let verdict = self.try_alone(test, &mut causes)?;
        if let Some(first) = causes.first() {
            let (of, test, cause) = (what.to_owned(), test.name.clone(), first.clone());
            repeated::note(Repeated { of, test, cause, alone: causes.len() as u32, verdict });
        }
        Ok(verdict)
    }

    /// `causes`: gets what disturbed each trial that was repeated.
    fn try_alone(&self, test: &Failed, causes: &mut Vec<String>) -> Result<Verdict> {
        let mut latest = test.clone();
        let mut company = self.company.map(str::to_owned);
        for trial in 2..=REPEATS + 1 {
            let Some(cause) = company.take().or_else(|| self.disturbance(&latest)) else {
                sh::say(format!("{}: failed, and nothing disturbed it", test.name));
                return Ok(Verdict::Failed);
            };
            sh::say(format!("{}: disturbed ({cause}); trial {trial} of {}", test.name, REPEATS + 1));
            causes.push(cause);
            let (success, output) = shown(&mut self.again(test)?, self.show)?;
            interrupt::check()?;
            if success {
                return Ok(if output.ran > 0 { Verdict::Passed } else { Verdict::Failed });
            }
            match output.failed.into_iter().next() {
                Some(failed) if !output.broken => latest = failed,
                _ => return Ok(Verdict::Failed),
            }
        }
        Ok(if self.disturbance(&latest).is_some() { Verdict::NotJudged } else { Verdict::Failed })
    }

    /// What disturbed a trial, if anything did: the test's own word first.
    fn disturbance(&self, test: &Failed) -> Option<String> {
        test.disturbed.first().cloned().or_else(|| (self.machine)(test.began, test.ended))
    }

    /// The same test alone.
    fn again(&self, test: &Failed) -> Result<Command> {
        let binary =
            test.binary.as_ref().with_context(|| format!("{}: its program is not known", test.name))?;
        let mut command = self.priority.command(absolute(binary));
        command.current_dir(sh::workspace_root()).args(["--exact", &test.name, "--test-threads=1"]);
        Ok(command)
    }
}

fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_path_buf() } else { sh::workspace_root().join(path) }
}

/// Runs a command, shows what it prints and reads it. Both of its streams are one, so that the order stays.
fn shown(command: &mut Command, show: fn(&str)) -> Result<(bool, Output)> {
    let line = sh::line_of(command);
    let (reader, writer) = std::io::pipe().context("a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("could not start `{line}`"))?;
    // The command holds ends of the pipe, too; with them open it would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let told = Told::child(child.id());
    let mut output = Output::begin(Instant::now());
    let mut bytes = Vec::new();
    let mut reader = BufReader::new(reader);
    while reader.read_until(b'\n', &mut bytes).context("reading the tests' output")? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end_matches('\n');
        // Of tests that run beside each other it is a part of the time they took.
        match output.line(line, Instant::now()).filter(|took| *took >= SLOW) {
            Some(took) => show(&format!("{line} ({:.1} s)", took.as_secs_f64())),
            None => show(line),
        }
        bytes.clear();
    }
    let status = child.wait().with_context(|| format!("waiting for `{line}`"))?;
    drop(told);
    Ok((status.success(), output))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that prints what a test program does: it fails until it has run so many times, and says `word`.
    struct Program(PathBuf);

    impl Program {
        fn new(name: &str, failures: u32, word: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-trials-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let script = folder.join("tests");
            let text = format!(
                "#!/bin/sh\n[ $# -gt 0 ] || echo \"     Running tests/x.rs ($0)\"\necho x >> {runs}\n\
                 [ $(wc -l < {runs}) -gt {failures} ] && echo 'test one ... ok' && exit 0\n\
                 printf 'test one ... FAILED\\n\\nfailures:\\n\\n---- one stdout ----\\n{word}\\n\\nfailures:\\n    one\\n\\n'\n\
                 exit 101\n",
                runs = folder.join("runs").display(),
            );
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        fn judged(&self, machine: Option<&str>) -> Result<(), String> {
            self.judged_in(None, machine)
        }

        fn judged_in(&self, company: Option<&'static str>, machine: Option<&str>) -> Result<(), String> {
            let trials = Trials {
                priority: Priority::Ordinary,
                company,
                machine: &|_, _| machine.map(str::to_owned),
                show: |_| (),
            };
            let done = trials.run("tests", &mut Command::new(self.0.join("tests")), &mut Vec::new());
            done.map_err(|error| format!("{error:#}"))
        }

        fn runs(&self) -> usize {
            fs::read_to_string(self.0.join("runs")).unwrap().lines().count()
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_disturbed_trial_is_repeated_until_it_is_one() {
        let program = Program::new("word", 2, "disturbed: a source was up to 30 ms late");
        assert_eq!((program.judged(None), program.runs()), (Ok(()), 3));
        let program = Program::new("machine", 1, "lost 3 packets");
        assert_eq!((program.judged(Some("other programs used a CPU")), program.runs()), (Ok(()), 2));
    }

    #[test]
    fn what_failed_in_company_is_judged_alone() {
        let company = Some("other tests ran beside it");
        let program = Program::new("company", 1, "not within 10 s");
        assert_eq!((program.judged_in(company, None), program.runs()), (Ok(()), 2));
        let program = Program::new("alone", 2, "not within 10 s");
        let error = program.judged_in(company, None).unwrap_err();
        assert!(error.contains("failed: one"), "{error}");
        assert_eq!(program.runs(), 2);
    }

    #[test]
    fn a_failure_that_nothing_disturbed_stays_one() {
        let program = Program::new("fault", 1, "lost 3 packets");
        let error = program.judged(None).unwrap_err();
        assert!(error.contains("failed: one"), "{error}");
        assert_eq!(program.runs(), 1);
    }

    #[test]
    fn what_is_disturbed_every_time_is_not_judged() {
        let program = Program::new("busy", 9, "disturbed: a source was up to 30 ms late");
        let error = program.judged(None).unwrap_err();
        assert!(error.contains("not judged") && !error.contains("failed: one"), "{error}");
        assert_eq!(program.runs(), 4);
    }
}
