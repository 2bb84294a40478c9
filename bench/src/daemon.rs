//! What the daemon takes when nothing happens, what it takes with a full house, and how fast it carries out a thousand
//! changes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::redis::Connection;
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Flow, Lab, Limit, Source, SourceConfig};

use crate::machine::Machine;
use crate::tree::{Tree, egress};

const CHILDREN: usize = 256;
/// The children share these many addresses, at different ports.
const ADDRESSES: usize = 64;
const STREAMS: u32 = 10_000;
const CHANGES: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(1);

struct Burst {
    what: &'static str,
    seconds: f64,
    after_last: f64,
    looks: u64,
    generations: u64,
}

/// The table, and the figures as JSON.
pub fn run(mode: Mode, quick: bool) -> Result<(String, String)> {
    let idle_for = Duration::from_secs(if quick { 5 } else { 20 });
    let machine = Machine::describe()?;
    eprintln!("bench: {machine}; the daemon in mode {mode}, idle for {} s", idle_for.as_secs());
    let lab = Lab::new("bench-daemon-")?;
    let tree = Tree::plant(&lab, mode, ADDRESSES)?;
    let pid = tree.relay.process().pid();
    let mut connection = tree.redis.connect()?;
    tree.register(&mut connection, &places(&tree))?;
    for number in [1, 2] {
        connection.call(&["SADD", "children:relay-1", &egress(number)])?;
    }
    tree.wait_forwarding(&sorted([1, 2]))?;
    std::thread::sleep(QUIET);

    let (before, began) = (cpu_ns(pid)?, Instant::now());
    while began.elapsed() < idle_for {
        lab::interrupt::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let idle = cpu_ns(pid)?.saturating_sub(before) as f64 / began.elapsed().as_nanos() as f64 * 100.0;
    let small = resident_kib(pid)?;

    let relay = &tree.topology.relay;
    let flows = (1..=STREAMS).map(|ssrc| Flow::video(ssrc, relay.v4(VIDEO))).collect();
    let config = SourceConfig::new(flows, 20_000).limit(Limit::Packets(2 * u64::from(STREAMS)));
    Source::start(&lab, "injection-1", config)?.wait(TIMEOUT)?;
    let seen = tree.json("/streams")?["streams"].list().len();
    ensure!(seen == STREAMS as usize, "the relay knows {seen} streams of {STREAMS}");
    let all: Vec<String> = (1..=CHILDREN).map(egress).collect();
    let mut words = vec!["SADD", "children:relay-1"];
    words.extend(all.iter().map(String::as_str));
    connection.call(&words)?;
    tree.wait_forwarding(&sorted(1..=CHILDREN))?;
    tree.get("/metrics")?;
    let large = resident_kib(pid)?;

    let mut random = 0x6465_616d_6f6e_u64;
    let bursts = [
        burst(&tree, &mut connection, &mut random, "all at once", None)?,
        burst(&tree, &mut connection, &mut random, "one a millisecond", Some(Duration::from_millis(1)))?,
    ];
    let figures = Figures { machine, mode, idle_for, idle, small, large, bursts };
    Ok((figures.markdown(), figures.json()))
}

/// Where the children are: few addresses, many ports.
fn places(tree: &Tree) -> Vec<(Ipv4Addr, [u16; 2])> {
    let children = &tree.topology.children;
    (0..CHILDREN)
        .map(|index| {
            let step = 10 * (index / ADDRESSES) as u16;
            (children[index % ADDRESSES].endpoint.v4, [AUDIO + step, VIDEO + step])
        })
        .collect()
}

fn sorted(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut names: Vec<String> = numbers.into_iter().map(egress).collect();
    names.sort();
    names
}

/// A thousand times SADD or SREM of somebody, from a full house on.
fn burst(
    tree: &Tree,
    connection: &mut Connection,
    random: &mut u64,
    what: &'static str,
    pause: Option<Duration>,
) -> Result<Burst> {
    // The burst before has left the relay's pace at its longest.
    std::thread::sleep(QUIET);
    let mut present: BTreeSet<usize> = members(connection)?;
    let mut commands: Vec<[String; 3]> = Vec::new();
    for _ in 0..CHANGES {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = 1 + (*random >> 33) as usize % CHILDREN;
        let verb = if present.remove(&number) { "SREM" } else { "SADD" };
        if verb == "SADD" {
            present.insert(number);
        }
        commands.push([verb.to_owned(), "children:relay-1".to_owned(), egress(number)]);
    }
    let words: Vec<Vec<&str>> =
        commands.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let before = tree.json("/status")?;
    let began = Instant::now();
    match pause {
        None => connection.pipeline(&words)?,
        Some(pause) => {
            for (index, words) in (1..).zip(&words) {
                connection.call(words)?;
                std::thread::sleep((began + pause * index).saturating_duration_since(Instant::now()));
            }
        }
    }
    let last = began.elapsed();
    tree.wait_forwarding(&sorted(present))?;
    let seconds = began.elapsed();
    let after = tree.json("/status")?;
    let grown = |part: &str, key: &str| after[part][key].number() - before[part][key].number();
    Ok(Burst {
        what,
        seconds: seconds.as_secs_f64(),
        after_last: (seconds - last).as_secs_f64(),
        looks: grown("redis", "looks"),
        generations: grown("dataplane", "generation"),
    })
}

fn members(connection: &mut Connection) -> Result<BTreeSet<usize>> {
    let lab::redis::Value::List(members) = connection.call(&["SMEMBERS", "children:relay-1"])? else {
        return Ok(BTreeSet::new());
    };
    let number = |name: String| name.rsplit('-').next().and_then(|number| number.parse().ok());
    members
        .iter()
        .map(|member| number(member.to_string()).with_context(|| format!("{member} in the set")))
        .collect()
}

/// ns that all threads have run (Documentation/scheduler/sched-stats.rst); `utime` and `stime` of proc(5) come in steps of
/// 10 ms, which is more than an idle daemon takes.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the daemon's threads")? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        total += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(total)
}

/// Memory of a process that is in use and not on disk.
pub fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the daemon's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches("kB").trim().parse().context("VmRSS")
}

struct Figures {
    machine: Machine,
    mode: Mode,
    idle_for: Duration,
    idle: f64,
    small: u64,
    large: u64,
    bursts: [Burst; 2],
}

impl Figures {
    fn markdown(&self) -> String {
        let Figures { machine: _, mode, idle_for, idle, small, large, bursts } = self;
        let mut text = format!("\n### The daemon: mode {mode}\n\n| | |\n|---|---|\n");
        let mib = |kib: &u64| *kib as f64 / 1024.0;
        let _ = writeln!(text, "| idle CPU, {} s with Redis | {idle:.3} % of one |", idle_for.as_secs());
        let _ = writeln!(text, "| resident, 2 children | {:.1} MiB |", mib(small));
        let _ =
            writeln!(text, "| resident, {CHILDREN} children and {STREAMS} streams | {:.1} MiB |", mib(large));
        for Burst { what, seconds, after_last, looks, generations } in bursts {
            let _ = writeln!(
                text,
                "| {CHANGES} changes, {what} | {:.0} ms, {:.0} ms after the last; {looks} looks at Redis, {generations} \
                 changes of the set |",
                seconds * 1e3,
                after_last * 1e3
            );
        }
        text
    }

    fn json(&self) -> String {
        let Figures { machine, mode, idle_for, idle, small, large, bursts } = self;
        let bursts: Vec<String> = bursts
            .iter()
            .map(|Burst { what, seconds, after_last, looks, generations }| {
                format!(
                    "  {{\"what\": \"{what}\", \"changes\": {CHANGES}, \"seconds\": {seconds:.4}, \"seconds_after_last\": \
                     {after_last:.4}, \"looks\": {looks}, \"generations\": {generations}}}"
                )
            })
            .collect();
        format!(
            "{{\n \"machine\": \"{machine}\", \"mode\": \"{mode}\",\n \"idle_seconds\": {}, \"idle_cpu_percent\": {idle:.3},\n \
             \"resident_kib\": {{\"2_children\": {small}, \"{CHILDREN}_children_{STREAMS}_streams\": {large}}},\n \
             \"bursts\": [\n{}\n ]\n}}\n",
            idle_for.as_secs(),
            bursts.join(",\n")
        )
    }
}
