//! The engine: one that answers is used and left alone. Where none does, Debian's is started by hand and stopped again.
//!
//! Ours has a folder of its own for everything and leaves the machine's firewall alone: Docker's rules would drop what
//! other bridges of the machine forward. Instead it has addresses of its own, and one rule lets those out.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::sh;

/// Images and containers.
const DATA: &str = "/var/lib/media-tree-docker";
/// What is gone after a reboot: the process id, and notes on how the machine was.
const STATE: &str = "/run/media-tree-docker";
/// Addresses of its networks.
const ADDRESSES: &str = "10.89.0.0/16";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// A dockerd before 23 makes this at its start and does not say where else it could be.
const KEY: &str = "/etc/docker/key.json";
const CGROUPS: &str = "/sys/fs/cgroup";
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Starts one unless one answers.
pub fn ensure() -> Result<()> {
    if answers() {
        sh::say(if is_ours() {
            "the engine that `compose` started runs"
        } else {
            "an engine runs; it is used and left alone"
        });
        return Ok(());
    }
    start()
}

/// Does any engine answer?
pub fn answers() -> bool {
    sh::output_of(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]))
        .is_some_and(|version| !version.trim().is_empty())
}

/// Starts ours again if it was there; false if there never was one.
pub fn revive() -> Result<bool> {
    let was_there = Path::new(DATA).exists();
    if was_there {
        start()?;
    }
    Ok(was_there)
}

/// `compose up` leaves it running for whoever uses the tree.
pub fn keep() -> Result<()> {
    if is_ours() {
        fs::write(note("keep"), "").context("noting that the engine is to go on")?;
    }
    Ok(())
}

/// Stops it if it is ours and not kept. Images stay for the next time.
pub fn stop_unless_kept() -> Result<()> {
    if is_ours() && !Path::new(&note("keep")).exists() {
        return stop();
    }
    Ok(())
}

/// Stops ours, and removes all that it had.
pub fn remove() -> Result<()> {
    stop()?;
    fs::remove_dir_all(DATA).with_context(|| format!("removing {DATA}"))?;
    sh::say(format!("removed {DATA}"));
    Ok(())
}

fn start() -> Result<()> {
    let began = Instant::now();
    fs::create_dir_all(STATE).with_context(|| format!("making {STATE}"))?;
    // One that an earlier run noted is how the machine was; what is there now may be that run's.
    if !Path::new(&note("ip_forward")).exists() {
        let before = fs::read_to_string(FORWARDING).with_context(|| format!("reading {FORWARDING}"))?;
        fs::write(note("ip_forward"), before).context("noting ip_forward")?;
        if !Path::new(KEY).exists() {
            fs::write(note("no_key"), "").with_context(|| format!("noting that there is no {KEY}"))?;
        }
    }
    let log = fs::File::create(note("log")).context("making the engine's log")?;
    let copy = log.try_clone().context("sharing the engine's log")?;
    // In a session of its own: Ctrl-C is meant for us.
    let mut command = Command::new("setsid");
    command
        .args(["dockerd", "--iptables=false", "--ip6tables=false", "--data-root", DATA])
        .args(["--exec-root", &note("exec"), "--pidfile", &note("pid")])
        .args(["--default-address-pool", &format!("base={ADDRESSES},size=24")])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    let mut child = command.spawn().context("starting dockerd; run `apt-get install docker.io`")?;
    while !answers() {
        let ended = child.try_wait().context("watching dockerd")?;
        if ended.is_some() || began.elapsed() > TIMEOUT {
            bail!("dockerd does not start; the end of its log:\n{}", tail(&note("log")));
        }
        std::thread::sleep(POLL);
    }
    if sh::output_of(&mut masquerade("-C")).is_none() {
        let added = masquerade("-A").status().context("running iptables")?;
        if !added.success() {
            sh::say("iptables refuses a rule: containers do not reach the outside, so apt-get in them fails");
        }
    }
    sh::say(format!(
        "started dockerd in {:.1} s; data in {DATA}, log in {}",
        began.elapsed().as_secs_f64(),
        note("log")
    ));
    Ok(())
}

fn stop() -> Result<()> {
    let Some(pid) = pid() else { return Ok(()) };
    sh::output_of(Command::new("kill").arg(&pid))
        .with_context(|| format!("ending dockerd, process {pid}"))?;
    let began = Instant::now();
    while runs(&pid) {
        if began.elapsed() > TIMEOUT {
            bail!("dockerd, process {pid}, does not end; see {}", note("log"));
        }
        std::thread::sleep(POLL);
    }
    clear()?;
    fs::remove_dir_all(STATE).with_context(|| format!("removing {STATE}"))?;
    sh::say("stopped the engine that `compose` started");
    Ok(())
}

/// Takes away what dockerd leaves on the machine outside of our folders.
fn clear() -> Result<()> {
    let _ = sh::output_of(&mut masquerade("-D"));
    let _ = sh::output_of(Command::new("ip").args(["link", "delete", "docker0"]));
    if let Ok(before) = fs::read_to_string(note("ip_forward")) {
        fs::write(FORWARDING, before).with_context(|| format!("writing {FORWARDING}"))?;
    }
    if Path::new(&note("no_key")).exists() {
        let _ = fs::remove_file(KEY);
    }
    // It leaves its cgroups: one, or one for each controller. Only empty ones can be removed.
    let controllers = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in controllers.chain([CGROUPS.into()]) {
        for left in ["docker/buildkit", "docker"] {
            let _ = fs::remove_dir(folder.join(left));
        }
    }
    // It leaves its network namespaces mounted.
    for entry in fs::read_dir(note("exec/netns")).into_iter().flatten().flatten() {
        let _ = sh::output_of(Command::new("umount").arg(entry.path()));
    }
    Ok(())
}

/// Is the one that runs one that `compose` started?
pub fn is_ours() -> bool {
    pid().is_some()
}

/// Of our engine, if it runs.
fn pid() -> Option<String> {
    let pid = fs::read_to_string(note("pid")).ok()?.trim().to_owned();
    runs(&pid).then_some(pid)
}

/// The number may be another process' by now.
fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.contains("(dockerd)") && !stat.contains("(dockerd) Z"))
}

fn note(name: &str) -> String {
    format!("{STATE}/{name}")
}

/// Lets containers out: `-C` checks, `-A` adds, `-D` deletes.
fn masquerade(what: &str) -> Command {
    let mut command = Command::new("iptables");
    command
        .args(["-w", "-t", "nat", what, "POSTROUTING", "-s", ADDRESSES, "!", "-d", ADDRESSES])
        .args(["-j", "MASQUERADE"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn tail(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
