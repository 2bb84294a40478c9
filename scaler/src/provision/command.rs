//! A program of one's own makes nodes: the way to virtual machines of any cloud.
//!
//! ```text
//! provision.sh make      {"name":"egress-9","role":"egress","tree":"tree-1","parent":"relay-1","zone":"a","start":true}
//! provision.sh destroy   {"name":"egress-9","tree":"tree-1"}
//! provision.sh list      {"tree":"tree-1"}  ->  {"egress-9":{"role":"egress","running":true,"created":1790000000000}}
//! ```
//!
//! It reads the object from its standard input, and ends with 0 if it is so now, with 75 (EX_TEMPFAIL) if it is to be asked again, and with
//! anything else if somebody has to mend it; the last line of its standard error says why. What it is asked for it may have been asked for
//! before. `deploy/provision.sh` is an outline.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::settings::CommandSettings;
use super::{Provisioner, Spec, Trouble};
use crate::model::Machine;

/// EX_TEMPFAIL of sysexits.h.
const AGAIN: i32 = 75;
/// Most that it may say.
const LONGEST: u64 = 4 << 20;

/// A program of one's own.
pub struct Commands {
    command: Vec<String>,
    within: Duration,
}

impl Commands {
    /// What is said of it, checked.
    pub fn new(settings: CommandSettings) -> Result<Commands, String> {
        if settings.command.first().is_none_or(String::is_empty) {
            return Err("command.command is empty; it is to be a program and its arguments".to_owned());
        }
        let within = Duration::try_from_secs_f64(settings.within).ok();
        let within =
            within.filter(|within| (Duration::from_millis(1)..=Duration::from_secs(600)).contains(within));
        let within = within.ok_or_else(|| {
            format!("command.within is {}; it is to be 0.001 to 600 seconds", settings.within)
        })?;
        Ok(Commands { command: settings.command, within })
    }

    async fn ask(&self, what: &str, input: Value) -> Result<Vec<u8>, Trouble> {
        let name = format!("{} {what}", self.command[0]);
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(what).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command
            .spawn()
            .map_err(|error| Trouble::lasting(format!("{name} cannot be started: {error}")))?;
        let group = process.id().and_then(|pid| i32::try_from(pid).ok());
        match tokio::time::timeout(self.within, talk(process, input.to_string())).await {
            Ok(Ok(answer)) => answer.verdict(&name),
            Ok(Err(error)) => Err(Trouble::passing(format!("{name}: {error}"))),
            Err(_) => {
                // With what it has started.
                group.map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
                let within = self.within.as_secs_f64();
                Err(Trouble::passing(format!("{name} did not end within {within} s, and was killed")))
            }
        }
    }
}

struct Answer {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Answer {
    fn verdict(self, name: &str) -> Result<Vec<u8>, Trouble> {
        let Answer { status, out, err } = self;
        if status.success() {
            return Ok(out);
        }
        let said = String::from_utf8_lossy(&err);
        let why = said.trim_end().lines().last().unwrap_or("it said nothing");
        Err(Trouble { why: format!("{name}: {why} ({status})"), again: status.code() == Some(AGAIN) })
    }
}

async fn talk(mut process: Child, input: String) -> io::Result<Answer> {
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // It need not read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), out, err) = tokio::join!(write, whole(stdout), whole(stderr));
    Ok(Answer { out: out?, err: err?, status: process.wait().await? })
}

async fn whole(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST).read_to_end(&mut text).await?;
    }
    Ok(text)
}

impl Provisioner for Commands {
    fn name(&self) -> &'static str {
        "command"
    }

    async fn make(&self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        let Spec { name, role, tree, parent, zone } = spec;
        let wanted = json!({
            "name": name, "role": role, "tree": tree, "parent": parent, "zone": zone, "start": start,
        });
        self.ask("make", wanted).await.map(drop)
    }

    async fn destroy(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        self.ask("destroy", json!({"tree": tree, "name": name})).await.map(drop)
    }

    async fn list(&self, tree: &str) -> Result<BTreeMap<String, Machine>, Trouble> {
        let said = self.ask("list", json!({"tree": tree})).await?;
        serde_json::from_slice(&said).map_err(|error| {
            Trouble::lasting(format!(
                "{} list: what it printed is no list of nodes: {error}",
                self.command[0]
            ))
        })
    }
}
