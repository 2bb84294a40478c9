//! A process is started, and seen not to end at once.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::folder::at;
use crate::provision::Trouble;
use crate::provision::fill::{Values, fill};
use crate::provision::settings::Run;

/// What a program gets of the scaler's environment: no setting of the scaler's is to become one of a node's.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// How long what is run before and after may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who cannot use its configuration has ended after this.
const AT_ONCE: Duration = Duration::from_millis(150);
/// Exit code of those.
const BAD_CONFIGURATION: i32 = 64;
/// How much of the end of a log is looked at.
const TAIL: u64 = 4096;

/// Starts the node in a process group of its own: what is typed at the scaler's terminal is not meant for it.
pub fn start(run: &Run, values: Values, lock: File, log: &Path) -> Result<Child, Trouble> {
    let log_file = OpenOptions::new().create(true).append(true).open(log).map_err(|error| at(log, &error))?;
    let copy = log_file.try_clone().map_err(|error| at(log, &error))?;
    let mut command = program(&run.command, values)?;
    command.env("NODE_ID", &values.spec.name).env("TREE_ID", &values.spec.tree);
    if !values.spec.zone.is_empty() {
        command.env("ZONE", &values.spec.zone);
    }
    for (name, value) in &run.environment {
        command.env(name, filled(value, values)?);
    }
    command.stdin(lock).stdout(log_file).stderr(copy).process_group(0);
    command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        Trouble::lasting(format!("{} cannot be started: {program}: {error}", values.spec.name))
    })
}

/// An error with the last line that it said, if it has ended.
pub async fn not_ended_at_once(process: &mut Child, name: &str, log: &Path) -> Result<(), Trouble> {
    let Ok(ended) = tokio::time::timeout(AT_ONCE, process.wait()).await else { return Ok(()) };
    let status = ended.map_err(|error| Trouble::passing(format!("{name}: {error}")))?;
    let why = format!("{name} ended at once ({status}): {}", last_line(log));
    Err(Trouble { why, again: status.code() != Some(BAD_CONFIGURATION) })
}

/// Runs a command, if there is one, and waits for it.
pub async fn to_its_end(command: &[String], values: Values<'_>) -> Result<(), Trouble> {
    let Some(name) = command.first() else { return Ok(()) };
    let mut command = program(command, values)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| Trouble::passing(format!("{name} did not end within {PATIENCE:?}")))?
        .map_err(|error| Trouble::lasting(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::passing(format!(
        "{name} ended with {}: {}",
        output.status,
        said.trim_end().lines().last().unwrap_or("")
    )))
}

/// Can these be bound, by TCP and UDP? They can be taken again before the node does: then it says so, and ends.
pub fn nobody_listens(first: u16, count: u16) -> bool {
    (first..=first.saturating_add(count - 1)).all(|port| {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
    })
}

fn program(command: &[String], values: Values) -> Result<Command, Trouble> {
    let mut words =
        command.iter().map(|word| filled(word, values)).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env_clear();
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    Ok(command)
}

fn filled(text: &str, values: Values) -> Result<String, Trouble> {
    fill(text, values).map_err(Trouble::lasting)
}

fn last_line(log: &Path) -> String {
    let tail = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    });
    let tail = tail.unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    text.trim_end().lines().last().unwrap_or("it said nothing").to_owned()
}
