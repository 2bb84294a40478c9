//! From "these children, these routes" to the map writes that bring it about, without doing any of them.
//!
//! Pure: [`Fanout::change`] takes what is wanted and the time, and gives writes in the order in which they must be
//! carried out. The order is the whole point: everything a packet could reach through a set is written before the one
//! word that makes packets see it, and what packets could see before is left alone for [`GRACE_MS`] after.

mod alloc;
mod terms;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relay_common::layout::{
    ALL_CHILDREN, CHILD_SLOTS, Child, GroupKey, ListenerKey, MAX_CHILDREN, MAX_INSTANCES, MAX_MEMBERS,
    MAX_ROUTES, MAX_SETS, SetChildren, SetWord, Span, StreamKey, half,
};

pub use terms::{ChildId, FanoutError, InUse, MapWrite, Wanted};

use alloc::{Numbers, Runs};

/// How long something that packets could reach stays untouched after it was taken out of their reach. The kernel is
/// done with a packet within one softirq, milliseconds at most.
pub const GRACE_MS: u64 = 100;

/// Devmaps of each likely size that are kept ready: so many changes in a row need not wait.
const STOCK: usize = 3;

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

    /// A size of devmap that one of the next changes is likely to want and of which there are not enough in stock, with
    /// an instance to put it in.
    ///
    /// Putting a devmap into `FANOUT` waits until every CPU has been through the scheduler, some 10 ms; done beforehand,
    /// a change does not wait.
    pub fn stock_order(&mut self) -> Option<(u32, u32)> {
        let sizes = self
            .sets
            .get(&ALL_CHILDREN)
            .map_or([0; 2], |set| [0, 1].map(|version| set.halves[version].members.len() as u32));
        // Children mostly have one IP version.
        let larger = sizes[0].max(sizes[1]);
        let smaller = sizes[0].min(sizes[1]);
        let also = if smaller > 0 { [smaller + 1, smaller - 1] } else { [0; 2] };
        let likely = [larger + 1, larger.saturating_sub(1), larger, also[0], also[1]];
        let size = (1..=STOCK).find_map(|enough| {
            let lacks = |size: &u32| (1..=MAX_CHILDREN).contains(size) && self.stock_of(*size) < enough;
            likely.into_iter().find(lacks)
        })?;
        // Not the last ones: changes come first.
        (self.instances.available() > MAX_INSTANCES as usize / 4).then_some(())?;
        let instance = self.instances.take()?;
        self.ordered.insert(instance, size);
        Some((size, instance))
    }

    /// Devmaps of a size that are in stock or on order.
    fn stock_of(&self, size: u32) -> usize {
        let ordered = self.ordered.values().filter(|ordered| **ordered == size).count();
        ordered + self.stock.get(&size).map_or(0, Vec::len)
    }

    /// The devmap of a [`Fanout::stock_order`] is in place.
    pub fn stocked(&mut self, size: u32, instance: u32) {
        self.ordered.remove(&instance);
        self.stock.entry(size).or_default().push(instance);
    }

    /// The devmap of a [`Fanout::stock_order`] could not be made.
    pub fn not_stocked(&mut self, instance: u32) {
        self.ordered.remove(&instance);
        self.instances.give(instance);
    }

    /// Keeps an instance out of use whose devmap is still on order from before [`Fanout::resume`].
    pub fn on_order(&mut self, instance: u32) {
        self.instances.take_this(instance);
    }

    fn take_instance(&mut self, size: u32) -> Option<u32> {
        if let Some(ready) = self.stock.get_mut(&size) {
            let instance = ready.pop();
            if ready.is_empty() {
                self.stock.remove(&size);
            }
            if instance.is_some() {
                return instance;
            }
        }
        self.instances.take()
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

    /// Set 0 and one set for each different subset; a subset that has a set keeps it.
    fn set_ids_for(
        &mut self,
        wanted: &Wanted,
    ) -> Result<BTreeMap<Option<BTreeSet<ChildId>>, u32>, FanoutError> {
        let mut ids: BTreeMap<Option<BTreeSet<ChildId>>, u32> = BTreeMap::from([(None, ALL_CHILDREN)]);
        let left = self.sets_left(wanted);
        for subset in wanted.routes.values() {
            let meant = Some(subset.clone());
            if ids.contains_key(&meant) {
                continue;
            }
            let known = self.sets.iter().find(|(_, set)| set.meant == meant).map(|(id, _)| *id);
            // A set that some streams leave must not change before they have: the others get it under a new id.
            let same = |set: &Set| {
                VERSIONS
                    .into_iter()
                    .zip(&set.halves)
                    .all(|(v6, half)| half.members == self.slots_of(&sorted(meant.as_ref(), v6, wanted)))
            };
            let in_place = known.filter(|id| !left.contains(id) || self.sets.get(id).is_some_and(same));
            let id = match in_place {
                Some(id) => id,
                None => self.set_ids.take().ok_or(FanoutError::Busy)?,
            };
            ids.insert(meant, id);
        }
        Ok(ids)
    }

    /// Sets that at least one stream is about to leave.
    fn sets_left(&self, wanted: &Wanted) -> BTreeSet<u32> {
        let meant = |set: &u32| self.sets.get(set).and_then(|set| set.meant.as_ref());
        self.routes
            .iter()
            .filter(|(key, set)| wanted.routes.get(key) != meant(set))
            .map(|(_, set)| *set)
            .collect()
    }

    /// The slots of children that are sorted as a devmap has them.
    fn slots_of(&self, sorted: &[(u32, ChildId)]) -> Vec<u32> {
        sorted.iter().filter_map(|(_, child)| self.slot_of(*child)).collect()
    }

    fn fill_set(
        &mut self,
        id: u32,
        meant: Option<BTreeSet<ChildId>>,
        wanted: &Wanted,
        writes: &mut Vec<MapWrite>,
        retired: &mut Retired,
    ) -> Result<(), FanoutError> {
        let sorted = VERSIONS.map(|v6| sorted(meant.as_ref(), v6, wanted));
        let known = self.sets.get(&id).cloned();
        let is_new = known.is_none();
        let mut set = known.unwrap_or_else(|| Set { meant: meant.clone(), halves: [Half::EMPTY; 2] });
        for (version, v6) in VERSIONS.into_iter().enumerate() {
            let children = &sorted[version];
            let others = sorted[1 - version].len() as u16;
            let before = set.halves[version].clone();
            let members = self.slots_of(children);
            let mut next = before.clone();
            if before.members != members {
                next = self.build(children, members, writes)?;
                if before.word.instance() != 0 {
                    retired.instances.push((before.word.instance(), before.span));
                    retired.groups.extend(before.groups);
                }
            }
            let mtu =
                children.iter().filter_map(|(_, child)| wanted.children.get(child)).map(|child| child.mtu);
            next.word = SetWord::new(next.word.instance(), mtu.min().unwrap_or(0), others);
            if is_new
                && let Some(meant) = &meant
                && version == 0
            {
                writes.push(MapWrite::WriteSetChildren { set: id, children: mask(meant) });
            }
            if is_new || next.word != before.word {
                writes.push(MapWrite::Flip { half: half(id, v6), word: next.word });
            }
            set.halves[version] = next;
        }
        self.sets.insert(id, set);
        Ok(())
    }

    /// An instance for these children, beside what is there.
    fn build(
        &mut self,
        children: &[(u32, ChildId)],
        members: Vec<u32>,
        writes: &mut Vec<MapWrite>,
    ) -> Result<Half, FanoutError> {
        if members.is_empty() {
            return Ok(Half::EMPTY);
        }
        let count = members.len() as u32;
        let instance = self.take_instance(count).ok_or(FanoutError::Busy)?;
        let first = self.positions.take(count).ok_or(FanoutError::Busy)?;
        let only = children.first().filter(|first| children.iter().all(|(ifindex, _)| *ifindex == first.0));
        let span = Span { first, count, ifindex: only.map_or(0, |(ifindex, _)| *ifindex) };
        writes.push(MapWrite::WriteMembers { first, slots: members.clone() });
        writes.push(MapWrite::WriteInstance { instance, span });
        let mut keys = Vec::new();
        for (ifindex, span) in groups(children, first) {
            let key = GroupKey { instance, ifindex };
            keys.push(key);
            writes.push(MapWrite::WriteGroup { key, span });
        }
        let interfaces = children.iter().map(|(ifindex, _)| *ifindex).collect();
        writes.push(MapWrite::WriteDevmap { instance, interfaces });
        Ok(Half { members, span, groups: keys, word: SetWord::new(instance, 0, 0) })
    }

    /// Sends streams to their sets, and gives the writes that send others back to the set of all children.
    fn write_routes(
        &mut self,
        wanted: &Wanted,
        ids: &BTreeMap<Option<BTreeSet<ChildId>>, u32>,
        predecessor: Option<&InUse>,
        writes: &mut Vec<MapWrite>,
    ) -> Vec<MapWrite> {
        let mut routes = BTreeMap::new();
        for (key, subset) in &wanted.routes {
            let set = ids[&Some(subset.clone())];
            if self.routes.get(key) != Some(&set) {
                writes.push(MapWrite::Route { key: *key, set });
            }
            routes.insert(*key, set);
        }
        let known = self.routes.keys().chain(predecessor.iter().flat_map(|left| left.routes.iter()));
        let gone: BTreeSet<StreamKey> = known.filter(|key| !routes.contains_key(key)).copied().collect();
        self.routes = routes;
        gone.into_iter().map(|key| MapWrite::Unroute { key }).collect()
    }

    fn drop_unused_sets(&mut self, ids: &BTreeMap<Option<BTreeSet<ChildId>>, u32>, retired: &mut Retired) {
        let used: BTreeSet<u32> = ids.values().copied().collect();
        let unused: Vec<u32> = self.sets.keys().filter(|id| !used.contains(id)).copied().collect();
        for id in unused {
            if let Some(set) = self.sets.remove(&id) {
                retired.sets.push(id);
                for half in set.halves {
                    if half.word.instance() != 0 {
                        retired.instances.push((half.word.instance(), half.span));
                    }
                    retired.groups.extend(half.groups);
                }
            }
        }
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

/// The children that a bit mask of `SET_CHILDREN` names.
pub fn children_of_mask(mask: &SetChildren) -> BTreeSet<ChildId> {
    (0..MAX_CHILDREN).filter(|id| mask[(id / 64) as usize] >> (id % 64) & 1 == 1).collect()
}

fn mask(children: &BTreeSet<ChildId>) -> SetChildren {
    let mut mask = SetChildren::default();
    for id in children {
        mask[(id / 64) as usize] |= 1 << (id % 64);
    }
    mask
}

fn check(wanted: &Wanted) -> Result<(), FanoutError> {
    if wanted.children.len() > MAX_CHILDREN as usize {
        return Err(FanoutError::TooManyChildren);
    }
    if wanted.routes.len() > MAX_ROUTES as usize {
        return Err(FanoutError::TooManyRoutes);
    }
    if wanted.routes.values().collect::<BTreeSet<_>>().len() > MAX_SUBSETS {
        return Err(FanoutError::TooManySets);
    }
    Ok(())
}

/// Refuses egress interfaces whose cursors would be one (xdp only).
pub fn check_cursors(interfaces: impl IntoIterator<Item = u32>) -> Result<(), FanoutError> {
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    for ifindex in interfaces {
        match seen.insert(ifindex % relay_common::layout::CURSORS, ifindex) {
            Some(other) if other != ifindex => return Err(FanoutError::CursorClash(other, ifindex)),
            _ => {}
        }
    }
    Ok(())
}

/// The IP versions, as sets are halved: is it IPv6?
const VERSIONS: [bool; 2] = [false, true];

/// A set's children of one IP version, by interface first: the devmap program counts the children of each interface in
/// devmap order.
fn sorted(meant: Option<&BTreeSet<ChildId>>, v6: bool, wanted: &Wanted) -> Vec<(u32, ChildId)> {
    let mut sorted: Vec<(u32, ChildId)> = wanted
        .children
        .iter()
        .filter(|(child, _)| meant.is_none_or(|meant| meant.contains(child)))
        .filter(|(_, headers)| (headers.ethertype == [0x86, 0xdd]) == v6)
        .map(|(child, headers)| (headers.ifindex, *child))
        .collect();
    sorted.sort_unstable();
    sorted
}

/// Runs of equal interfaces, as spans of positions.
fn groups(sorted: &[(u32, ChildId)], first: u32) -> Vec<(u32, Span)> {
    let mut spans: Vec<(u32, Span)> = Vec::new();
    for (at, (ifindex, _)) in sorted.iter().enumerate() {
        match spans.last_mut() {
            Some((last, span)) if last == ifindex => span.count += 1,
            _ => spans.push((*ifindex, Span { first: first + at as u32, count: 1, ifindex: *ifindex })),
        }
    }
    spans
}

#[cfg(test)]
mod tests;
