//! Reading the maps: counters, streams, routes, and all that a new daemon needs to take over.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData};
use relay_common::layout::{ALL_CHILDREN, ChildInfo, MAX_SETS, Relay, StreamKey, half};
use relay_common::reason::Reason;
use relay_common::stream::Stream;

use super::maps::open;
use super::{KernelError, Maps, Pins, map};
use crate::fanout::{ChildId, InUse, children_of_mask};

/// What a predecessor left behind.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Its description; `None` when there was no predecessor.
    pub relay: Option<Relay>,
    /// Children by counter index.
    pub children: Vec<(ChildId, ChildInfo)>,
    /// Streams with a set of their own.
    pub routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
}

/// Counters by reason; those at 0 are left out.
pub fn drops(maps: &Maps) -> BTreeMap<String, u64> {
    let counted = |reason: &Reason| {
        let values = maps.drops.get(&(*reason as u32), 0).ok()?;
        Some((reason.name().to_owned(), values.iter().sum::<u64>()))
    };
    Reason::ALL.iter().filter_map(counted).filter(|(_, count)| *count > 0).collect()
}

/// Copies that xdp wanted and the kernel did not make. While media flows this waits until every CPU has ended what it was at
/// (an RCU grace period, some milliseconds): packets are broadcast first, and copied when a CPU's poll ends.
pub fn copies_not_made(maps: &Maps) -> u64 {
    let made = || maps.pending.get(&0, 0).map(|cpus| cpus.iter().map(|cpu| cpu.made).sum::<u64>());
    let wanted = maps.serial.get(&0, 0).map(|cpus| cpus.iter().map(|cpu| cpu.wanted).sum::<u64>());
    let (Ok(wanted), Ok(now)) = (wanted, made()) else { return 0 };
    if now >= wanted || !grace_period() {
        return 0;
    }
    made().map_or(0, |made| wanted.saturating_sub(made))
}

/// The same through handles of its own.
///
/// # Errors
/// Nothing is pinned, or not for us.
pub fn copies_not_made_pinned(pins: &Pins) -> Result<u64, KernelError> {
    Maps::open(pins).map(|maps| copies_not_made(&maps))
}

/// Waits until every CPU has left what was going on in its kernel; false where the kernel cannot do that (nohz_full).
fn grace_period() -> bool {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers; flags and CPU are 0, as this command wants them.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0 }
}

/// The streams and their statistics.
pub fn streams(maps: &Maps) -> Vec<(StreamKey, Stream)> {
    rows(&maps.streams)
}

/// The streams through a handle of their own, for a look that takes its time: thousands of them take milliseconds.
pub fn streams_pinned(pins: &Pins) -> Result<Vec<(StreamKey, Stream)>, KernelError> {
    Ok(rows(&open(pins, "STREAMS")?))
}

/// Are there more streams than so many? Counts no further.
pub fn has_more_streams(pins: &Pins, most: usize) -> Result<bool, KernelError> {
    let map: HashMap<MapData, StreamKey, Stream> = open(pins, "STREAMS")?;
    Ok(map.keys().flatten().nth(most).is_some())
}

/// Only the daemon removes streams, and new ones begin in front of the others in their bucket: as long as it does not,
/// nothing that was there is missed.
fn rows(map: &HashMap<MapData, StreamKey, Stream>) -> Vec<(StreamKey, Stream)> {
    let keys: Vec<StreamKey> = map.keys().flatten().collect();
    let mut streams: Vec<(StreamKey, Stream)> =
        keys.into_iter().filter_map(|key| Some((key, map.get(&key, 0).ok()?))).collect();
    streams.sort_by_key(|(key, _)| *key);
    streams.dedup_by_key(|(key, _)| *key);
    streams
}

/// Streams with a set of their own, and the children meant for it.
pub fn routes(maps: &Maps) -> BTreeMap<StreamKey, BTreeSet<ChildId>> {
    maps.routes
        .iter()
        .flatten()
        .filter_map(|(key, set)| Some((key, children_of_mask(&maps.set_children.get(&set, 0).ok()?))))
        .collect()
}

/// What the maps say is in use, and what there is to take over.
pub(super) fn inherit(maps: &Maps) -> Result<(InUse, Inherited), KernelError> {
    let routes: Vec<(StreamKey, u32)> = maps.routes.iter().flatten().collect();
    let mut sets: BTreeSet<u32> = routes.iter().map(|(_, set)| *set).collect();
    let mut in_use = InUse {
        groups: maps.groups.keys().flatten().collect(),
        peers: maps.peers.keys().flatten().collect(),
        routes: routes.iter().map(|(key, _)| *key).collect(),
        ..InUse::default()
    };
    let mut slots = BTreeSet::new();
    for set in 0..MAX_SETS {
        for v6 in [false, true] {
            let instance = maps.sets.get(&half(set, v6), 0).map_err(map("SETS"))?.instance();
            if instance == 0 {
                continue;
            }
            if set != ALL_CHILDREN {
                // Without a route it is one that the predecessor had not yet cleared.
                sets.insert(set);
            }
            let span = maps.instances.get(&instance, 0).map_err(map("INSTANCES"))?;
            in_use.instances.push((instance, span));
            for position in span.first..span.first + span.count {
                slots.insert(maps.members.get(&position, 0).map_err(map("MEMBERS"))?);
            }
        }
    }
    in_use.sets = sets.into_iter().collect();
    in_use.slots = slots.into_iter().collect();
    let inherited = Inherited {
        relay: Some(maps.relay.get(&0, 0).map_err(map("RELAY"))?),
        children: maps.known_children(),
        routes: self::routes(maps),
    };
    Ok((in_use, inherited))
}
