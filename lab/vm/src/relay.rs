//! The relay in a guest: its daemon and command line, spoken to through the machine's control port.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::interrupt;
use lab::json::Json;
use lab::relay::{Mode, child_argument};

use crate::machine::{CHILDREN, Machine, SIDES, child_address};

const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// What became of `attach`.
pub enum Start {
    /// It runs, in this mode and for this reason.
    Runs(String, String),
    /// It ended; this is what it said last.
    Refused(String),
}

/// The relay on `eth0` of a guest, with children behind both cards.
pub struct Relay<'m> {
    pub machine: &'m Machine,
}

impl Relay<'_> {
    /// Starts a daemon and waits until it forwards to all children, or has ended.
    pub fn start(&self, asked: Mode) -> Result<Start> {
        let children: String = (0..SIDES.len())
            .flat_map(|side| (0..CHILDREN).map(move |child| (side, child)))
            .map(|(side, child)| {
                let address = (child_address(side, child), 0).into();
                format!(" --child {}", child_argument(&format!("{}-{child}", SIDES[side]), address))
            })
            .collect();
        // Removed first: it is the old one's, who may not have said its last word yet.
        let attach = format!(
            "rm -f /run/relay.log
             {{ relay-ctl attach eth0 --mode {asked}{children}; echo \"ended: $?\"; }} >/run/relay.log 2>&1 &
             until grep -qsE '^(ready|ended):' /run/relay.log; do sleep 0.2; done; grep -v '^$' /run/relay.log | tail -n 12"
        );
        let answer = self.machine.run(&attach)?;
        ensure!(answer.code == 0, "the daemon neither gets ready nor ends:\n{}", self.diagnosis());
        let said = answer.output;
        if said.lines().any(|line| line.starts_with("ended:")) {
            let last = said.lines().rev().find(|line| !line.starts_with("ended:")).unwrap_or("nothing");
            return Ok(Start::Refused(last.to_owned()));
        }
        let deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            interrupt::check()?;
            let children = self.json("children")?;
            let states = || children["children"].list().iter().map(|child| child["state"].text());
            if states().count() == SIDES.len() * CHILDREN && states().all(|state| state == "forwarding") {
                break;
            }
            ensure!(Instant::now() < deadline, "not all children are forwarded to: {children:?}");
        }
        let status = self.json("status")?;
        let text = |key| status["dataplane"][key].text().to_owned();
        Ok(Start::Runs(text("mode"), text("modeReason")))
    }

    /// Kills the daemon, as if it had crashed.
    pub fn kill(&self) -> Result<()> {
        self.machine
            .ok("kill -9 $(pidof relay-ctl); until grep -q '^ended:' /run/relay.log; do sleep 0.1; done")
            .map(drop)
    }

    /// Whether there is a daemon or not: no program and no pin remain. What does remain.
    pub fn detach(&self) -> Result<String> {
        self.machine.ok("if pidof relay-ctl >/dev/null; then kill -9 $(pidof relay-ctl); fi")?;
        self.machine.run("relay-ctl detach eth0")?;
        self.machine.ok(
            "find /sys/fs/bpf -path '*/eth0*'; bpftool net show | grep -E 'relay|eth[01]'; ip link | grep -o prog/xdp; true",
        )
    }

    /// `status`, `children` or `streams`.
    pub fn json(&self, what: &str) -> Result<Json> {
        let said = self.machine.ok(&format!("relay-ctl {what} --json"))?;
        said.parse().with_context(|| format!("{what} --json printed {said}"))
    }

    /// Instructions that the verifier walked, by program, of those that the daemon holds.
    pub fn verified(&self) -> Result<BTreeMap<String, u64>> {
        let named = self.machine.ok("bpftool prog show -j")?.parse()?;
        let held = self.machine.ok("cat /proc/$(pidof relay-ctl)/fdinfo/* 2>/dev/null; true")?;
        Ok(verified(&named, &held))
    }

    /// For the message of a failure.
    pub fn diagnosis(&self) -> String {
        let ask = "tail -n 15 /run/relay.log; relay-ctl status; relay-ctl children; dmesg | grep -vE 'init|PATH|HOME|TERM' | tail -n 5; \
                   for card in eth0 eth1; do ethtool -S $card | grep -E 'xdp|drop|err' | grep -v ': 0$'; done";
        self.machine.run(ask).map_or_else(|error| format!("{error:#}"), |answer| answer.output)
    }
}

/// Joins `bpftool prog show -j` and `/proc/PID/fdinfo/*` by the program's id.
fn verified(named: &Json, held: &str) -> BTreeMap<String, u64> {
    let names: BTreeMap<u64, &str> =
        named.list().iter().map(|program| (program["id"].number(), program["name"].text())).collect();
    let mut programs = BTreeMap::new();
    let mut id = 0;
    for line in held.lines() {
        match line.split_once(':').map(|(key, value)| (key, value.trim().parse().unwrap_or(0))) {
            Some(("prog_id", number)) => id = number,
            Some(("verified_insns", number)) => {
                if let Some(name) = names.get(&id) {
                    programs.insert((*name).to_owned(), number);
                }
            }
            _ => {}
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verified_instructions_find_their_program() {
        let named = r#"[{"id": 7, "type": "xdp", "name": "relay_xdp"}, {"id": 9, "name": "relay_copy"}]"#;
        let held = "pos:\t0\nprog_type:\t6\nprog_id:\t9\nrun_cnt:\t0\nverified_insns:\t3338\n\
                    pos:\t0\nmap_id:\t3\nprog_id:\t7\nverified_insns:\t667234\nprog_id:\t8\nverified_insns:\t1\n";
        let found = verified(&named.parse().unwrap(), held);
        let expected = [("relay_copy", 3338), ("relay_xdp", 667_234)];
        assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }
}
