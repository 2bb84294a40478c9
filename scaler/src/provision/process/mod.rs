//! Nodes as processes of this machine, which go on when the scaler ends, and are found again by the next one.
//!
//! Each has a record in a folder, and a file whose lock it holds as long as it lives: the file is its standard input, so that the lock comes
//! with it and cannot outlive it. So nothing is guessed from a process id: not after a crash between the start and the writing of
//! it, and not after a reboot.
//!
//! ```text
//! STATE/.lock                held while anything here is changed
//! STATE/TREE/NAME.json       the record: written before the process is started
//! STATE/TREE/NAME.run        locked by the process: it runs
//! STATE/TREE/NAME.log        what it says; kept for a week after it is gone
//! ```

mod folder;
mod holder;
mod start;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use node::record::NodeType;

use super::fill::{Values, fill};
use super::settings::{Ports, ProcessSettings, Run, of_role};
use super::{Provisioner, Spec, Trouble, now};
use crate::model::{Machine, Ms};
use folder::{Folder, Held};
use holder::Holder;

/// How long one that was told to end is waited for before the answer is "not yet".
const PATIENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// Processes of this machine.
pub struct Processes {
    settings: ProcessSettings,
    ports: Option<Ports>,
    folder: Folder,
}

/// What is known of a node besides whether it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    role: NodeType,
    #[serde(default)]
    zone: String,
    created: Ms,
    /// First of its ports.
    port: Option<u16>,
    /// The process, once it was started. Whether it lives says the lock.
    process: Option<Holder>,
    /// It was told to end.
    ending: Option<Ms>,
}

impl Processes {
    /// What is said of them, checked.
    pub fn new(settings: ProcessSettings) -> Result<Processes, String> {
        let ports = settings.ports.as_deref();
        let ports = ports.map(|text| Ports::parse(text, settings.ports_each, "process")).transpose()?;
        if !(0.0..=3600.0).contains(&settings.end_within) {
            return Err(format!(
                "process.end-within is {}; it is to be 0 to 3600 seconds",
                settings.end_within
            ));
        }
        for (role, run) in [(NodeType::Relay, &settings.relay), (NodeType::Egress, &settings.egress)] {
            if let Some(run) = run {
                check(run, ports, role).map_err(|why| format!("process.{}: {why}", role.name()))?;
            }
        }
        let folder = Folder::new(settings.state.clone());
        Ok(Processes { settings, ports, folder })
    }

    fn run(&self, role: NodeType) -> Result<&Run, Trouble> {
        of_role(role, &self.settings.relay, &self.settings.egress, "process")
    }

    fn values<'a>(&self, spec: &'a Spec, record: &Record) -> Values<'a> {
        Values { spec, ports: record.port.zip(self.ports).map(|(first, ports)| (first, ports.each)) }
    }

    /// What was made before it was started goes after it has ended.
    async fn clean(&self, tree: &str, name: &str, record: &Record) -> Result<(), Trouble> {
        // Of a role that is not made any more it is not known how.
        let Ok(run) = self.run(record.role) else { return Ok(()) };
        let (name, tree) = (name.to_owned(), tree.to_owned());
        let spec = Spec { name, role: record.role, tree, parent: String::new(), zone: String::new() };
        start::to_its_end(&run.after, self.values(&spec, record)).await
    }

    /// Ports of its own for another node: the first that no record has and nobody listens on.
    fn free_ports(&self, held: &Held) -> Result<Option<u16>, Trouble> {
        let Some(ports) = self.ports else { return Ok(None) };
        let taken = held.ports()?;
        let free = |first: &u16| !taken.contains(first) && start::nobody_listens(*first, ports.each);
        ports.blocks().find(free).map(Some).ok_or_else(|| {
            Trouble::passing(format!(
                "all ports of {}-{} are in use; make process.ports wider",
                ports.first, ports.last
            ))
        })
    }
}

/// A role with a node that is none: what cannot be filled in is said at once, not when the first node is to be made.
fn check(run: &Run, ports: Option<Ports>, role: NodeType) -> Result<(), String> {
    let spec = Spec { name: "x".into(), role, tree: "x".into(), parent: "x".into(), zone: "x".into() };
    let values = Values { spec: &spec, ports: ports.map(|ports| (ports.first, ports.each)) };
    if run.command.first().is_none_or(String::is_empty) {
        return Err("command is empty; it is to be a program and its arguments".to_owned());
    }
    let lists = [&run.command, &run.before, &run.after];
    let mut texts = lists.into_iter().flatten().chain(run.environment.values());
    texts.try_for_each(|text| fill(text, values).map(drop))
}

impl Provisioner for Processes {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn make(&self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        let run = self.run(spec.role)?;
        let held = self.folder.hold().await?;
        let mut record = match held.read(&spec.tree, &spec.name)? {
            Some(record) => record,
            None => {
                let port = self.free_ports(&held)?;
                Record {
                    role: spec.role,
                    zone: spec.zone.clone(),
                    created: now(),
                    port,
                    process: None,
                    ending: None,
                }
            }
        };
        let lock = held.free(&spec.tree, &spec.name)?;
        if record.ending.is_some() && lock.is_none() {
            return Err(Trouble::passing(format!("{} was told to end and has not ended yet", spec.name)));
        }
        record.ending = None;
        held.write(&spec.tree, &spec.name, &record)?;
        let Some(lock) = lock.filter(|_| start) else { return Ok(()) };
        let values = self.values(spec, &record);
        start::to_its_end(&run.before, values).await?;
        let log = held.path(&spec.tree, &spec.name, "log");
        let mut process = start::start(run, values, lock, &log)?;
        record.process = process.id().and_then(Holder::of);
        held.write(&spec.tree, &spec.name, &record)?;
        drop(held);
        start::not_ended_at_once(&mut process, &spec.name, &log).await
    }

    async fn destroy(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        let asked = tokio::time::Instant::now();
        loop {
            let held = self.folder.hold().await?;
            let Some(mut record) = held.read(tree, name)? else { return Ok(()) };
            if held.free(tree, name)?.is_some() {
                self.clean(tree, name, &record).await?;
                return held.forget(tree, name);
            }
            let first = record.ending.is_none();
            let since = *record.ending.get_or_insert_with(now);
            let waited = now().saturating_sub(since) as f64 / 1000.0;
            let holders = holder::of(record.process, &held.path(tree, name, "run"));
            if holders.is_empty() {
                return Err(Trouble::lasting(format!(
                    "{name} runs and cannot be found; end the process that holds {}",
                    held.path(tree, name, "run").display()
                )));
            }
            if first {
                held.write(tree, name, &record)?;
                holders.iter().for_each(|holder| holder.terminate());
            } else if waited > self.settings.end_within {
                holders.iter().for_each(|holder| holder.kill());
            }
            drop(held);
            if asked.elapsed() > PATIENCE {
                return Err(Trouble::passing(format!(
                    "{name} was told to end {waited:.0} s ago and is killed after {:.0} s",
                    self.settings.end_within
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn list(&self, tree: &str) -> Result<BTreeMap<String, Machine>, Trouble> {
        let held = self.folder.hold().await?;
        held.names(tree)?
            .into_iter()
            .filter_map(|name| {
                let found = held.read(tree, &name).transpose()?.and_then(|record| {
                    let running = held.free(tree, &name)?.is_none();
                    Ok(Machine { role: record.role, running, created: record.created, zone: record.zone })
                });
                Some(found.map(|machine| (name, machine)))
            })
            .collect()
    }
}
