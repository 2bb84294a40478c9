//! Programs that work for minutes without a word: what they print goes to a file, and a line every few seconds says what
//! they are at and how far they are. On a terminal that line is written over.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt::{self, Told};
use crate::sh;

/// Between two lines where they are not written over.
const LINE: Duration = Duration::from_secs(10);
const OVERWRITE: Duration = Duration::from_millis(500);
/// Of what the program printed, in a failure's message.
const TAIL: usize = 60;
const WIDTH: usize = 110;

/// Where a program is, read out of a line that it has printed; `None` if the line does not say.
type Reader = fn(&str) -> Option<String>;

/// Runs cargo; its errors and warnings are shown.
pub fn cargo(what: &str, command: &mut Command) -> Result<()> {
    cargo_started(what, command)?.finish()
}

/// Begins to run cargo beside something else.
pub fn cargo_started(what: &str, command: &mut Command) -> Result<Running> {
    // It draws its bar although nobody sees it: only there is the number of all that is to be compiled.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "300");
    Running::start(what, command, of_cargo)
}

/// Runs apt-get.
pub fn apt(what: &str, command: &mut Command) -> Result<()> {
    command.args(["-o", "APT::Status-Fd=1"]);
    Running::start(what, command, of_apt)?.finish()
}

/// A program at work.
pub struct Running {
    what: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    log: (PathBuf, File),
    reader: Reader,
    kept: Vec<String>,
    started: Instant,
    told: Option<Instant>,
    at: String,
}

impl Running {
    fn start(what: &str, command: &mut Command, reader: Reader) -> Result<Running> {
        let log = log_file(what)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start `{}`", sh::line_of(command)))?;
        let mut running = Running {
            what: what.to_owned(),
            child,
            lines: mpsc::channel().1,
            log,
            reader,
            kept: Vec::new(),
            started: Instant::now(),
            told: None,
            at: String::new(),
        };
        let (sender, lines) = mpsc::channel();
        running.lines = lines;
        if let Some(output) = running.child.stdout.take() {
            read_lines(output, sender.clone());
        }
        if let Some(errors) = running.child.stderr.take() {
            read_lines(errors, sender);
        }
        running.say();
        Ok(running)
    }

    /// Shows how far it is, for so long or until it ends; true when it has ended.
    pub fn watch(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(OVERWRITE);
            match self.lines.recv_timeout(left) {
                Ok(line) => self.take(line),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let pause = if std::io::stdout().is_terminal() { OVERWRITE } else { LINE };
            if self.told.is_none_or(|told| told.elapsed() >= pause) {
                self.say();
            }
        }
    }

    /// Until it ends; an error when it has failed.
    pub fn finish(mut self) -> Result<()> {
        let told = Told::child(self.child.id());
        while !self.watch(LINE) {}
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.what))?;
        drop(told);
        self.clear();
        if status.success() {
            sh::say(format!("{}: done in {:.0} s", self.what, self.started.elapsed().as_secs_f64()));
            return Ok(());
        }
        if interrupt::seen() {
            bail!("{}: interrupted", self.what);
        }
        let tail =
            self.kept.iter().rev().take(TAIL).rev().map(|line| format!("\n  {line}")).collect::<String>();
        bail!("{} failed ({status}); all that it said is in {}{tail}", self.what, self.log.0.display())
    }

    /// Until it ends, whatever comes of it.
    pub fn settle(mut self) {
        let told = Told::child(self.child.id());
        while !self.watch(LINE) {}
        let _ = self.child.wait();
        drop(told);
        self.clear();
        sh::say(format!("{}: done in {:.0} s", self.what, self.started.elapsed().as_secs_f64()));
    }

    fn take(&mut self, line: String) {
        if let Some(at) = (self.reader)(&line) {
            self.at = at;
            return;
        }
        // A log that cannot be written is no reason to end.
        let _ = writeln!(self.log.1, "{line}");
        if !["Compiling ", "Checking ", "Downloaded "].iter().any(|word| line.trim_start().starts_with(word))
        {
            self.kept.push(line);
        }
        if self.kept.len() > 2 * TAIL {
            self.kept.drain(..TAIL);
        }
    }

    fn say(&mut self) {
        self.told = Some(Instant::now());
        let mut line = format!("{}, {:.0} s", self.what, self.started.elapsed().as_secs_f64());
        if !self.at.is_empty() {
            line = format!("{line}: {}", self.at);
        }
        if line.chars().count() > WIDTH {
            line = line.chars().take(WIDTH - 1).chain(['…']).collect();
        }
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K[xtask] {line}");
            let _ = std::io::stdout().flush();
        } else {
            sh::say(line);
        }
    }

    fn clear(&self) {
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K");
        }
    }
}

fn log_file(what: &str) -> Result<(PathBuf, File)> {
    let folder = sh::workspace_root().join("target/xtask");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let name: String =
        what.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    let path = folder.join(format!("{}.log", name.to_lowercase()));
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    Ok((path, file))
}

/// Sends what comes, line by line; a line that is written over counts, too.
fn read_lines(mut from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        let (mut buffer, mut line) = ([0; 4096], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            for byte in &buffer[..length] {
                if !matches!(byte, b'\n' | b'\r') {
                    line.push(*byte);
                } else if !line.is_empty() {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    line.clear();
                    if to.send(text).is_err() {
                        return;
                    }
                }
            }
        }
    });
}

/// `Building [==>   ] 17/350: serde, tokio(build)`.
fn of_cargo(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(bar) = line.strip_prefix("Building [") {
        let (_, counts) = bar.split_once("] ")?;
        let (counts, crates) = counts.split_once(": ").unwrap_or((counts, ""));
        let (done, all) = counts.split_once('/')?;
        let (done, all): (u32, u32) = (done.trim().parse().ok()?, all.trim().parse().ok()?);
        let crates = crates.trim_end_matches("...").trim_end_matches([',', ' ']);
        return Some(format!("{done} of {all} compiled ({} %): {crates}", done * 100 / all.max(1)));
    }
    None
}

/// `pmstatus:janus:45.2:Unpacking janus (amd64)` and `dlstatus:7:30.1:Retrieving file 7 of 120`.
fn of_apt(line: &str) -> Option<String> {
    let mut fields = line.splitn(4, ':');
    if !matches!(fields.next()?, "pmstatus" | "dlstatus") {
        return None;
    }
    let percent: f64 = fields.nth(1)?.trim().parse().ok()?;
    Some(format!("{percent:.0} %, {}", fields.next()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_how_many_of_how_many() {
        let bar = "    Building [=====>                ] 83/350: serde_derive, tokio(build.rs)...";
        assert_eq!(of_cargo(bar).unwrap(), "83 of 350 compiled (23 %): serde_derive, tokio(build.rs)");
        assert_eq!(of_cargo("error[E0308]: mismatched types"), None);
    }

    #[test]
    fn apt_says_what_it_is_at() {
        let unpacking = "pmstatus:janus:45.2031:Unpacking janus (amd64)";
        assert_eq!(of_apt(unpacking).unwrap(), "45 %, Unpacking janus (amd64)");
        let fetching = "dlstatus:7:30.1:Retrieving file 7 of 120";
        assert_eq!(of_apt(fetching).unwrap(), "30 %, Retrieving file 7 of 120");
        assert_eq!(of_apt("Setting up janus (1.1.2-1) ..."), None);
    }

    #[test]
    fn a_failure_names_the_log_and_shows_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo before; echo the reason >&2; exit 3"]);
        let error = Running::start("a failing test", &mut command, of_apt).unwrap().finish().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("target/xtask/a-failing-test.log") && text.contains("the reason"), "{text}");
        let log = sh::workspace_root().join("target/xtask/a-failing-test.log");
        assert!(fs::read_to_string(&log).unwrap().contains("before"));
        fs::remove_file(log).unwrap();
    }
}
