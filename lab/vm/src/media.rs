//! Media through a guest: twelve streams to two children behind each card, and the exact judgement of what came.

use std::time::{Duration, Instant};

use anyhow::Result;
use lab::interrupt;
use lab::relay::{AUDIO, VIDEO};
use lab::{Flow, FlowReport, Lab, Limit, Sent, Sink, Source, SourceConfig, Tcpdump};

use crate::machine::{CHILDREN, SIDES, child_address, guest_address};

/// Streams, each from a port of its own, so that a card with several queues spreads them over the processors.
pub const STREAMS: u32 = 12;
/// Packets per second of all streams together; four times as many copies. Emulation carries far more, but may stand still for
/// a second when the host is busy, and what comes at once after that must fit into a card's ring of 256 frames.
const RATE: u64 = 120;
/// Packets of a bounded run.
const PACKETS: u64 = 75 * STREAMS as u64;
const LIMIT: Duration = Duration::from_secs(60);
/// A copy that has not come so long after the last packet was sent is lost.
const LATE: Duration = Duration::from_secs(10);
/// Nothing has come for so long: nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(500);
const FIRST_SOURCE_PORT: u16 = 42_000;

/// Who leaves the UDP checksum of what is sent to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// The sender has written it.
    Complete,
    /// The sender has written the pseudo-header's sum only, as it does for cards that do the rest.
    Partial,
}

/// What came of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Packets sent, times children.
    pub wanted: u64,
    /// Copies that came, behind each card.
    pub came: [u64; 2],
    /// Those that never came.
    pub lost: u64,
    /// Those that came again, later than a later one, changed, or with a wrong checksum.
    pub flaws: u64,
}

impl Copies {
    /// Every packet once at each child, in order and unharmed.
    pub fn exact(&self) -> bool {
        self.wanted > 0 && self.total() == self.wanted && self.lost == 0 && self.flaws == 0
    }

    /// Copies that came, behind either card.
    pub fn total(&self) -> u64 {
        self.came.iter().sum()
    }

    /// These and others.
    pub fn and(self, other: Copies) -> Copies {
        Copies {
            wanted: self.wanted + other.wanted,
            came: [self.came[0] + other.came[0], self.came[1] + other.came[1]],
            lost: self.lost + other.lost,
            flaws: self.flaws + other.flaws,
        }
    }
}

/// Receivers at both sides, listening before anything is sent, and a running source.
pub struct Media {
    source: Source,
    sinks: Vec<Sink>,
    captures: Vec<Tcpdump>,
}

impl Media {
    /// A bounded run, to its end: what was sent, and what came.
    pub fn run(lab: &Lab, ssrc: u32, checksums: Checksums) -> Result<(Sent, Copies)> {
        Self::begin(lab, ssrc, checksums, Limit::Packets(PACKETS))?.judge(|source| source.wait(LIMIT))
    }

    /// Until [`Media::end`]. Complete checksums, as they come off a wire: virtio's driver drops packets with partial ones that
    /// were on their way when an XDP program came onto the card.
    pub fn start(lab: &Lab, ssrc: u32) -> Result<Self> {
        Self::begin(lab, ssrc, Checksums::Complete, Limit::UntilStopped)
    }

    /// Stops sending: what was sent, and what came.
    pub fn end(self) -> Result<(Sent, Copies)> {
        self.judge(|source| Ok(source.stop()))
    }

    /// Copies that have come so far.
    pub fn came(&self) -> u64 {
        came(&self.sinks)
    }

    /// Waits until so many copies more have come; false when the time is up.
    pub fn more(&self, copies: u64) -> bool {
        let wanted = self.came() + copies;
        wait(LIMIT, || self.came() >= wanted)
    }

    fn begin(lab: &Lab, first_ssrc: u32, checksums: Checksums, limit: Limit) -> Result<Self> {
        lab.set_feature(SIDES[0], "eth0", "tx", checksums == Checksums::Partial)?;
        let (mut sinks, mut captures) = (Vec::new(), Vec::new());
        for (side, ns) in SIDES.iter().enumerate() {
            let hosts = || (0..CHILDREN).map(move |child| child_address(side, child));
            let addresses = hosts().flat_map(|host| [AUDIO, VIDEO].map(|port| (host, port).into())).collect();
            sinks.push(Sink::bind(lab, ns, addresses)?);
            // Not what the source sends on the same wire: its checksums may be partial.
            let theirs: Vec<String> = hosts().map(|host| format!("dst host {host}")).collect();
            captures.push(Tcpdump::start(lab, ns, "eth0", &format!("udp and ({})", theirs.join(" or ")))?);
        }
        let flows = (0..STREAMS).map(|index| {
            let ssrc = first_ssrc + index;
            let to = |port| (guest_address(0), port).into();
            let flow =
                if index % 2 == 0 { Flow::audio(ssrc, to(AUDIO)) } else { Flow::video(ssrc, to(VIDEO)) };
            Flow { source_port: FIRST_SOURCE_PORT + index as u16, ..flow }
        });
        let mut config = SourceConfig::new(flows.collect(), RATE).limit(limit);
        // An odd length, so that the last byte is summed alone.
        config.packet_length = 201;
        Ok(Self { source: Source::start(lab, SIDES[0], config)?, sinks, captures })
    }

    fn judge(self, finish: impl FnOnce(Source) -> Result<Sent>) -> Result<(Sent, Copies)> {
        let sent = finish(self.source)?;
        let wanted = sent.total() * (SIDES.len() * CHILDREN) as u64;
        wait(LATE, || came(&self.sinks) >= wanted);
        let mut flows = Vec::new();
        for sink in self.sinks {
            // Whatever is too many would come now.
            sink.wait_quiet(QUIET, LIMIT);
            flows.push(sink.stop());
        }
        let mut copies = judge(&sent, &flows);
        for capture in self.captures {
            copies.flaws += capture.stop()?.bad_checksums()? as u64;
        }
        Ok((sent, copies))
    }
}

/// From the flows of all children, by card.
fn judge(sent: &Sent, sides: &[Vec<FlowReport>]) -> Copies {
    let mut copies = Copies { wanted: sent.total() * (SIDES.len() * CHILDREN) as u64, ..Copies::default() };
    let mut good = 0;
    for (flows, came) in sides.iter().zip(&mut copies.came) {
        for flow in flows {
            *came += flow.packets;
            good += flow.packets - flow.duplicated - flow.corrupted;
            copies.flaws += flow.duplicated + flow.corrupted + flow.reordered + flow.renumbered;
        }
    }
    copies.lost = copies.wanted.saturating_sub(good);
    copies
}

fn came(sinks: &[Sink]) -> u64 {
    sinks.iter().flat_map(Sink::report).map(|flow| flow.packets).sum()
}

/// False when the time is up, or somebody wants to stop.
fn wait(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline || interrupt::check().is_err() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(packets: u64, duplicated: u64) -> FlowReport {
        let nowhere = "0.0.0.0:0".parse().unwrap();
        FlowReport {
            socket: nowhere,
            ssrc: 1,
            source: nowhere,
            source_changes: 0,
            packets,
            bytes: 0,
            lost: 0,
            duplicated,
            reordered: 0,
            corrupted: 0,
            renumbered: 0,
            first_counter: 0,
            last_counter: 0,
            first_arrival_ns: 0,
            last_arrival_ns: 0,
            longest_gap_ns: 0,
            sent: None,
            receiver_drops: 0,
        }
    }

    #[test]
    fn a_copy_too_many_does_not_make_up_for_one_too_few() {
        let sent = Sent { packets: [(1, 10)].into(), ..Sent::default() };
        let four = |last| judge(&sent, &[vec![flow(10, 0), flow(10, 0)], vec![flow(10, 0), last]]);
        assert!(four(flow(10, 0)).exact());
        assert_eq!(four(flow(10, 1)), Copies { wanted: 40, came: [20, 20], lost: 1, flaws: 1 });
        assert_eq!(judge(&sent, &[vec![flow(10, 0)], vec![]]).lost, 30, "children that got nothing");
    }
}
