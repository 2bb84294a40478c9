//! `cargo xtask compose`: the test tree in containers, on a machine that may have neither an engine nor a registry. Makes
//! what is missing (packages, engine, base image, binaries, images) and hands over to docker-compose or to a script.

mod base;
mod engine;
mod images;
mod tree;

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;

use crate::packages::{self, Need};
use crate::{interrupt, run, sh};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Bring the whole tree up and leave it up, and the engine if one had to be started
    Up,
    /// Test 3 (docs/contract.md, *Compatibility*): an egress joins, another leaves
    Test3,
    /// The same by the lines as they were written: a transcript
    Documents,
    /// A chain of two relays
    TestChain,
    /// Two sessions at once
    TestSessions,
    /// Prometheus, Alertmanager and exporters look at the tree; an alert is told
    TestMonitoring,
    /// Pause, stop, kill and disconnect every container, one after the other
    Chaos,
    /// The relay on XDP in containers
    Xdp,
    /// Remove containers and images, and the engine if it was started by one of these commands
    Down,
}

impl Action {
    /// The script that does it.
    fn script(self) -> Option<&'static str> {
        match self {
            Action::Up | Action::Down => None,
            Action::Test3 => Some("scripts/test3.sh"),
            Action::Documents => Some("scripts/documents.sh"),
            Action::TestChain => Some("scripts/test-chain.sh"),
            Action::TestSessions => Some("scripts/test-sessions.sh"),
            Action::TestMonitoring => Some("scripts/test-monitoring.sh"),
            Action::Chaos => Some("scripts/containers-chaos.sh"),
            Action::Xdp => Some("scripts/containers-xdp.sh"),
        }
    }
}

/// `cargo xtask compose ACTION`.
pub fn run(action: Action) -> Result<()> {
    match action.script() {
        None if action == Action::Down => down(),
        None => {
            prepare()?;
            engine::keep()?;
            tree::up()
        }
        Some(script) => scripts(&[(script, None)]),
    }
}

/// `cargo xtask test compose`: the tests of docs/contract.md, *Compatibility*, one after the other, those that have viewers with
/// both servers that an egress has; all run even if one fails.
pub fn test() -> Result<()> {
    let both = [Action::Test3, Action::Documents, Action::TestSessions];
    let with = |server: &'static str, tests: &[Action]| {
        tests.iter().filter_map(|test| test.script()).map(|script| (script, Some(server))).collect::<Vec<_>>()
    };
    scripts(
        &[
            with("janus", &both),
            with("janus", &[Action::TestChain, Action::TestMonitoring, Action::Xdp]),
            with("native", &both),
        ]
        .concat(),
    )
}

/// Something that takes an engine with our images. The engine is left as it was found.
pub fn with_images(work: impl FnOnce() -> Result<()>) -> Result<()> {
    interrupt::outlive()?;
    let outcome = prepare().and_then(|()| work());
    outcome.and(engine::stop_unless_kept())
}

/// A script, and what serves viewers if it is not what is set.
type Test = (&'static str, Option<&'static str>);

/// When all passed, or when it is interrupted, the engine is left as it was found: running, stopped, or running for `up`.
fn scripts(scripts: &[Test]) -> Result<()> {
    interrupt::outlive()?;
    let outcome = prepare().and_then(|()| in_turn(scripts));
    if interrupt::seen() {
        sh::say("interrupted; removing what was begun");
        return abandon().and(Err(anyhow!("interrupted")));
    }
    outcome?;
    engine::stop_unless_kept()
}

fn in_turn(scripts: &[Test]) -> Result<()> {
    let mut failed = Vec::new();
    let mut closing = Vec::new();
    for (script, server) in scripts {
        let began = Instant::now();
        let mut command = Command::new("bash");
        command
            .current_dir(sh::workspace_root())
            .arg(script)
            .envs(server.map(|server| ("EGRESS_SERVER", server)));
        let script = server.map_or_else(|| (*script).to_owned(), |server| format!("{script} ({server})"));
        let outcome = sh::run(&script, &mut command);
        if interrupt::seen() {
            return outcome;
        }
        let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
        closing.push(format!("{script} {verdict} in {:.0} s", began.elapsed().as_secs_f64()));
        if let Err(error) = outcome {
            eprintln!("[xtask] {error:#}");
            failed.push(script);
        }
    }
    for line in closing {
        sh::say(line);
    }
    if !failed.is_empty() {
        // What is left can be looked at, so the engine stays, too.
        bail!("{}; `cargo xtask compose down` removes what is left", failed.join(", "));
    }
    Ok(())
}

/// A script that is interrupted removes its containers by itself, but it may have been interrupted while doing so.
fn abandon() -> Result<()> {
    if engine::answers() {
        tree::down()?;
    }
    engine::stop_unless_kept()
}

/// Everything that docker-compose needs to find.
fn prepare() -> Result<()> {
    let started = Instant::now();
    packages::install(&[Need::DEMO, &[Need::Encoders, Need::Containers]].concat())?;
    run::build_these(&images::BINARIES)?;
    interrupt::check()?;
    engine::ensure()?;
    interrupt::check()?;
    let base = base::ensure()?;
    interrupt::check()?;
    images::build(&base)?;
    sh::say(format!("engine and images are ready after {:.0} s", started.elapsed().as_secs_f64()));
    Ok(())
}

fn down() -> Result<()> {
    // An engine of ours that an interruption or a reboot has stopped still has containers and images.
    if !engine::answers() && !engine::revive()? {
        sh::say("no engine runs, and none was started by `compose`: nothing to remove");
        return Ok(());
    }
    tree::down()?;
    base::forget()?;
    if engine::is_ours() {
        // With all that it has.
        return engine::remove();
    }
    images::remove()
}

/// docker-compose with the tree's file: v1 as Debian has it, or v2.
fn compose() -> Command {
    let v1 = sh::output_of(Command::new("docker-compose").arg("version")).is_some();
    let mut command = Command::new(if v1 { "docker-compose" } else { "docker" });
    if !v1 {
        command.arg("compose");
    }
    command.current_dir(sh::workspace_root()).args(["-f", "docker-compose.test.yaml"]);
    command
}
