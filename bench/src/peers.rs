//! How the others change: from the command to the first packet at a new child, and what those that stay lose by it.
//!
//! Each by the best that it offers: GStreamer's own `add` signal, a pipeline that is taken down and built again with another
//! list, a ruleset that is replaced in one transaction, rtpengine's subscriptions.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::relay::AUDIO;
use lab::{Flow, Lab, Process, Sink, Source, SourceConfig, Topology};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::contestant::{PLAYING, Publication, multiudpsink, rtpengine, ruleset};
use crate::figures::Times;
use crate::stage::mac;
use crate::stamps::{Stamps, realtime_ns};
use crate::videoroom;

const STAYERS: usize = 4;
const RATE: u64 = 5_000;
const SPACE: Duration = Duration::from_millis(60);
const TIMEOUT: Duration = Duration::from_secs(20);

/// Who changes its children, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// One transaction, by `nft` as an operator's script would call it.
    Nftables,
    /// The signal of multiudpsink, in a program that only waits to emit it.
    Added,
    /// gst-launch, ended and started again with another list.
    Rebuilt,
    /// A subscription, over a connection that is open.
    Subscribed,
}

impl How {
    const ALL: [How; 4] = [How::Nftables, How::Added, How::Rebuilt, How::Subscribed];

    fn name(self) -> &'static str {
        match self {
            How::Nftables => "nftables, ruleset replaced",
            How::Added => "GStreamer multiudpsink, add",
            How::Rebuilt => "GStreamer multiudpsink, pipeline built again",
            How::Subscribed => "rtpengine, subscribe",
        }
    }
}

/// What came of it.
pub struct Row {
    pub name: &'static str,
    pub added: Times,
    pub changes: usize,
    pub lost: u64,
    pub duplicated: u64,
}

/// The table, and the figures.
pub fn run(quick: bool) -> Result<(String, String)> {
    let rounds = if quick { 3 } else { 30 };
    let mut rows = Vec::new();
    let mut failed = String::new();
    for how in How::ALL {
        match measure(how, rounds) {
            Ok(row) => rows.push(row),
            Err(error) => {
                lab::interrupt::check()?;
                eprintln!("bench: {}: {error:#}", how.name());
                let _ = writeln!(failed, "\nNot measured: {}: {error:#}", how.name());
            }
        }
    }
    let time = Duration::from_secs(if quick { 1 } else { 5 });
    let (mut costs, mut cost_figures) = (String::new(), Value::Null);
    match videoroom::run(rounds, time) {
        Ok((row, text, figures)) => {
            rows.push(row);
            (costs, cost_figures) = (text, figures);
        }
        Err(error) => {
            lab::interrupt::check()?;
            eprintln!("bench: Janus VideoRoom: {error:#}");
            let _ = writeln!(failed, "\nNot measured: Janus VideoRoom: {error:#}");
        }
    }
    ensure!(!rows.is_empty(), "nobody could be measured{failed}");
    let mut text = format!(
        "\n### Changes: the others, {STAYERS} children that stay, {RATE} packets/s; times in ms\n\n\
         | contestant | changes | p50 | p90 | p99 | max | copies lost at those that stay | double |\n|---|---|---|---|---|---|---|---|\n"
    );
    for Row { name, added, changes, lost, duplicated } in &rows {
        let _ = writeln!(text, "| {name} | {} | {lost} in {changes} changes | {duplicated} |", added.row());
    }
    text += &costs;
    text += &failed;
    let raw = rows.iter().map(|Row { name, added, changes, lost, duplicated }| {
        let added: Value = added.json().parse().unwrap_or_default();
        json!({ "who": name, "added": added, "changes": changes, "lost_at_stayers": lost, "duplicated": duplicated })
    });
    let raw: Value = raw.collect();
    Ok((text, json!({ "changes": raw, "videoroom_cost": cost_figures }).to_string()))
}

fn measure(how: How, rounds: usize) -> Result<Row> {
    let name = how.name();
    let lab = Lab::new("bench-peers-")?;
    let topology = Topology::one_nic(&lab, STAYERS + 1)?;
    let clients: Vec<SocketAddr> = topology.children.iter().map(|child| child.endpoint.v4(AUDIO)).collect();
    let sink = Sink::bind(&lab, "egress", clients[..STAYERS].to_vec())?;
    let stamps = Stamps::bind(&lab, "egress", &clients[STAYERS..])?;
    lab.run("relay-1", &["ping", "-c1", "-W1", &clients[0].ip().to_string()])?;
    let mut contestant =
        Contestant { how, lab: &lab, topology: &topology, clients, running: None, rtpengine: None };
    contestant.start(false)?;
    let flow = vec![Flow::audio(7777, topology.relay.v4(AUDIO))];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flow, RATE))?;
    let flowing = sink.wait_until(TIMEOUT, |flows| flows.len() == STAYERS);
    ensure!(flowing, "{name}: no media at the stayers");
    let mut added = Times::default();
    for _ in 0..rounds {
        lab::interrupt::check()?;
        stamps.reset();
        let asked = realtime_ns();
        contestant.change(true).with_context(|| format!("{name}: adding"))?;
        let first = stamps.wait_first(TIMEOUT).with_context(|| name)?;
        added.push(first.saturating_sub(asked) as f64 / 1e6);
        std::thread::sleep(SPACE);
        contestant.change(false).with_context(|| format!("{name}: removing"))?;
        std::thread::sleep(SPACE);
    }
    let sent = source.stop();
    sink.wait_quiet(Duration::from_millis(100), TIMEOUT);
    let flows = sink.stop();
    // By the numbers: what came before the first that arrived was sent before anybody copied.
    let lost = flows.iter().map(|flow| flow.lost + sent.total().saturating_sub(flow.last_counter + 1)).sum();
    let duplicated = flows.iter().map(|flow| flow.duplicated).sum();
    Ok(Row { name, added, changes: 2 * rounds, lost, duplicated })
}

struct Contestant<'a> {
    how: How,
    lab: &'a Lab,
    topology: &'a Topology,
    /// The last one is the newcomer.
    clients: Vec<SocketAddr>,
    running: Option<Process>,
    /// And the newcomer's subscription.
    rtpengine: Option<(Publication, String)>,
}

impl Contestant<'_> {
    /// Begins, with the newcomer or without.
    fn start(&mut self, with: bool) -> Result<()> {
        let clients = if with { &self.clients[..] } else { &self.clients[..STAYERS] };
        let (mut command, ready) = match self.how {
            How::Nftables => return self.replace_rules(clients),
            How::Subscribed => return self.publish(),
            How::Added => {
                let mut command = Command::new(lab::node::program("media-client")?);
                command.args(["fan-out", "--port", &AUDIO.to_string(), "--clients", &list(clients)]);
                command.args(["--newcomer", &self.clients[STAYERS].to_string()]);
                (command, "copying")
            }
            How::Rebuilt => (multiudpsink(clients), PLAYING),
        };
        command.stdin(std::process::Stdio::null());
        let process = self.lab.spawn("relay-1", command)?;
        let deadline = Instant::now() + TIMEOUT;
        while !process.log().contains(ready) {
            let waiting = process.status()?.is_none() && Instant::now() < deadline;
            ensure!(waiting, "not ready: {}", process.tail());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.running = Some(process);
        Ok(())
    }

    fn change(&mut self, with: bool) -> Result<()> {
        let running = self.running.as_ref();
        match self.how {
            How::Nftables => self.start(with),
            How::Added => {
                let signal = if with { Signal::SIGUSR1 } else { Signal::SIGUSR2 };
                running.context("not running")?.signal(signal)
            }
            How::Subscribed => {
                let (publication, tag) = self.rtpengine.as_mut().context("not running")?;
                if with {
                    *tag = publication.subscribe(self.clients[STAYERS])?;
                    return Ok(());
                }
                publication.unsubscribe(tag)
            }
            How::Rebuilt => {
                running.context("not running")?.kill9()?;
                self.start(with)
            }
        }
    }

    fn publish(&mut self) -> Result<()> {
        let process = self.lab.spawn("relay-1", rtpengine(self.topology.relay.v4))?;
        // It learns where the packets really come from.
        let mut publication =
            Publication::begin(self.lab, &process, (self.topology.injection.v4, AUDIO).into())?;
        for client in &self.clients[..STAYERS] {
            publication.subscribe(*client)?;
        }
        self.running = Some(process);
        self.rtpengine = Some((publication, String::new()));
        Ok(())
    }

    fn replace_rules(&self, clients: &[SocketAddr]) -> Result<()> {
        let (near, far) = (&self.topology.children[0].relay, &self.topology.children[0].endpoint);
        let macs = [mac(self.lab, near)?, mac(self.lab, far)?];
        let file = self.lab.directory().join("fanout.nft");
        fs::write(&file, ruleset(macs, near.v4, self.topology.relay.v4, clients))
            .context("writing the rules")?;
        self.lab.run("relay-1", &["nft", "-f", &file.to_string_lossy()]).map(drop)
    }
}

fn list(clients: &[SocketAddr]) -> String {
    clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
