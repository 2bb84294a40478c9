//! From "these children, these routes" to the map writes that bring it about, without doing any of them.
//!
//! Pure: [`Fanout::change`] takes what is wanted and the time, and gives writes in the order in which they must be
//! carried out. The order is the whole point: everything a packet could reach through a set is written before the one
//! word that makes packets see it, and what packets could see before is left alone for [`GRACE_MS`] after.
//!
//! | file | job |
//! |---|---|
//! | `terms.rs` | what the fan-out is told, and what it answers |
//! | `sets.rs` | the sets: which there have to be, and what is in each |
//! | `stock.rs` | devmaps that are in place beforehand |
//! | `check.rs` | what cannot be |
//! | `alloc.rs`, `mask.rs` | free numbers and positions; children as bits |

mod alloc;
mod check;
mod mask;
mod sets;
mod stock;
mod terms;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relay_common::layout::{
    ALL_CHILDREN, CHILD_SLOTS, Child, GroupKey, ListenerKey, MAX_INSTANCES, MAX_MEMBERS, MAX_SETS, SetWord,
    Span, StreamKey, half,
};

use check::check;
pub use check::check_cursors;
pub use mask::children_of_mask;
pub use terms::{ChildId, FanoutError, InUse, MapWrite, Wanted};

use alloc::{Numbers, Runs};

/// How long something that packets could reach stays untouched after it was taken out of their reach. The kernel is
/// done with a packet within one softirq, milliseconds at most.
pub const GRACE_MS: u64 = 100;

/// Most different subsets that streams can be routed to. With the set of all children that is half of what the maps
/// hold, so that a change which replaces every set finds room once the grace of the last one is over.
pub const MAX_SUBSETS: usize = MAX_SETS as usize / 2 - 1;

#[derive(Clone, Debug, Default)]
struct Retired {
    sets: Vec<u32>,
    instances: Vec<(u32, Span)>,
    groups: Vec<GroupKey>,
    slots: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    /// Meant to have; `None` for the set of all children.
    meant: Option<BTreeSet<ChildId>>,
    /// By IP version: IPv4, IPv6.
    halves: [Half; 2],
}

/// The children of a set that have one IP version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Half {
    /// Child slots, by egress interface and then by child.
    members: Vec<u32>,
    span: Span,
    groups: Vec<GroupKey>,
    word: SetWord,
}

impl Half {
    const EMPTY: Half = Half {
        members: Vec::new(),
        span: Span { first: 0, count: 0, ifindex: 0 },
        groups: Vec::new(),
        word: SetWord::new(0, 0, 0),
    };
}

/// The fan-out sets as they stand in the maps.
#[derive(Clone, Debug)]
pub struct Fanout {
    slots: Numbers,
    instances: Numbers,
    set_ids: Numbers,
    positions: Runs,
    children: BTreeMap<ChildId, (u32, Child)>,
    sets: BTreeMap<u32, Set>,
    routes: BTreeMap<StreamKey, u32>,
    peers: BTreeSet<ListenerKey>,
    /// What a predecessor left, until the first change.
    predecessor: Option<InUse>,
    retired: VecDeque<(u64, Retired)>,
    /// Instances whose devmap is in place already, by its size.
    stock: BTreeMap<u32, Vec<u32>>,
    /// Instances whose devmap is being put in place, and its size.
    ordered: BTreeMap<u32, u32>,
}

impl Fanout {
    /// Empty maps.
    pub fn new() -> Fanout {
        Fanout::resume(InUse::default())
    }

    /// Maps that a predecessor filled. The first [`Fanout::change`] rebuilds everything beside what is there and
    /// switches over set by set.
    pub fn resume(mut in_use: InUse) -> Fanout {
        // Groups that the predecessor had not removed yet keep their instance out of use until they are: removed
        // later, they would be taken from under a set that had got the same number.
        let known: BTreeSet<u32> = in_use.instances.iter().map(|(instance, _)| *instance).collect();
        let left: BTreeSet<u32> = in_use.groups.iter().map(|key| key.instance).collect();
        in_use.instances.extend(
            left.difference(&known).map(|instance| (*instance, Span { first: 0, count: 0, ifindex: 0 })),
        );
        let instances: Vec<u32> = in_use.instances.iter().map(|(instance, _)| *instance).collect();
        let spans: Vec<(u32, u32)> =
            in_use.instances.iter().map(|(_, span)| (span.first, span.count)).collect();
        Fanout {
            slots: Numbers::new(0..CHILD_SLOTS, &in_use.slots),
            // Instance 0 means "empty set" and is never built.
            instances: Numbers::new(1..MAX_INSTANCES, &instances),
            set_ids: Numbers::new(1..MAX_SETS, &in_use.sets),
            positions: Runs::new(MAX_MEMBERS, &spans),
            children: BTreeMap::new(),
            sets: BTreeMap::new(),
            routes: BTreeMap::new(),
            peers: in_use.peers.iter().copied().collect(),
            predecessor: Some(in_use),
            retired: VecDeque::new(),
            stock: BTreeMap::new(),
            ordered: BTreeMap::new(),
        }
    }

    /// Decides what to write so that the maps say what is `wanted`. `now`: milliseconds of any steady clock.
    ///
    /// On an error nothing has changed, and no write is to be carried out.
    pub fn change(&mut self, now: u64, wanted: &Wanted) -> Result<Vec<MapWrite>, FanoutError> {
        check(wanted)?;
        // On a copy: a plan that runs out of room half way leaves no trace.
        let mut next = self.clone();
        let writes = next.plan(now, wanted)?;
        *self = next;
        Ok(writes)
    }

    /// The writes of the last change have been carried out: the grace of what they replaced begins now.
    pub fn carried_out(&mut self, now: u64) {
        if let Some((since, _)) = self.retired.back_mut() {
            *since = now;
        }
    }

    /// The slot that a child's headers are in, if it has any.
    pub fn slot_of(&self, child: ChildId) -> Option<u32> {
        self.children.get(&child).map(|(slot, _)| *slot)
    }

    fn plan(&mut self, now: u64, wanted: &Wanted) -> Result<Vec<MapWrite>, FanoutError> {
        let mut writes = self.reclaim(now);
        let mut retired = Retired::default();
        let first = self.predecessor.take();

        let peers = Self::peers_of(wanted);
        writes.extend(peers.difference(&self.peers).map(|key| MapWrite::AddPeer { key: *key }));
        self.place_children(wanted, &mut writes, &mut retired)?;
        let ids = self.set_ids_for(wanted)?;
        // A stream goes over in one word, so the order is: the sets that streams come to, those streams, the set of all
        // children after they have left it, and the streams that come back to it.
        for (meant, set) in ids.iter().filter(|(_, set)| **set != ALL_CHILDREN) {
            self.fill_set(*set, meant.clone(), wanted, &mut writes, &mut retired)?;
        }
        let unroutes = self.write_routes(wanted, &ids, first.as_ref(), &mut writes);
        self.fill_set(ALL_CHILDREN, None, wanted, &mut writes, &mut retired)?;
        writes.extend(unroutes);
        self.drop_unused_sets(&ids, &mut retired);
        writes.extend(self.peers.difference(&peers).map(|key| MapWrite::RemovePeer { key: *key }));
        self.peers = peers;

        if let Some(left) = first {
            retired.sets.extend(left.sets);
            retired.instances.extend(left.instances);
            retired.groups.extend(left.groups);
            retired.slots.extend(left.slots);
        }
        self.retired.push_back((now, retired));
        Ok(writes)
    }

    fn reclaim(&mut self, now: u64) -> Vec<MapWrite> {
        let mut writes = Vec::new();
        while self.retired.front().is_some_and(|(since, _)| now.saturating_sub(*since) >= GRACE_MS) {
            let Some((_, retired)) = self.retired.pop_front() else { break };
            writes.extend(retired.groups.into_iter().map(|key| MapWrite::RemoveGroup { key }));
            retired.slots.into_iter().for_each(|slot| self.slots.give(slot));
            for set in retired.sets {
                // Or the next daemon would think that its instances are in use, which may be another set's by then.
                for v6 in [false, true] {
                    writes.push(MapWrite::Flip { half: half(set, v6), word: Half::EMPTY.word });
                }
                self.set_ids.give(set);
            }
            for (instance, span) in retired.instances {
                self.instances.give(instance);
                if span.count > 0 {
                    self.positions.give(span.first);
                }
            }
        }
        writes
    }

    fn place_children(
        &mut self,
        wanted: &Wanted,
        writes: &mut Vec<MapWrite>,
        retired: &mut Retired,
    ) -> Result<(), FanoutError> {
        for (id, child) in &wanted.children {
            if self.children.get(id).is_some_and(|(_, placed)| placed == child) {
                continue;
            }
            // A changed child gets a new slot: the old one may be under a packet's eyes.
            let slot = self.slots.take().ok_or(FanoutError::Busy)?;
            writes.push(MapWrite::WriteChild { slot, child: *child });
            if let Some((old, _)) = self.children.insert(*id, (slot, *child)) {
                retired.slots.push(old);
            }
        }
        let gone: Vec<ChildId> =
            self.children.keys().filter(|id| !wanted.children.contains_key(id)).copied().collect();
        for id in gone {
            if let Some((slot, _)) = self.children.remove(&id) {
                retired.slots.push(slot);
            }
        }
        Ok(())
    }

    /// Tells the data plane which addresses children have: before a new one gets its first copy, after a former one got its
    /// last.
    fn peers_of(wanted: &Wanted) -> BTreeSet<ListenerKey> {
        let address = |child: &Child| ListenerKey { address: child.destination, port: 0, reserved: [0; 2] };
        wanted.children.values().map(address).collect()
    }
}

impl Default for Fanout {
    fn default() -> Self {
        Fanout::new()
    }
}

#[cfg(test)]
mod tests;
