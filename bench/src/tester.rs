//! [`Tester`]: generator and receivers around whatever stands between them.
//!
//! As fast as it can, with everything on one CPU: what runs in softirq takes turns with the generator, batch by batch, so
//! nothing overflows. A process would never get a turn; so it is given priority over the generator, which then sends its
//! next batch only when the process has nothing left to do. Either way the CPU is busy all the time and no packet waits in
//! vain. On a schedule, with a CPU of its own, the generator does not care what becomes of its packets.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::{Array, MapData, PerCpuArray, PerCpuValues};
use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode,
};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};

use crate::frame::Frame;
use crate::machine::{Priority, on_cpu, with_priority};
use crate::stage::{MAX_CHILDREN, Stage};

/// What a veth ring holds is 256; a batch makes at most half of that.
const RING: u32 = 128;
/// Packets between two looks of the generator at its clock, and its largest batch.
const LOOK: u64 = 16;
/// A frame of a schedule waits no longer than this for its time.
const PATIENCE: Duration = Duration::from_micros(4);
/// For what is still on its way when the generator has ended.
const SETTLE: Duration = Duration::from_millis(3);
const FIRST_SSRC: u32 = 7777;

/// How the receivers drop what they have judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drops {
    /// By XDP, for frames that never were socket buffers.
    Xdp,
    /// By tcx: XDP would copy each socket buffer.
    Tc,
    /// By XDP, at the relay's own interface: nothing stands between generator and receiver.
    AtRelay,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the Ethernet frame.
    pub length: usize,
    /// Streams that take turns.
    pub streams: u32,
    /// Keep how long each copy took.
    pub stamps: bool,
}

/// What came for one child (`relay-ebpf/src/bench/judge.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Receiver {
    pub packets: u64,
    pub missing: u64,
    pub late: u64,
    pub next: u64,
    pub last: u64,
    pub ended: u64,
}

// SAFETY: repr(C), integers only, no padding.
unsafe impl aya::Pod for Receiver {}

/// One run of the generator, and what came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Packets sent.
    pub sent: u64,
    /// From the first to the last look at the clock, and the packets in between.
    pub ns: u64,
    pub packets: u64,
    /// Copies that arrived.
    pub copies: u64,
    /// Copies that should have arrived, by the numbers in them.
    pub lost: u64,
    /// Copies out of order or there twice.
    pub late: u64,
    /// How long after the last packet its last copy came: what had piled up somewhere.
    pub behind: Duration,
}

impl Outcome {
    /// Packets sent a second.
    pub fn rate(&self) -> f64 {
        self.packets as f64 * 1e9 / self.ns.max(1) as f64
    }

    pub fn ns_per_packet(&self) -> f64 {
        self.ns as f64 / self.packets.max(1) as f64
    }
}

/// Generator and receivers.
pub struct Tester<'a> {
    stage: &'a Stage<'a>,
    programs: Ebpf,
    frame: Frame,
    traffic: Traffic,
    children: usize,
    batch_for: usize,
    /// Children are told apart by their addresses; otherwise all copies go where the packet went.
    addressed: bool,
    schedule: Array<MapData, [u64; 4]>,
    progress: Array<MapData, [u64; 4]>,
    receivers: PerCpuArray<MapData, Receiver>,
}

impl<'a> Tester<'a> {
    pub fn new(
        stage: &'a Stage<'a>,
        traffic: Traffic,
        drops: Drops,
        children: usize,
        addressed: bool,
    ) -> Result<Self> {
        let mut tester = Self::build(stage, traffic, children, addressed)?;
        tester.attach(drops)?;
        Ok(tester)
    }

    /// A second generator for somebody else's receivers.
    pub fn without_receivers(stage: &'a Stage<'a>, traffic: Traffic, children: usize) -> Result<Self> {
        Self::build(stage, traffic, children, true)
    }

    fn build(stage: &'a Stage<'a>, traffic: Traffic, children: usize, addressed: bool) -> Result<Self> {
        let frame = stage.frame(traffic.length);
        let (template, stamping) = (frame.template(), u32::from(traffic.stamps));
        let mut loader = EbpfLoader::new();
        loader
            .override_global("TEMPLATE", &template, true)
            .override_global("CHECKSUM", &frame.sum, true)
            .override_global("IFINDEX", &stage.generator_interface, true)
            .override_global("STAMPING", &stamping, true);
        if !traffic.stamps {
            loader.map_max_entries("TOOK", 1);
        }
        let mut programs = load(&mut loader)?;
        let schedule = take(&mut programs, "SCHEDULE")?.try_into()?;
        let progress = take(&mut programs, "PROGRESS")?.try_into()?;
        let receivers = take(&mut programs, "RECEIVERS")?.try_into()?;
        xdp(&mut programs, "bench_generate")?.load().context("loading the generator")?;
        Ok(Self {
            stage,
            programs,
            frame,
            traffic,
            children,
            batch_for: children,
            addressed,
            schedule,
            progress,
            receivers,
        })
    }

    /// The generator with nothing but a receiver behind it, in batches as for so many children.
    pub fn alone(stage: &'a Stage<'a>, traffic: Traffic, batch_for: usize) -> Result<Self> {
        Ok(Self { batch_for, ..Self::new(stage, traffic, Drops::AtRelay, 1, false)? })
    }

    /// Sends `packets` as fast as they get through, everything on the CPU under test.
    pub fn saturate(&mut self, packets: u64) -> Result<Outcome> {
        let batch = (RING / self.batch_for as u32).clamp(1, LOOK as u32);
        let tested = self.stage.cpus.tested;
        let run = |tester: &mut Self| {
            with_priority(Priority::Generator, || tester.run(packets, 0, batch, packets))
                .unwrap_or_else(|done| done)
        };
        on_cpu(tested, || run(self))?
    }

    /// Sends at `rate` packets a second for a time, from a CPU of its own.
    pub fn keep_to(&mut self, rate: f64, time: Duration) -> Result<Outcome> {
        let packets = ((rate * time.as_secs_f64()) as u64).max(2);
        // A batch leaves together: two microseconds' worth.
        let batch = (rate * 2e-6).clamp(1.0, 8.0) as u32;
        let waits = (time.as_nanos() / PATIENCE.as_nanos()) as u64;
        let step = (1e12 / rate) as u64;
        let tester = self.stage.cpus.tester;
        let run = || self.run(packets, step, batch, packets + 2 * waits + 1000);
        on_cpu(tester, || with_priority(Priority::Generator, run).unwrap_or_else(|done| done))?
    }

    /// Sends `packets` as fast as it can from a CPU, whoever else does; when that began and ended, in ns.
    pub fn flood(&mut self, cpu: usize, packets: u64) -> Result<(u64, u64)> {
        let batch = (RING / self.batch_for as u32).clamp(1, LOOK as u32);
        let run = || self.send(packets, 0, batch, packets);
        on_cpu(cpu, || with_priority(Priority::Generator, run).unwrap_or_else(|done| done))??;
        let [_, _, first, last] = self.progress.get(&0, 0).context("the generator's progress")?;
        Ok((first, last))
    }

    /// Copies that all children have got since they were last reset, whatever CPU took them in.
    pub fn arrived(&self) -> Result<u64> {
        Ok(self.arrived_by_cpu()?.iter().sum())
    }

    /// The same for each CPU: a copy arrives where it was made.
    pub fn arrived_by_cpu(&self) -> Result<Vec<u64>> {
        let mut copies = Vec::new();
        for child in self.places() {
            let cpus = self.receivers.get(&child, 0).context("reading the receivers")?;
            copies.resize(cpus.len(), 0);
            copies.iter_mut().zip(cpus.iter()).for_each(|(copies, receiver)| *copies += receiver.packets);
        }
        Ok(copies)
    }

    /// How long each copy took since this was last asked, in ns.
    pub fn stamps(&mut self) -> Result<Vec<u64>> {
        let mut stamped: Array<_, u64> =
            self.programs.map_mut("STAMPED").context("no map STAMPED")?.try_into()?;
        let count = stamped.get(&0, 0)?;
        stamped.set(0, 0, 0)?;
        let took: Array<_, u64> = self.programs.map("TOOK").context("no map TOOK")?.try_into()?;
        let count = count.min(u64::from(took.len())) as u32;
        (0..count).map(|index| Ok(took.get(&index, 0)?)).collect()
    }

    /// One run: `frames` live frames, of which those that come in time become packets.
    fn run(&mut self, packets: u64, step: u64, batch: u32, frames: u64) -> Result<Outcome> {
        let [count, ..] = self.progress.get(&0, 0).context("reading the generator's progress")?;
        self.expect(count, count + packets - 1)?;
        self.send(packets, step, batch, frames)?;
        let [end, sent, first, last] = self.progress.get(&0, 0).context("the generator's progress")?;
        let between = if step == 0 { sent.saturating_sub(1) / LOOK * LOOK } else { sent.saturating_sub(1) };
        let ([copies, lost, late], ended) = self.collect(sent, end)?;
        let behind = Duration::from_nanos(ended.saturating_sub(last));
        Ok(Outcome { sent, ns: last - first, packets: between, copies, lost, late, behind })
    }

    /// Runs the generator.
    fn send(&mut self, packets: u64, step: u64, batch: u32, frames: u64) -> Result<()> {
        let streams = u64::from(self.traffic.streams);
        self.schedule.set(0, [step, packets, streams, u64::from(FIRST_SSRC)], 0).context("the schedule")?;
        let [count, ..] = self.progress.get(&0, 0).context("reading the generator's progress")?;
        self.progress.set(0, [count, 0, 0, 0], 0).context("resetting the generator's progress")?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame.bytes);
        options.repeat = u32::try_from(frames).context("too many packets for one run")?;
        options.attrs = TestRunAttrs::new().xdp_live_frames(batch);
        let generator: &Xdp = self.programs.program("bench_generate").context("no generator")?.try_into()?;
        let run = || generator.test_run(options);
        match self.stage.lab.in_namespace("injection-1", run)? {
            Ok(_) => Ok(()),
            Err(ProgramError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::Interrupted =>
            {
                bail!("interrupted")
            }
            Err(error) => Err(error).context("running the generator"),
        }
    }

    /// From now on the next packet is number `count`, and the run ends with number `last`.
    fn expect(&mut self, count: u64, last: u64) -> Result<()> {
        let fresh = Receiver { next: count & 0xffff_ffff, last: last & 0xffff_ffff, ..Receiver::default() };
        let cpus = nr_cpus().map_err(|(_, error)| error).context("counting CPUs")?;
        for child in self.places() {
            let values = PerCpuValues::try_from(vec![fresh; cpus]).context("values of all CPUs")?;
            self.receivers.set(child, values, 0).context("resetting the receivers")?;
        }
        Ok(())
    }

    /// Waits until nothing more comes. Copies, lost, late, and when the last one came.
    fn collect(&self, sent: u64, end: u64) -> Result<([u64; 3], u64)> {
        let wanted = sent * self.children as u64;
        let mut before = u64::MAX;
        loop {
            let all = self.places().map(|child| self.receiver(child)).collect::<Result<Vec<_>>>()?;
            let copies: u64 = all.iter().map(|receiver| receiver.packets).sum();
            if copies < wanted && copies != before {
                before = copies;
                std::thread::sleep(SETTLE);
                continue;
            }
            let late = all.iter().map(|receiver| receiver.late).sum();
            let lost = if self.addressed {
                // By the numbers: those jumped over, and those after the last that came.
                let tail = |receiver: &Receiver| (end as u32).wrapping_sub(receiver.next as u32);
                all.iter().map(|receiver| receiver.missing + u64::from(tail(receiver))).sum()
            } else {
                wanted.saturating_sub(copies)
            };
            let ended = all.iter().map(|receiver| receiver.ended).max().unwrap_or(0);
            return Ok(([copies, lost, if self.addressed { late } else { 0 }], ended));
        }
    }

    fn places(&self) -> std::ops::Range<u32> {
        if self.addressed { 0..self.children as u32 } else { MAX_CHILDREN as u32..MAX_CHILDREN as u32 + 1 }
    }

    /// One child's, of the CPU that its packets came to.
    fn receiver(&self, child: u32) -> Result<Receiver> {
        let cpus = self.receivers.get(&child, 0).context("reading the receivers")?;
        cpus.iter().max_by_key(|receiver| receiver.packets).copied().context("no CPU")
    }

    fn attach(&mut self, drops: Drops) -> Result<()> {
        let lab = self.stage.lab;
        if drops == Drops::Tc {
            let program: &mut SchedClassifier =
                self.programs.program_mut("bench_sink_tc").context("no tc sink")?.try_into()?;
            program.load().context("loading the tc sink")?;
            let attach = || program.attach("eth0", TcAttachType::Ingress);
            return lab.in_namespace("egress", attach)?.map(drop).context("attaching the tc sink");
        }
        let ns = if drops == Drops::AtRelay { "relay-1" } else { "egress" };
        let program = xdp(&mut self.programs, "bench_sink")?;
        program.load().context("loading the sink")?;
        let attach = || program.attach("eth0", XdpMode::Driver);
        lab.in_namespace(ns, attach)?.map(drop).context("attaching the sink")
    }
}

/// Loads the bench's object.
pub fn load(loader: &mut EbpfLoader<'_>) -> Result<Ebpf> {
    let object = object();
    loader
        .load_file(&object)
        .with_context(|| format!("loading {}; `cargo xtask build-ebpf` makes it", object.display()))
}

/// A program of it.
pub fn xdp<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(programs.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}

fn take(programs: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    programs.take_map(name).with_context(|| format!("no map {name}"))
}

fn object() -> PathBuf {
    lab::relay::workspace().join("target/bpf/relay-bench")
}
