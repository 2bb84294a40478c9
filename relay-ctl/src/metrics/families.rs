//! From a sample to metric families, without I/O.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use node::media::Kind;
use node::metrics::{Scrape, Standing, flag};
use node::record::NodeType;
use prometheus::Result;
use prometheus::proto::MetricFamily;
use relay_common::layout::Total;
use relay_common::reason::{Fate, Reason};

use super::Counters;
use crate::mode::{Mode, ModeWanted};
use crate::relay::{Repaired, Sample};
use crate::view::{ChildState, Stream};

/// Most streams that get series of their own: six series each, and SSRCs are random, so that without a limit a day of
/// sessions would fill a Prometheus. The rest is in `streams_not_shown`; `relay-ctl streams` has them all.
pub const MOST_STREAMS: usize = 64;

/// A stream that was silent for longer than this is shown only when there is room: ms.
const RECENT: u64 = 10_000;

/// Everything, each family once.
pub fn families(sample: &Sample, counters: &Counters) -> Result<Vec<MetricFamily>> {
    let status = &sample.status;
    let scrape = Scrape::of(&Standing {
        node_type: NodeType::Relay,
        tree_id: &status.tree_id,
        node_id: &status.node_id,
        healthy: status.healthy,
        draining: status.drain.is_some(),
        topology: &status.topology,
        redis: status.redis.as_ref(),
        taken: sample.taken.as_ref(),
        heard: &sample.heard,
        http: &sample.http,
        redirects: &sample.redirects,
    })?;
    scrape.odd_children(&status.topology)?;
    relay(&scrape, sample)?;
    data_plane(&scrape, sample)?;
    children(&scrape, sample)?;
    streams(&scrape, sample)?;
    repair(&scrape, sample)?;
    counters.register(&scrape)?;
    scrape.families()
}

const KINDS: [&str; 2] = [Kind::Audio.name(), Kind::Video.name()];

/// What docs/contract.md, *Metrics*, promises to every query, and how the relay as a whole is.
fn relay(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let active = sample.children.iter().filter(|child| child.state == ChildState::Forwarding).count();
    scrape.gauge(
        "destinations_count",
        "Children that copies are sent to.",
        ["stream_type"],
        KINDS.map(|kind| ([kind], active as f64)),
    )?;
    let totals = |of: fn(&Total) -> u64| {
        KINDS.into_iter().zip(&sample.totals).map(move |(kind, total)| ([kind], of(total) as f64))
    };
    scrape.counter(
        "rtp_packets_forwarded_total",
        "RTP packets taken for forwarding, each once however many children it goes to.",
        ["stream_type"],
        totals(|total| total.packets),
    )?;
    scrape.counter(
        "rtp_bytes_forwarded_total",
        "Bytes of the RTP packets taken for forwarding, RTP headers included.",
        ["stream_type"],
        totals(|total| total.bytes),
    )?;
    scrape.counter(
        "rtcp_packets_forwarded_total",
        "RTCP packets taken for forwarding.",
        ["stream_type"],
        totals(|total| total.rtcp_packets),
    )?;
    scrape.gauge(
        "forwarder_state",
        "3: forwarding or able to; 1: attached, but the relay has a problem; 0: nothing is attached.",
        ["pipeline"],
        KINDS.map(|kind| ([kind], f64::from(sample.forwarder as u8))),
    )?;
    scrape.one_counter(
        "interruptions_total",
        "Times that forwarding was interrupted since the daemon started.",
        sample.status.gstreamer.audio_restarts as f64,
    )
}

fn data_plane(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let plane = &sample.status.dataplane;
    let modes = [("xdp", Mode::Xdp), ("tc", Mode::Tc), ("userspace", Mode::Userspace)];
    scrape.gauge(
        "dataplane_mode",
        "1 for the data plane in use.",
        ["mode"],
        modes.map(|(name, mode)| ([name], flag(plane.mode == mode))),
    )?;
    let asked = [
        ("auto", ModeWanted::Auto),
        ("xdp", ModeWanted::Xdp),
        ("tc", ModeWanted::Tc),
        ("userspace", ModeWanted::Userspace),
    ];
    scrape.gauge(
        "dataplane_configured",
        "1 for the data plane that was asked for.",
        ["mode"],
        asked.map(|(name, mode)| ([name], flag(sample.wanted == mode))),
    )?;
    let help = "1 while copies go by a slower data plane than was asked for, or than they did.";
    scrape.one_gauge("dataplane_fallen_back", help, flag(sample.fallen_back))?;
    scrape.one_gauge("generation", "Changes of fan-out sets since attaching.", plane.generation as f64)?;
    let (passed, lost): (Vec<Reason>, Vec<Reason>) =
        Reason::ALL.iter().partition(|reason| reason.fate() == Fate::Stack);
    let each = |reasons: Vec<Reason>, counts: &BTreeMap<String, u64>| {
        let count = |reason: Reason| counts.get(reason.name()).copied().unwrap_or_default();
        reasons.into_iter().map(|reason| ([reason.name()], count(reason) as f64)).collect::<Vec<_>>()
    };
    let drops = each(lost, &plane.drops);
    scrape.counter("drops_total", "Packets and copies that were lost, by reason.", ["reason"], drops)?;
    let passed = each(passed, &plane.passed_to_stack);
    scrape.counter(
        "passed_to_stack_total",
        "Packets that are no media for this relay, by reason; the host's network stack got them.",
        ["reason"],
        passed,
    )?;
    let egress = |of: fn(&crate::view::Egress) -> u64| {
        plane.egress.iter().map(move |(interface, egress)| ([interface.as_str()], of(egress) as f64))
    };
    let sent = egress(|egress| egress.sent);
    scrape.counter("egress_sent_total", "Copies that the driver took (xdp).", ["interface"], sent)?;
    let refused = egress(|egress| egress.refused);
    scrape.counter(
        "egress_refused_total",
        "Copies that the driver refused (xdp).",
        ["interface"],
        refused,
    )?;
    let overflow = plane.receive_overflow.map(|packets| ([], packets as f64));
    scrape.counter(
        "receive_overflow_total",
        "Packets that the receive sockets dropped (userspace).",
        [],
        overflow,
    )?;
    let buffer = sample.receive_buffer.map(|bytes| ([], bytes as f64));
    let help = "The smallest receive buffer that the kernel has given for media (userspace).";
    scrape.gauge("receive_buffer_bytes", help, [], buffer)
}

fn children(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let each = |of: fn(&crate::view::Child) -> f64| {
        sample.children.iter().map(move |child| ([child.name.as_str()], of(child)))
    };
    let label = ["child"];
    let counted = |at: usize| {
        sample.children.iter().enumerate().map(move |(number, child)| {
            let now = [child.packets, child.bytes, child.errors];
            ([child.name.as_str()], (now[at] + before(&sample.children_before, number)[at]) as f64)
        })
    };
    scrape.counter("child_packets_total", "Copies sent to a child, RTP and RTCP.", label, counted(0))?;
    scrape.counter("child_bytes_total", "RTP and RTCP bytes sent to a child.", label, counted(1))?;
    scrape.counter("child_errors_total", "Copies that could not be made or sent.", label, counted(2))?;
    let [packets, bytes, errors] = sample.copies.map(|count| count as f64);
    scrape.one_counter("copies_total", "Copies sent to all children, RTP and RTCP.", packets)?;
    scrape.one_counter("copy_bytes_total", "RTP and RTCP bytes in these.", bytes)?;
    scrape.one_counter("copy_errors_total", "Copies to any child that could not be made or sent.", errors)?;
    let up = each(|child| flag(child.state == ChildState::Forwarding));
    scrape.gauge("child_up", "1 while a child is forwarded to.", label, up)?;
    let stale = each(|child| flag(child.stale));
    scrape.gauge("child_stale", "1 when a child's registration has expired.", label, stale)
}

fn streams(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let streams = &sample.streams;
    let count = |kind: &str| streams.iter().filter(|stream| stream.kind == kind).count() as f64;
    let counts = KINDS.map(|kind| ([kind], count(kind)));
    scrape.gauge("streams", "Streams in the table.", ["stream_type"], counts)?;
    let shown = most_telling(streams);
    let hidden = streams.len() - shown.len();
    scrape.one_gauge("streams_not_shown", "Streams without series of their own.", hidden as f64)?;

    let names: Vec<[String; 2]> =
        shown.iter().map(|(_, stream)| [stream.ssrc.to_string(), stream.port.to_string()]).collect();
    let rows = || {
        shown.iter().zip(&names).map(|((number, stream), [ssrc, port])| {
            let session = stream.session.as_deref().unwrap_or_default();
            ([session, ssrc.as_str(), stream.kind.as_str(), port.as_str()], *number, *stream)
        })
    };
    let each = |of: fn(&Stream) -> f64| rows().map(move |(labels, _, stream)| (labels, of(stream)));
    let counted = |at: usize| {
        rows().map(move |(labels, number, stream)| {
            let now = [stream.packets, stream.reordered, stream.duplicates];
            (labels, (now[at] + before(&sample.streams_before, number)[at]) as f64)
        })
    };
    let label = ["session_id", "ssrc", "stream_type", "port"];
    scrape.counter("stream_packets_total", "RTP packets of a stream.", label, counted(0))?;
    let lost = each(|stream| stream.lost as f64);
    scrape.gauge(
        "stream_lost_packets",
        "Packets lost before the relay; late ones reduce it again (RFC 3550 appendix A.3).",
        label,
        lost,
    )?;
    let help = "Packets of a stream that came late.";
    scrape.counter("stream_reordered_packets_total", help, label, counted(1))?;
    scrape.counter("stream_duplicate_packets_total", "Packets that came again.", label, counted(2))?;
    let jitter = each(|stream| stream.jitter_ms / 1000.0);
    scrape.gauge("stream_jitter_seconds", "Interarrival jitter (RFC 3550 section 6.4.1).", label, jitter)?;
    let age = each(|stream| stream.last_seen_ms as f64 / 1000.0);
    scrape.gauge("stream_last_packet_age_seconds", "Time since the last packet.", label, age)
}

/// Packets that were lost on the way to the relay, or to its children, and were sent again.
fn repair(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let Repaired { asking, answering, failed, unheard, round_trip, .. } = &sample.repaired;
    scrape.repair_asking(asking, *round_trip)?;
    scrape.repair_answering(answering, *failed)?;
    scrape.repair_parents(&sample.repaired_of_parents)?;
    let children = sample.children.iter().zip(&sample.repaired_of_children);
    scrape.repair_children(children.map(|(child, counts)| (child.name.as_str(), *counts)))?;
    let help = "Gaps and questions that were not looked at: more came than could be taken.";
    scrape.one_counter("repair_unheard_total", help, *unheard as f64)
}

/// What the one with this number had counted before it went last.
fn before(all: &[[u64; 3]], number: usize) -> [u64; 3] {
    all.get(number).copied().unwrap_or_default()
}

/// Those that are shown, each with its number: the ones that media comes in on, the busiest first.
fn most_telling(streams: &[Stream]) -> Vec<(usize, &Stream)> {
    let mut streams: Vec<(usize, &Stream)> = streams.iter().enumerate().collect();
    if streams.len() > MOST_STREAMS {
        streams.sort_by_key(|(_, stream)| (stream.last_seen_ms > RECENT, Reverse(stream.packets)));
        streams.truncate(MOST_STREAMS);
    }
    streams
}

#[cfg(test)]
mod tests;
