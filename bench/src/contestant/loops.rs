//! Minimal loops in user space, one for each way in which the kernel takes datagrams ([`crate::copier`]).

use std::process::Command;

use anyhow::{Context, Result};
use lab::relay::AUDIO;

use super::{Contestant, Copying, Running};
use crate::copier::{Kind, READY};
use crate::machine::{Priority, on_cpu, with_priority};
use crate::stage::Stage;

/// Such a loop, in a process of its own.
pub struct Loop(pub Kind);

impl Contestant for Loop {
    fn name(&self) -> &'static str {
        match self.0 {
            Kind::Sendto => "loop: recv, sendto",
            Kind::Sendmmsg => "loop: recvmmsg, sendmmsg",
            Kind::Gso => "loop: recvmmsg, sendmmsg, GSO over consecutive packets",
            Kind::Uring => "loop: recvmmsg, io_uring",
        }
    }

    fn short(&self) -> &'static str {
        self.0.name()
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let program = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(program);
        command.args(["copier", self.0.name(), &stage.topology.relay.v4(AUDIO).to_string()]);
        command.args(stage.clients(children).iter().map(ToString::to_string));
        let spawn = || stage.lab.spawn("relay-1", command);
        let prioritised = || with_priority(Priority::Process, spawn).unwrap_or_else(|spawned| spawned);
        let process = on_cpu(stage.cpus.tested, prioritised)??;
        Ok(Box::new(Copying::ready(process, READY)?))
    }
}
