//! From SADD to the first packet at the new child, and from SREM to the last one at the child that was removed, while
//! others get media.
//!
//! The clock starts before the command is sent, and stops with the kernel's receive stamp at the child. Changes are spaced,
//! so that each is a single one.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::redis::Connection;
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Flow, FlowReport, Lab, Sink, Source, SourceConfig};

use crate::figures::{Histogram, Times};
use crate::machine::Machine;
use crate::stamps::{Stamps, realtime_ns};
use crate::tree::{Tree, egress};

const STAYERS: usize = 4;
const RATE: u64 = 20_000;
/// What comes within this time of a change counts as its effect; also the space between changes.
const SPACE: Duration = Duration::from_millis(150);
const TIMEOUT: Duration = Duration::from_secs(35);
/// The daemon's own measure: from the event to the flip of the map.
const HISTOGRAM: &str = "media_tree_relay_topology_change_duration_seconds";

/// How a change is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    Connection,
    /// The same, at a relay that does not know the child's MAC: the first time that anything is sent to it.
    ToStranger,
    RedisCli,
}

impl Typing {
    const ALL: [Typing; 3] = [Typing::Connection, Typing::ToStranger, Typing::RedisCli];

    fn by(self) -> &'static str {
        match self {
            Typing::Connection => "an open connection",
            Typing::ToStranger => "the same, MAC not known yet",
            Typing::RedisCli => "redis-cli, its start included",
        }
    }
}

struct Row {
    typing: Typing,
    added: Times,
    removed: Times,
    own: Histogram,
}

/// The table, and the raw figures as JSON.
pub fn run(mode: Mode, quick: bool) -> Result<(String, String)> {
    let rounds = if quick { 20 } else { 30 };
    let machine = Machine::describe()?;
    eprintln!("bench: {machine}; {rounds} times SADD and SREM in mode {mode}, in three ways");
    let lab = Lab::new("bench-changes-")?;
    let tree = Tree::plant(&lab, mode, STAYERS + 1)?;
    let mut connection = tree.redis.connect()?;
    let places: Vec<_> =
        tree.topology.children.iter().map(|child| (child.endpoint.v4, [AUDIO, VIDEO])).collect();
    tree.register(&mut connection, &places)?;
    let stayers: Vec<String> = (1..=STAYERS).map(egress).collect();
    for stayer in &stayers {
        connection.call(&["SADD", "children:relay-1", stayer])?;
    }
    tree.wait_forwarding(&stayers)?;

    let both = |index: usize| [AUDIO, VIDEO].map(|port| tree.topology.children[index].endpoint.v4(port));
    let sink = Sink::bind(&lab, "egress", (0..STAYERS).flat_map(both).collect())?;
    let stamps = Stamps::bind(&lab, "egress", &both(STAYERS))?;
    let relay = &tree.topology.relay;
    let flows = vec![Flow::audio(7777, relay.v4(AUDIO)), Flow::video(8888, relay.v4(VIDEO))];
    let source = Source::start(&lab, "injection-1", SourceConfig::new(flows, RATE))?;
    let flowing = |flows: &[FlowReport]| flows.len() == 2 * STAYERS && flows.iter().all(|f| f.packets > 100);
    ensure!(sink.wait_until(TIMEOUT, flowing), "no media at the stayers: {:?}", sink.report());

    let mut rows = Vec::new();
    for typing in Typing::ALL {
        rows.push(measure(&tree, &mut connection, &stamps, typing, rounds)?);
        eprintln!("bench: {typing:?} done");
    }
    let sent = source.stop();
    ensure!(sink.wait_quiet(Duration::from_millis(100), TIMEOUT), "media goes on and on");
    let flows = sink.stop();
    let sum = |what: fn(&FlowReport) -> u64| flows.iter().map(what).sum::<u64>();
    let missing: u64 = flows.iter().map(|flow| sent.packets[&flow.ssrc].saturating_sub(flow.packets)).sum();
    let stayed = format!(
        "{STAYERS} stayers at {:.0} packets/s: {} packets received, {missing} lost, {} duplicated, {} reordered",
        sent.rate(),
        sum(|flow| flow.packets),
        sum(|flow| flow.duplicated),
        sum(|flow| flow.reordered)
    );
    Ok((markdown(mode, &rows, &stayed), json(&machine, mode, &rows, &flows, missing)))
}

fn measure(
    tree: &Tree,
    connection: &mut Connection,
    stamps: &Stamps,
    typing: Typing,
    rounds: usize,
) -> Result<Row> {
    let newcomer = egress(STAYERS + 1);
    let before = Histogram::read(&tree.get("/metrics")?, HISTOGRAM);
    let (mut added, mut removed) = (Times::default(), Times::default());
    for _ in 0..rounds {
        lab::interrupt::check()?;
        if typing == Typing::ToStranger {
            forget_mac(tree)?;
        }
        stamps.reset();
        let asked = realtime_ns();
        command(tree, connection, typing, ["SADD", "children:relay-1", &newcomer])?;
        let first = stamps.wait_first(TIMEOUT)?;
        added.push(ms(asked, first));
        std::thread::sleep(SPACE);
        let asked = realtime_ns();
        command(tree, connection, typing, ["SREM", "children:relay-1", &newcomer])?;
        // With 50 µs between packets the last one comes at most that much before the map is flipped.
        removed.push(ms(asked, wait_last(stamps)?));
    }
    let own = Histogram::read(&tree.get("/metrics")?, HISTOGRAM).since(&before);
    Ok(Row { typing, added, removed, own })
}

fn command(tree: &Tree, connection: &mut Connection, typing: Typing, words: [&str; 3]) -> Result<()> {
    match typing {
        Typing::Connection | Typing::ToStranger => connection.call(&words).map(drop),
        Typing::RedisCli => tree.redis.cli(&words).map(drop),
    }
}

fn forget_mac(tree: &Tree) -> Result<()> {
    let address = tree.topology.children[STAYERS].endpoint.v4.to_string();
    let interface = &tree.topology.children[STAYERS].relay.interface;
    tree.lab.run("relay-1", &["ip", "neighbour", "flush", "to", &address, "dev", interface]).map(drop)
}

/// The stamp that is not followed by another one for [`SPACE`].
fn wait_last(stamps: &Stamps) -> Result<u64> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let last = stamps.last();
        std::thread::sleep(SPACE);
        if stamps.last() == last {
            return Ok(last);
        }
        ensure!(Instant::now() < deadline, "packets at the removed child still after {TIMEOUT:?}");
    }
}

fn ms(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

fn markdown(mode: Mode, rows: &[Row], stayed: &str) -> String {
    let mut text = format!(
        "\n### Changes: mode {mode}, {RATE} packets/s; times in ms\n\n| typed by | what | changes | p50 | p90 | p99 | max |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for Row { typing, added, removed, own } in rows {
        let by = typing.by();
        let _ = writeln!(text, "| {by} | SADD to first packet | {} |", added.row());
        let _ = writeln!(text, "| {by} | SREM to last packet | {} |", removed.row());
        let [p50, p90, p99, max] =
            [50.0, 90.0, 99.0, 100.0].map(|percent| format!("≤ {:.2}", own.at_most_ms(percent)));
        let _ = writeln!(
            text,
            "| {by} | daemon's histogram, event to map | {:.0} | {p50} | {p90} | {p99} | {max} |",
            own.count()
        );
    }
    text + "\n" + stayed + "\n"
}

fn json(machine: &Machine, mode: Mode, rows: &[Row], flows: &[FlowReport], missing: u64) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "  {{\"typing\": \"{:?}\", \"sadd\": {}, \"srem\": {}, \"own\": {{\"count\": {}, \"p50_at_most_ms\": {}, \
                 \"p99_at_most_ms\": {}}}}}",
                row.typing,
                row.added.json(),
                row.removed.json(),
                row.own.count(),
                finite(row.own.at_most_ms(50.0)),
                finite(row.own.at_most_ms(99.0))
            )
        })
        .collect();
    let sum = |what: fn(&FlowReport) -> u64| flows.iter().map(what).sum::<u64>();
    format!(
        "{{\n \"machine\": \"{machine}\", \"mode\": \"{mode}\", \"packets_per_second\": {RATE},\n \"stayers\": {{\"flows\": {}, \
         \"packets\": {}, \"lost\": {missing}, \"duplicated\": {}, \"reordered\": {}}},\n \"rows\": [\n{}\n ]\n}}\n",
        flows.len(),
        sum(|flow| flow.packets),
        sum(|flow| flow.duplicated),
        sum(|flow| flow.reordered),
        rows.join(",\n")
    )
}

/// JSON knows no infinity.
fn finite(number: f64) -> String {
    if number.is_finite() { number.to_string() } else { "null".to_owned() }
}
