//! From two readings of a relay and the time between them to what is shown. Pure.
//!
//! A counter that went down began anew: what it had counted in between is not known, so there is no rate for that one
//! interval rather than a wrong one. Everything begins anew when the relay itself does.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::view;

/// One reading of a relay.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `status`.
    pub status: view::Status,
    /// `children`.
    pub children: Vec<view::Child>,
    /// `streams`.
    pub streams: Vec<view::Stream>,
}

/// What is shown: the last reading, and rates over the interval before it. A rate is absent where there is none yet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// The relay as a whole.
    pub status: view::Status,
    /// Length of the interval in seconds; absent before there is one.
    pub interval: Option<f64>,
    /// What comes in.
    pub incoming: Rate,
    /// What goes out to all children.
    pub outgoing: Rate,
    /// Drops a second, of the reasons that moved.
    pub drops: BTreeMap<String, f64>,
    /// Packets a second that were no media and went to the host's stack, of the reasons that moved.
    pub passed_to_stack: BTreeMap<String, f64>,
    /// The children.
    pub children: Vec<ChildRow>,
    /// The streams.
    pub streams: Vec<StreamRow>,
}

/// Packets and bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Packets a second.
    pub packets: Option<f64>,
    /// Megabits a second of RTP.
    pub megabits: Option<f64>,
}

/// One child.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildRow {
    /// Name.
    pub name: String,
    /// Address, or the host as it was given.
    pub address: String,
    /// State.
    pub state: view::ChildState,
    /// Why it is not forwarded to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its registration has expired.
    pub stale: bool,
    /// Redis lost it.
    pub held: bool,
    /// What it is sent.
    pub rate: Rate,
    /// Copies in the interval that could not be made or sent.
    pub errors: Option<u64>,
}

/// One stream.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRow {
    /// RTP port it comes in on.
    pub port: u16,
    /// SSRC.
    pub ssrc: u32,
    /// `audio` or `video`.
    pub kind: String,
    /// Session, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Sender.
    pub source: String,
    /// What comes in.
    pub rate: Rate,
    /// Packets lost in the interval; less than none when late ones came.
    pub lost: Option<i64>,
    /// The same in percent of what should have come (RFC 3550 section 6.4.1: no less than 0).
    pub loss_percent: Option<f64>,
    /// In the interval, came because they had been asked for: loss before repair is this and `lost`.
    pub repaired: Option<u64>,
    /// Late in the interval.
    pub reordered: Option<u64>,
    /// Twice in the interval.
    pub duplicates: Option<u64>,
    /// Interarrival jitter.
    pub jitter_ms: f64,
    /// Since the last packet.
    pub last_seen_ms: u64,
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most packets a second first.
    #[default]
    Rate,
    /// Most loss first; children by errors.
    Loss,
    /// Most jitter first; children by rate.
    Jitter,
    /// By SSRC; children by name.
    Name,
    /// Longest silent first; children that are in trouble first.
    Silence,
}

impl Sort {
    /// The next one.
    pub fn next(self) -> Sort {
        match self {
            Sort::Rate => Sort::Loss,
            Sort::Loss => Sort::Jitter,
            Sort::Jitter => Sort::Name,
            Sort::Name => Sort::Silence,
            Sort::Silence => Sort::Rate,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Rate => "rate",
            Sort::Loss => "loss",
            Sort::Jitter => "jitter",
            Sort::Name => "name",
            Sort::Silence => "silence",
        }
    }
}

/// The picture that `now` gives, `before` it another reading and the time from that one to this.
pub fn picture(now: Reading, before: Option<(&Reading, Duration)>) -> Picture {
    let Reading { status, children, streams } = now;
    let before = before.filter(|(old, elapsed)| !elapsed.is_zero() && same_run(&old.status, &status));
    let seconds = before.map(|(_, elapsed)| elapsed.as_secs_f64());
    let old = before.map(|(old, _)| old);
    let rate = |packets: Option<u64>, bytes: Option<u64>| Rate {
        packets: packets.zip(seconds).map(|(packets, seconds)| packets as f64 / seconds),
        megabits: bytes.zip(seconds).map(|(bytes, seconds)| bytes as f64 * 8.0 / 1e6 / seconds),
    };

    let plane = old.map(|old| &old.status.dataplane);
    let incoming = rate(
        grown(plane.map(|old| old.packets), status.dataplane.packets),
        grown(plane.map(|old| old.bytes), status.dataplane.bytes),
    );
    let moved = |counts: fn(&view::Dataplane) -> &BTreeMap<String, u64>| {
        let moved = counts(&status.dataplane).iter().filter_map(|(reason, count)| {
            let old = plane.map(|plane| counts(plane).get(reason).copied().unwrap_or_default());
            let moved = grown(old, *count).filter(|moved| *moved > 0)?;
            Some((reason.clone(), moved as f64 / seconds?))
        });
        moved.collect()
    };
    let drops = moved(|plane| &plane.drops);
    let passed_to_stack = moved(|plane| &plane.passed_to_stack);

    let known: HashMap<&str, &view::Child> =
        old.iter().flat_map(|old| &old.children).map(|child| (child.name.as_str(), child)).collect();
    let children: Vec<ChildRow> = children
        .into_iter()
        .map(|child| {
            let old = known.get(child.name.as_str());
            ChildRow {
                rate: rate(
                    grown(old.map(|old| old.packets), child.packets),
                    grown(old.map(|old| old.bytes), child.bytes),
                ),
                errors: grown(old.map(|old| old.errors), child.errors),
                address: child.address.unwrap_or(child.host),
                name: child.name,
                state: child.state,
                problem: child.problem,
                stale: child.stale,
                held: child.held,
            }
        })
        .collect();
    let sum =
        |of: fn(&Rate) -> Option<f64>| seconds.map(|_| children.iter().filter_map(|row| of(&row.rate)).sum());
    let outgoing = Rate { packets: sum(|rate| rate.packets), megabits: sum(|rate| rate.megabits) };

    let known: HashMap<(u16, u32), &view::Stream> =
        old.iter().flat_map(|old| &old.streams).map(|stream| ((stream.port, stream.ssrc), stream)).collect();
    let streams = streams
        .into_iter()
        .map(|stream| {
            // A stream that was forgotten and came back began anew as a whole, whatever single counters say.
            let old = known.get(&(stream.port, stream.ssrc)).filter(|old| old.packets <= stream.packets);
            let packets = old.map(|old| stream.packets - old.packets);
            let lost = old.map(|old| stream.lost as i64 - old.lost as i64);
            StreamRow {
                rate: rate(packets, grown(old.map(|old| old.bytes), stream.bytes)),
                loss_percent: packets.zip(lost).and_then(|(packets, lost)| loss_percent(packets, lost)),
                lost,
                repaired: grown(old.map(|old| old.repaired), stream.repaired),
                reordered: grown(old.map(|old| old.reordered), stream.reordered),
                duplicates: grown(old.map(|old| old.duplicates), stream.duplicates),
                port: stream.port,
                ssrc: stream.ssrc,
                kind: stream.kind,
                session: stream.session,
                source: stream.source,
                jitter_ms: stream.jitter_ms,
                last_seen_ms: stream.last_seen_ms,
            }
        })
        .collect();
    Picture { status, interval: seconds, incoming, outgoing, drops, passed_to_stack, children, streams }
}

impl Picture {
    /// Puts the rows in order; equal ones by name.
    pub fn sort(&mut self, by: Sort) {
        self.children.sort_by(|a, b| {
            let order = match by {
                Sort::Rate | Sort::Jitter => descending(a.rate.packets, b.rate.packets),
                Sort::Loss => b.errors.cmp(&a.errors),
                Sort::Silence => b.in_trouble().cmp(&a.in_trouble()),
                Sort::Name => Ordering::Equal,
            };
            order.then_with(|| a.name.cmp(&b.name))
        });
        self.streams.sort_by(|a, b| {
            let order = match by {
                Sort::Rate => descending(a.rate.packets, b.rate.packets),
                Sort::Loss => descending(a.loss_percent, b.loss_percent),
                Sort::Jitter => b.jitter_ms.total_cmp(&a.jitter_ms),
                Sort::Silence => b.last_seen_ms.cmp(&a.last_seen_ms),
                Sort::Name => Ordering::Equal,
            };
            order.then_with(|| (a.port, a.ssrc).cmp(&(b.port, b.ssrc)))
        });
    }
}

impl ChildRow {
    /// Something is the matter with it.
    pub fn in_trouble(&self) -> bool {
        self.state != view::ChildState::Forwarding || self.stale || self.held
    }
}

/// Both readings saw the same run of the same relay, so that counters go on where they were.
fn same_run(old: &view::Status, now: &view::Status) -> bool {
    old.node_id == now.node_id
        && old.dataplane.interface == now.dataplane.interface
        && old.uptime <= now.uptime
}

/// How much a counter grew; `None` when it was not there, or began anew.
fn grown(old: Option<u64>, now: u64) -> Option<u64> {
    now.checked_sub(old?)
}

fn loss_percent(packets: u64, lost: i64) -> Option<f64> {
    let expected = packets as f64 + lost as f64;
    (expected > 0.0).then(|| (lost as f64 / expected * 100.0).max(0.0))
}

fn descending(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

#[cfg(test)]
mod tests;
