//! `udpsrc ! multiudpsink`: what the relay replaces.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use lab::relay::AUDIO;

use super::{Contestant, Copying, Running};
use crate::copier::BUFFER;
use crate::machine::{Priority, on_cpu, with_priority};
use crate::stage::Stage;

/// What gst-launch says when it copies.
pub const PLAYING: &str = "Setting pipeline to PLAYING";

/// The pipeline, made by gst-launch.
pub struct Multiudpsink;

impl Contestant for Multiudpsink {
    fn name(&self) -> &'static str {
        "GStreamer udpsrc ! multiudpsink"
    }

    fn short(&self) -> &'static str {
        "multiudpsink"
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let command = multiudpsink(&stage.clients(children));
        let spawn = || stage.lab.spawn("relay-1", command);
        let prioritised = || with_priority(Priority::Process, spawn).unwrap_or_else(|spawned| spawned);
        let process = on_cpu(stage.cpus.tested, prioritised)??;
        Ok(Box::new(Copying::ready(process, PLAYING)?))
    }
}

/// gst-launch with these clients, and the same receive buffer as everybody.
pub fn multiudpsink(clients: &[SocketAddr]) -> Command {
    let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
    let mut command = Command::new("gst-launch-1.0");
    command.args(["udpsrc", &format!("port={AUDIO}"), &format!("buffer-size={BUFFER}")]);
    command.args(["!", "multiudpsink", "sync=false", "async=false"]);
    command.arg(format!("clients={}", clients.join(",")));
    command
}
