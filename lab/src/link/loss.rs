//! What a link loses.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader};
use nix::net::if_::if_nametoindex;

use super::{LOWER, UPPER, Way};
use crate::netns::Lab;
use crate::relay::workspace;

/// What is to be lost on one way of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Share of the packets, 0 to 1.
    pub share: f64,
    /// How many packets in a row are lost at once, of whichever streams; 1: each by itself.
    pub burst: u32,
    /// The same seed loses the same packets.
    pub seed: u64,
    /// RTCP is lost like RTP; else it always comes through.
    pub rtcp: bool,
}

impl Loss {
    /// Nothing.
    pub const NONE: Loss = Loss { share: 0.0, burst: 1, seed: 0, rtcp: false };

    /// Of RTP, each packet by itself.
    pub fn of(share: f64, seed: u64) -> Self {
        Self { share, seed, ..Self::NONE }
    }

    /// The same share in bursts.
    pub fn in_bursts_of(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    /// The same of RTCP.
    pub fn and_of_rtcp(self) -> Self {
        Self { rtcp: true, ..self }
    }

    /// As `relay-ebpf/src/link/fate.rs` has it: seed, threshold, burst (low half) and RTCP (high half).
    fn words(self) -> [u64; 3] {
        let burst = self.burst.max(1);
        // A burst is begun by one of the packets that are in none: between two there are (1 - begin) / begin of these.
        let begin = self.share / (f64::from(burst) * (1.0 - self.share) + self.share);
        [self.seed, (begin * 2_f64.powi(32)).round() as u64, u64::from(burst) | u64::from(self.rtcp) << 32]
    }
}

/// What has come to one way of a link, and what of that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// RTP packets that came.
    pub rtp: u64,
    /// Of these, lost.
    pub rtp_lost: u64,
    /// RTP packets that had come before.
    pub again: u64,
    /// Of these, lost.
    pub again_lost: u64,
    /// RTCP packets that came.
    pub rtcp: u64,
    /// Of these, lost.
    pub rtcp_lost: u64,
}

impl Lost {
    /// Share of RTP that was lost.
    pub fn share(&self) -> f64 {
        self.rtp_lost as f64 / (self.rtp as f64).max(1.0)
    }
}

/// The program at both interfaces of a namespace, attached for as long as this lives.
pub(super) struct Dropper {
    rules: Array<MapData, [u64; 3]>,
    counts: PerCpuArray<MapData, [u64; 6]>,
    _programs: Ebpf,
}

impl Dropper {
    pub(super) fn attach(lab: &Lab, ns: &str) -> Result<Self> {
        let index = |interface: &'static str| -> Result<u32> {
            lab.in_namespace(ns, || if_nametoindex(interface))?
                .with_context(|| format!("looking for {interface} in {ns}"))
        };
        let (upper, lower) = (index(UPPER)?, index(LOWER)?);
        let object = object();
        let mut programs = EbpfLoader::new()
            .override_global("UPPER", &upper, true)
            .override_global("LOWER", &lower, true)
            .load_file(&object)
            .with_context(|| format!("loading {}; `cargo xtask build-ebpf` makes it", object.display()))?;
        let program: &mut SchedClassifier = programs.program_mut("link").context("no program")?.try_into()?;
        program.load().context("loading the program that loses")?;
        for interface in [UPPER, LOWER] {
            lab.in_namespace(ns, || program.attach(interface, TcAttachType::Ingress))?
                .with_context(|| format!("attaching the program that loses to {interface} in {ns}"))?;
        }
        let rules = programs.take_map("RULES").context("no map RULES")?.try_into()?;
        let counts = programs.take_map("COUNTS").context("no map COUNTS")?.try_into()?;
        Ok(Self { rules, counts, _programs: programs })
    }

    pub(super) fn lose(&mut self, way: Way, loss: Loss) -> Result<()> {
        self.rules.set(way as u32, loss.words(), 0).context("saying what is lost")
    }

    pub(super) fn lost(&self, way: Way) -> Result<Lost> {
        let cpus = self.counts.get(&(way as u32), 0).context("reading what was lost")?;
        let of = |number: usize| cpus.iter().map(|counts| counts[number]).sum::<u64>();
        let [rtp, rtp_lost, again, again_lost, rtcp, rtcp_lost] = std::array::from_fn(of);
        Ok(Lost { rtp, rtp_lost, again, again_lost, rtcp, rtcp_lost })
    }
}

fn object() -> PathBuf {
    workspace().join("target/bpf/relay-link")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_as_much_rarer_as_they_are_longer() {
        let begins = |loss: Loss| loss.words()[1] as f64 / 2_f64.powi(32);
        assert!((begins(Loss::of(0.01, 1)) - 0.01).abs() < 1e-9);
        let begin = begins(Loss::of(0.05, 1).in_bursts_of(10));
        // Ten are lost of ten and those between two bursts.
        let between = (1.0 - begin) / begin;
        assert!((10.0 / (10.0 + between) - 0.05).abs() < 1e-6, "{begin}");
        assert_eq!(Loss::NONE.words(), [0, 0, 1]);
        assert_eq!(Loss::of(1.0, 0).words()[1], 1 << 32, "all of them");
    }
}
