//! What `cargo xtask demo` runs: real media from one sender through a real relay to two egresses, while egress-2 joins,
//! egress-1 leaves and the daemon is killed. It prints what every receiver saw, and its exit code says whether it was all.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::relay::{
    AUDIO, BAD_CONFIGURATION, Json, Mode, RelayConfig, RelayProcess, VIDEO, child_argument, relay_ctl, script,
};
use lab::{FlowReport, Lab, Process, Sink, Topology, monotonic_ns};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const USAGE: &str = "usage: demo [--mode auto|xdp|tc|userspace] [--once]";
const AUDIO_SSRC: u32 = 7777;
const VIDEO_SSRC: u32 = 8888;
const EGRESSES: [&str; 2] = ["egress-1", "egress-2"];
/// Between two changes.
const SCENE: Duration = Duration::from_secs(3);
/// Without a daemon.
const ORPHANED: Duration = Duration::from_secs(2);
/// GStreamer looks through its plug-ins when it starts for the first time.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(30);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

struct Options {
    mode: Mode,
    once: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("demo: {error:#}; {USAGE}");
            return ExitCode::from(BAD_CONFIGURATION as u8);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { mode: Mode::Auto, once: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--once" => options.once = true,
            "--mode" => options.mode = arguments.next().context("--mode needs a mode")?.parse()?,
            other => match other.strip_prefix("--mode=") {
                Some(mode) => options.mode = mode.parse()?,
                None => bail!("unknown argument {other}"),
            },
        }
    }
    Ok(options)
}

/// True when nothing was lost and everything was seen.
fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    catch_signals()?;
    check_tools()?;
    say("network namespaces injection-1, relay-1, egress-1 and egress-2, joined at relay-1");
    let lab = Lab::new("")?;
    let topology = Topology::nic_per_child(&lab, EGRESSES.len())?;
    let mut stage = Stage::open(&lab, topology, options.mode)?;
    let changes = stage.play()?;
    let flows = stage.flows();
    stage.print_table(&flows, &changes)?;
    let seen = stage.verify_ssrcs()?;
    if stage.mode()? == Mode::Userspace {
        say("bpftool has nothing to show: in userspace mode the children are known to the daemon only");
    } else {
        stage.dump_maps()?;
    }
    let flawless =
        flows.iter().flatten().all(|flow| (flow.lost, flow.duplicated, flow.reordered) == (0, 0, 0));
    let complete = flows.iter().all(|flows| flows.len() == 2);
    let verdict = match (flawless, complete && seen) {
        (true, true) => "ok: nothing lost, duplicated or reordered at any receiver, and both SSRCs seen",
        (false, _) => "FAILED: packets were lost, duplicated or reordered, see the table",
        (true, false) => "FAILED: a stream did not reach everybody",
    };
    say(&format!("{verdict} ({:.0} s)", started.elapsed().as_secs_f64()));
    if !options.once {
        stage.stay_up()?;
    }
    say("cleaning up");
    Ok(flawless && complete && seen)
}

fn say(line: &str) {
    println!("[demo] {line}");
}

/// So that Ctrl-C ends the demo by its usual way out, which removes the namespaces.
fn catch_signals() -> Result<()> {
    extern "C" fn note(_: libc::c_int) {
        INTERRUPTED.store(true, Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("catching {signal}"))?;
    }
    Ok(())
}

fn check_tools() -> Result<()> {
    let program = relay_ctl();
    ensure!(
        program.exists(),
        "no {}; run `cargo xtask build-ebpf && cargo build --release`",
        program.display()
    );
    let found = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    for (program, argument, package) in [
        ("gst-launch-1.0", "--version", "gstreamer1.0-tools"),
        ("tcpdump", "--version", "tcpdump"),
        ("ethtool", "--version", "ethtool"),
        ("bpftool", "version", "bpftool"),
    ] {
        ensure!(found(program, argument), "no {program}; run `apt-get install {package}`");
    }
    for (element, package) in
        [("opusenc", "base"), ("vp8enc", "good"), ("rtpvp8pay", "good"), ("udpsink", "good")]
    {
        let exists = Command::new("gst-inspect-1.0").args(["--exists", element]).status()?.success();
        ensure!(exists, "GStreamer has no {element}; run `apt-get install gstreamer1.0-plugins-{package}`");
    }
    Ok(())
}

/// Sleeps, unless somebody wants the demo to end.
fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        ensure!(!INTERRUPTED.load(Relaxed), "interrupted");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// When the two commands were given, by the clock of the arrivals.
struct Changes {
    joined_ns: u64,
    left_ns: u64,
}

struct Stage<'lab> {
    topology: Topology,
    sinks: Vec<Sink>,
    media: Process,
    relay: RelayProcess<'lab>,
}

impl<'lab> Stage<'lab> {
    /// Receivers, media and relay, in this order, until media reaches egress-1.
    fn open(lab: &'lab Lab, topology: Topology, mode: Mode) -> Result<Self> {
        let endpoints = topology.children.iter().map(|child| &child.endpoint);
        let sinks = endpoints
            .map(|endpoint| {
                Sink::bind_media(lab, &endpoint.namespace, vec![endpoint.v4(AUDIO), endpoint.v4(VIDEO)])
            })
            .collect::<Result<Vec<_>>>()?;
        say(&format!(
            "injection-1 sends Opus (SSRC {AUDIO_SSRC}, port {AUDIO}) and VP8 (SSRC {VIDEO_SSRC}, port {VIDEO})"
        ));
        let media = lab.spawn("injection-1", gstreamer(&topology))?;
        let child = child_argument(EGRESSES[0], topology.children[0].endpoint.v4(0));
        say(&format!("relay-1: relay-ctl attach eth0 --mode {mode} --child {child}"));
        let relay = RelayProcess::attach(lab, RelayConfig::new("relay-1", mode, vec![child]))?;
        let stage = Self { topology, sinks, media, relay };
        let status = stage.relay.cli().json("status")?;
        let dataplane = &status["dataplane"];
        say(&format!("mode: {}, because: {}", dataplane["mode"].text(), dataplane["modeReason"].text()));
        stage.wait_for_media(0)?;
        Ok(stage)
    }

    fn mode(&self) -> Result<Mode> {
        self.relay.cli().json("status")?["dataplane"]["mode"].text().parse()
    }

    /// The changes; media flows through all of them.
    fn play(&mut self) -> Result<Changes> {
        pause(SCENE)?;
        let cli = self.relay.cli();
        let child = child_argument(EGRESSES[1], self.topology.children[1].endpoint.v4(0));
        say(&format!("egress-2 joins: relay-ctl child add {child}"));
        let joined_ns = monotonic_ns();
        cli.ok(&["child", "add", &child])?;
        self.wait_for_media(1)?;
        pause(SCENE)?;
        say("egress-1 leaves: relay-ctl child remove egress-1");
        let left_ns = monotonic_ns();
        cli.ok(&["child", "remove", EGRESSES[0]])?;
        pause(SCENE)?;
        if self.mode()? == Mode::Userspace {
            say(
                "no kill -9 in userspace mode: there the daemon itself forwards, and killing it interrupts the media",
            );
            return Ok(Changes { joined_ns, left_ns });
        }
        say(&format!("kill -9 of the daemon, and {} s without it", ORPHANED.as_secs()));
        self.relay.kill9()?;
        pause(ORPHANED)?;
        say("the daemon starts again and takes over in place");
        self.relay.restart_on_pins()?;
        pause(SCENE)?;
        Ok(Changes { joined_ns, left_ns })
    }

    fn wait_for_media(&self, egress: usize) -> Result<()> {
        let deadline = Instant::now() + MEDIA_TIMEOUT;
        while self.sinks[egress].report().len() < 2 {
            if Instant::now() >= deadline || self.media.status()?.is_some() {
                let status = self.relay.cli().run(&["status"]);
                bail!(
                    "no media at {}; GStreamer: {}\nrelay: {status:?}",
                    EGRESSES[egress],
                    self.media.tail()
                );
            }
            pause(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// What each receiver has seen, audio first.
    fn flows(&self) -> Vec<Vec<FlowReport>> {
        self.sinks.iter().map(Sink::report).collect()
    }

    fn print_table(&self, flows: &[Vec<FlowReport>], changes: &Changes) -> Result<()> {
        let status = self.relay.cli().json("status")?;
        println!();
        println!(
            "  {:<10}{:<14}{:>8}{:>7}{:>12}{:>11}   change",
            "receiver", "SSRC", "packets", "lost", "duplicated", "reordered"
        );
        for (egress, flows) in EGRESSES.iter().zip(flows) {
            for flow in flows {
                let kind = if flow.socket.port() == AUDIO { "audio" } else { "video" };
                let change = if *egress == EGRESSES[0] {
                    change("last", flow.last_arrival_ns, "remove", changes.left_ns)
                } else {
                    change("first", flow.first_arrival_ns, "add", changes.joined_ns)
                };
                println!(
                    "  {egress:<10}{:<14}{:>8}{:>7}{:>12}{:>11}   {change}",
                    format!("{} {kind}", flow.ssrc),
                    flow.packets,
                    flow.lost,
                    flow.duplicated,
                    flow.reordered
                );
            }
        }
        let dataplane = &status["dataplane"];
        println!("\n  mode {}: {}", dataplane["mode"].text(), dataplane["modeReason"].text());
        println!(
            "  Audio comes every 20 ms, video every 33 ms; times include the start of the command itself.\n"
        );
        Ok(())
    }

    /// The script that people use by hand says the same.
    fn verify_ssrcs(&self) -> Result<bool> {
        let mut all = true;
        for (port, ssrc) in [(AUDIO, AUDIO_SSRC), (VIDEO, VIDEO_SSRC)] {
            let arguments = [
                EGRESSES[1].to_owned(),
                "eth0".to_owned(),
                port.to_string(),
                ssrc.to_string(),
                "2".to_owned(),
            ];
            say(&format!("scripts/verify-ssrc.sh {}", arguments.join(" ")));
            let output =
                Command::new(script("verify-ssrc.sh")).args(&arguments).output().context("verify-ssrc.sh")?;
            print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            all &= output.status.success();
        }
        Ok(all)
    }

    /// How a packet finds its children, with nothing but bpftool.
    fn dump_maps(&self) -> Result<()> {
        let pins = self.pins()?;
        let instance = lookup(&pins, "SETS", 0, "the fan-out set of all streams: its instance in force")?
            .number() as u32;
        let members = lookup(&pins, "INSTANCES", instance, "the instance: its run of members")?;
        for position in 0..members["count"].number() as u32 {
            let slot = lookup(
                &pins,
                "MEMBERS",
                members["first"].number() as u32 + position,
                "a member: its child slot",
            )?;
            lookup(&pins, "CHILDREN", slot.number() as u32, "the child: the headers of its copies")?;
        }
        println!("$ bpftool map dump pinned {}/STREAMS", pins.display());
        println!(
            "{}",
            bpftool(&["map", "dump", "pinned", &pins.join("STREAMS").to_string_lossy()])?.trim_end()
        );
        Ok(())
    }

    /// ROOT/INTERFACE/vN.
    fn pins(&self) -> Result<PathBuf> {
        let folder = self.relay.cli().pin_root().join("eth0");
        let mut versions = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        Ok(versions.next().context("no version in the pin directory")??.path())
    }

    fn stay_up(&self) -> Result<()> {
        let (program, pins) = (relay_ctl(), self.relay.cli().pin_root());
        let (program, pins) = (fs::canonicalize(&program).unwrap_or(program), pins.display());
        let program = program.display();
        let child = child_argument(EGRESSES[0], self.topology.children[0].endpoint.v4(0));
        println!("\nIt stays up until Ctrl-C. In another terminal, try:");
        println!("  ip netns exec relay-1 {program} status --pin-root {pins}");
        println!("  ip netns exec relay-1 {program} children --pin-root {pins}");
        println!("  ip netns exec relay-1 {program} streams --pin-root {pins}");
        println!("  ip netns exec relay-1 {program} child add {child}");
        println!("  ip netns exec relay-1 {program} route {VIDEO_SSRC} --port {VIDEO} --children egress-2");
        println!(
            "  ip netns exec relay-1 {program} capture --ssrc {VIDEO_SSRC} --count 10 -w - | tcpdump -n -r -"
        );
        println!("  {} egress-2 eth0 {VIDEO} {VIDEO_SSRC}", script("verify-ssrc.sh").display());
        println!("  bpftool map dump pinned {pins}/eth0/v*/STREAMS\n");
        while pause(Duration::from_secs(1)).is_ok() {
            if let Some(status) = self.media.status()? {
                bail!("GStreamer ended ({status}): {}", self.media.tail());
            }
        }
        Ok(())
    }
}

fn gstreamer(topology: &Topology) -> Command {
    let host = topology.relay.v4;
    let pipeline = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 \
         ! vp8enc deadline=1 cpu-used=8 target-bitrate=1500000 keyframe-max-dist=60 \
         ! rtpvp8pay ssrc={VIDEO_SSRC} pt=96 mtu=1200 ! udpsink host={host} port={VIDEO} \
         audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=48000,channels=2 ! opusenc \
         ! rtpopuspay ssrc={AUDIO_SSRC} pt=111 ! udpsink host={host} port={AUDIO}"
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}

/// How long after a command a packet arrived.
fn change(which: &str, arrival_ns: u64, command: &str, command_ns: u64) -> String {
    match arrival_ns.checked_sub(command_ns) {
        Some(ns) => format!("{which} packet {:.1} ms after `child {command}`", ns as f64 / 1e6),
        None => format!("no packet after `child {command}`"),
    }
}

/// Shows one entry of a pinned array as bpftool does, and gives its value.
fn lookup(pins: &std::path::Path, map: &str, index: u32, what: &str) -> Result<Json> {
    let file = pins.join(map).to_string_lossy().into_owned();
    let key = index.to_ne_bytes().map(|byte| byte.to_string());
    let arguments =
        [&["map", "lookup", "pinned", &file, "key"], &key.each_ref().map(String::as_str)[..]].concat();
    println!("$ bpftool {}    # {what}", arguments.join(" "));
    println!("{}", bpftool(&arguments)?.trim_end());
    let json: Json = bpftool(&[&["--json"], &arguments[..]].concat())?.parse()?;
    Ok(json["formatted"]["value"].clone())
}

fn bpftool(arguments: &[&str]) -> Result<String> {
    let output = Command::new("bpftool").args(arguments).output().context("running bpftool")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {}: {}", arguments.join(" "), stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
