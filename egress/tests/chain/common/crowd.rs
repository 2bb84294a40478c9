//! Viewers who count packets by their numbers: what they lost, what came late, what came twice.

use std::process::Command;

use lab::Process;
use lab::node::program;
use serde_json::Value;

use super::World;

/// Watches until it is dropped.
pub struct Crowd {
    process: Process,
}

impl Crowd {
    /// So many viewers of a session, where `view` is, all of whom have media.
    pub fn watch(world: &World<'_>, session: &str, count: u64) -> Crowd {
        let mut command = Command::new(program("media-client").unwrap());
        command.args(["crowd", "--within", "0", "--stay", "600", "--every", "50"]);
        command.args(["--count", &count.to_string()]);
        command.args(["--endpoint", &format!("http://10.77.0.1:7073/whep/endpoint/{session}")]);
        let crowd = Crowd { process: world.lab.spawn("view", command).unwrap() };
        world.until("they watch", || crowd.report()["watching"] == count);
        crowd
    }

    /// What they have seen, all together.
    pub fn report(&self) -> Value {
        let log = self.process.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// One of its figures.
    pub fn count(&self, what: &str) -> u64 {
        self.report()[what].as_u64().unwrap_or_default()
    }
}
