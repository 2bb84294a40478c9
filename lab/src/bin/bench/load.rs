//! Loading one CPU to the full without loss, and what comes out of it.
//!
//! What runs in softirq takes turns with the generator, batch by batch, so sending as fast as possible overflows nothing.
//! A process would never get a turn; so it is given priority over the generator, which then sends its next batch only
//! when the process has nothing left to do. Either way the CPU is busy all the time and no packet waits in vain.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{ProgramError, TestRun, TestRunAttrs, TestRunOptions, Xdp};
use lab::monotonic_ns;

use crate::machine::check_interrupted;

/// Children.
pub const FAN_OUT: usize = 8;
/// Packets a batch: with 8 copies each it half fills the 256 frames of a veth ring.
const BATCH: u32 = 16;
/// Packets of one run of the generator; the kernel takes about 20 ms (asleep) to set one up and down.
const RUN: u32 = 50_000;
const PROCESS_RUN: u32 = 10_000;
/// For what is still on its way when the generator has ended.
const SETTLE: Duration = Duration::from_millis(2);

/// Copies that came: by child, and one place for packets to nobody in particular.
pub type Arrived = [u64; FAN_OUT + 1];

/// One measurement.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Packets sent.
    pub packets: u64,
    /// Copies that reached the sink.
    pub copies: u64,
    /// Copies that should have and did not.
    pub lost: u64,
    /// Every child got as many as the others.
    pub even: bool,
    /// CPU time for one packet and all its copies.
    pub ns_per_packet: f64,
    /// CPU time for one copy that arrived.
    pub ns_per_copy: f64,
}

/// The generator and the sink of one scene.
pub struct Load<'a> {
    pub generator: &'a Xdp,
    pub frame: &'a [u8],
    /// The generator's count, and when it sent the first and the last packet.
    pub progress: &'a mut Array<MapData, [u64; 3]>,
    pub arrived: &'a PerCpuArray<MapData, Arrived>,
    /// Copies of each packet that should arrive.
    pub fan_out: u64,
    /// The receivers are children by address; otherwise all copies go to the address that the packet came to.
    pub addressed: bool,
    /// The path runs in a process.
    pub process: bool,
}

impl Load<'_> {
    /// Sends for about `time`.
    pub fn saturate(&mut self, time: Duration) -> Result<Sample> {
        let length = if self.process { PROCESS_RUN } else { RUN };
        self.send(length / 10)?;
        let before = self.read()?;
        let mut runs = Vec::new();
        let begin = monotonic_ns();
        while runs.is_empty() || monotonic_ns() - begin < time.as_nanos() as u64 {
            runs.push(self.send(length)?);
            check_interrupted()?;
        }
        let packets = runs.len() as u64 * u64::from(length);
        // What interrupts a run (a tick, the host) is not the path's: the median does without it.
        Ok(self.sample(before, self.read()?, packets, median(&mut runs)))
    }

    fn sample(&self, before: Arrived, after: Arrived, packets: u64, ns_per_packet: f64) -> Sample {
        let come: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        let copies: u64 = if self.addressed { come[..FAN_OUT].iter().sum() } else { come[FAN_OUT] };
        let wanted = packets * self.fan_out;
        Sample {
            packets,
            copies,
            lost: wanted.saturating_sub(copies),
            even: !self.addressed || come[..FAN_OUT].iter().all(|child| *child == come[0]),
            ns_per_packet,
            ns_per_copy: ns_per_packet * packets as f64 / copies.max(1) as f64,
        }
    }

    fn read(&self) -> Result<Arrived> {
        let cpus = self.arrived.get(&0, 0).context("reading the sink's counters")?;
        let mut total = Arrived::default();
        for cpu in cpus.iter() {
            total.iter_mut().zip(cpu).for_each(|(total, count)| *total += count);
        }
        Ok(total)
    }

    /// Sends packets; gives the time that one of them took, in ns.
    fn send(&mut self, packets: u32) -> Result<f64> {
        let [count, ..] = self.progress.get(&0, 0).context("reading the generator's progress")?;
        self.progress.set(0, [count, 0, 0], 0).context("resetting the generator's progress")?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(self.frame);
        options.repeat = packets;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        match self.generator.test_run(options) {
            Ok(_) => {}
            Err(ProgramError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::Interrupted =>
            {
                bail!("interrupted")
            }
            Err(error) => return Err(error).context("running the generator"),
        }
        std::thread::sleep(SETTLE);
        let [_, first, last] = self.progress.get(&0, 0).context("reading the generator's progress")?;
        Ok((last - first) as f64 / f64::from(packets - BATCH))
    }
}

/// The middle one; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}
