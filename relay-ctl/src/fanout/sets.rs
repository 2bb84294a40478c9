//! The fan-out sets: which there have to be, what is in each, and in which order packets get to see it.

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{ALL_CHILDREN, GroupKey, SetWord, Span, StreamKey, half};

use super::mask::mask;
use super::{ChildId, Fanout, FanoutError, Half, InUse, MapWrite, Retired, Set, Wanted};

impl Fanout {
    /// Set 0 and one set for each different subset; a subset that has a set keeps it.
    pub(super) fn set_ids_for(
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

    pub(super) fn fill_set(
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
    pub(super) fn write_routes(
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

    pub(super) fn drop_unused_sets(
        &mut self,
        ids: &BTreeMap<Option<BTreeSet<ChildId>>, u32>,
        retired: &mut Retired,
    ) {
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
