//! From "these children, these routes" to the map writes that bring it about, without doing any of them.
//!
//! Pure: [`Fanout::change`] takes what is wanted and the time, and gives commands in the order in which they must be
//! carried out. The order is the whole point: everything a packet could reach through a set is written before the one
//! word that makes packets see it, and what packets could see before is left alone for [`GRACE_MS`] after.

mod alloc;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relay_common::layout::{
    ALL_CHILDREN, CHILD_SLOTS, Child, GroupKey, ListenerKey, MAX_CHILDREN, MAX_INSTANCES, MAX_MEMBERS,
    MAX_ROUTES, MAX_SETS, SetChildren, Span, StreamKey,
};

use alloc::{Numbers, Runs};

/// How long something that packets could reach stays untouched after it was taken out of their reach. The kernel is
/// done with a packet within one softirq, milliseconds at most.
pub const GRACE_MS: u64 = 100;

/// A child's number: its index in `CHILD_INFO` and `CHILD_STATS`.
pub type ChildId = u32;

/// What there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Children that can be sent to, with their headers.
    pub children: BTreeMap<ChildId, Child>,
    /// Streams with a fan-out set of their own. The children named need not be in `children` yet.
    pub routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
}

/// One map write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `CHILDREN[slot] = child`.
    WriteChild { slot: u32, child: Child },
    /// `MEMBERS[first..] = slots`.
    WriteMembers { first: u32, slots: Vec<u32> },
    /// `INSTANCES[instance] = span`.
    WriteInstance { instance: u32, span: Span },
    /// `GROUPS[key] = span`.
    WriteGroup { key: GroupKey, span: Span },
    /// `FANOUT[instance]` = a devmap of exactly these interfaces, in this order.
    WriteDevmap { instance: u32, interfaces: Vec<u32> },
    /// `SET_CHILDREN[set] = children`.
    WriteSetChildren { set: u32, children: SetChildren },
    /// `SETS[set] = instance`: from now on packets see the new members. 0 is the empty set.
    Flip { set: u32, instance: u32 },
    /// `ROUTES[key] = set`.
    Route { key: StreamKey, set: u32 },
    /// Remove `ROUTES[key]`: back to the set of all children.
    Unroute { key: StreamKey },
    /// `PEERS[key] = 1`.
    AddPeer { key: ListenerKey },
    /// Remove `PEERS[key]`.
    RemovePeer { key: ListenerKey },
    /// Remove `GROUPS[key]`.
    RemoveGroup { key: GroupKey },
}

/// What a data plane already uses when a new daemon takes it over; none of it is touched until the first change has
/// put everything on fresh ground.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    /// Set ids other than 0, from `ROUTES`.
    pub sets: Vec<u32>,
    /// Instances in `SETS`, with their spans.
    pub instances: Vec<(u32, Span)>,
    /// Keys in `GROUPS`.
    pub groups: Vec<GroupKey>,
    /// Child slots behind those spans.
    pub slots: Vec<u32>,
    /// Keys in `PEERS`.
    pub peers: Vec<ListenerKey>,
    /// Keys in `ROUTES`.
    pub routes: Vec<StreamKey>,
}

/// Why a change cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FanoutError {
    /// More children than the relay has room for.
    #[error("a relay has at most {MAX_CHILDREN} children")]
    TooManyChildren,
    /// More routes than the map has room for.
    #[error("at most {MAX_ROUTES} streams can have a fan-out set of their own")]
    TooManyRoutes,
    /// Two egress interfaces would share one cursor.
    #[error(
        "egress interfaces {0} and {1} cannot be used together by xdp (their indexes agree modulo 1024); use --mode tc"
    )]
    CursorClash(u32, u32),
    /// What earlier changes used is still within its grace; the same change works a moment later.
    #[error("too many changes within {GRACE_MS} ms; try again")]
    Busy,
}

#[derive(Debug, Default)]
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
    /// Child slots, by egress interface and then by child.
    members: Vec<u32>,
    instance: u32,
    span: Span,
    groups: Vec<GroupKey>,
}

/// The fan-out sets as they stand in the maps.
#[derive(Debug)]
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
}

impl Fanout {
    /// Empty maps.
    pub fn new() -> Fanout {
        Fanout::resume(InUse::default())
    }

    /// Maps that a predecessor filled. The first [`Fanout::change`] rebuilds everything beside what is there and
    /// switches over set by set.
    pub fn resume(in_use: InUse) -> Fanout {
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
        }
    }

    /// Decides what to write so that the maps say what is `wanted`. `now`: milliseconds of any steady clock.
    ///
    /// On an error nothing has changed, and no command is to be carried out.
    pub fn change(&mut self, now: u64, wanted: &Wanted) -> Result<Vec<Command>, FanoutError> {
        check(wanted)?;
        let mut commands = self.reclaim(now);
        self.check_room(wanted).inspect_err(|_| {
            // Reclaimed groups are gone from the books; their removal must not get lost with the error.
            self.retired.push_front((0, Retired { groups: groups_of(&commands), ..Retired::default() }));
        })?;
        let mut retired = Retired::default();
        let first = self.predecessor.take();

        self.place_children(wanted, &mut commands, &mut retired)?;
        let ids = self.set_ids_for(wanted)?;
        for (meant, set) in &ids {
            self.fill_set(*set, meant.clone(), wanted, &mut commands, &mut retired)?;
        }
        self.write_routes(wanted, &ids, first.as_ref(), &mut commands);
        self.drop_unused_sets(&ids, &mut retired);
        self.write_peers(wanted, &mut commands);

        if let Some(left) = first {
            retired.sets.extend(left.sets);
            retired.instances.extend(left.instances);
            retired.groups.extend(left.groups);
            retired.slots.extend(left.slots);
        }
        self.retired.push_back((now, retired));
        Ok(commands)
    }

    /// The commands of the last change have been carried out: its grace begins now.
    pub fn carried_out(&mut self, _now: u64) {}

    /// The slot that a child's headers are in, if it has any.
    pub fn slot_of(&self, child: ChildId) -> Option<u32> {
        self.children.get(&child).map(|(slot, _)| *slot)
    }

    fn reclaim(&mut self, now: u64) -> Vec<Command> {
        let mut commands = Vec::new();
        while self.retired.front().is_some_and(|(since, _)| now.saturating_sub(*since) >= GRACE_MS) {
            let Some((_, retired)) = self.retired.pop_front() else { break };
            commands.extend(retired.groups.into_iter().map(|key| Command::RemoveGroup { key }));
            retired.slots.into_iter().for_each(|slot| self.slots.give(slot));
            retired.sets.into_iter().for_each(|set| self.set_ids.give(set));
            for (instance, span) in retired.instances {
                self.instances.give(instance);
                if span.count > 0 {
                    self.positions.give(span.first);
                }
            }
        }
        commands
    }

    /// Refuses early what could run out half way.
    fn check_room(&self, wanted: &Wanted) -> Result<(), FanoutError> {
        let changed = wanted
            .children
            .iter()
            .filter(|(id, child)| self.children.get(id).is_none_or(|(_, placed)| placed != *child));
        let subsets: BTreeSet<&BTreeSet<ChildId>> = wanted.routes.values().collect();
        let known =
            self.sets.values().filter(|set| set.meant.as_ref().is_some_and(|meant| subsets.contains(meant)));
        let new_sets = subsets.len() - known.count();
        if changed.count() > self.slots.available()
            || new_sets > self.set_ids.available()
            || subsets.len() + 1 > self.instances.available()
        {
            return Err(FanoutError::Busy);
        }
        Ok(())
    }

    fn place_children(
        &mut self,
        wanted: &Wanted,
        commands: &mut Vec<Command>,
        retired: &mut Retired,
    ) -> Result<(), FanoutError> {
        for (id, child) in &wanted.children {
            if self.children.get(id).is_some_and(|(_, placed)| placed == child) {
                continue;
            }
            // A changed child gets a new slot: the old one may be under a packet's eyes.
            let slot = self.slots.take().ok_or(FanoutError::Busy)?;
            commands.push(Command::WriteChild { slot, child: *child });
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
        for subset in wanted.routes.values() {
            let meant = Some(subset.clone());
            if ids.contains_key(&meant) {
                continue;
            }
            let known = self.sets.iter().find(|(_, set)| set.meant == meant).map(|(id, _)| *id);
            let id = match known {
                Some(id) => id,
                None => self.set_ids.take().ok_or(FanoutError::Busy)?,
            };
            ids.insert(meant, id);
        }
        Ok(ids)
    }

    fn fill_set(
        &mut self,
        id: u32,
        meant: Option<BTreeSet<ChildId>>,
        wanted: &Wanted,
        commands: &mut Vec<Command>,
        retired: &mut Retired,
    ) -> Result<(), FanoutError> {
        // By interface first: the devmap program counts the children of each interface in devmap order.
        let mut sorted: Vec<(u32, ChildId)> = wanted
            .children
            .iter()
            .filter(|(child, _)| meant.as_ref().is_none_or(|meant| meant.contains(child)))
            .map(|(child, headers)| (headers.ifindex, *child))
            .collect();
        sorted.sort_unstable();
        let members: Vec<u32> = sorted.iter().filter_map(|(_, child)| self.slot_of(*child)).collect();
        if self.sets.get(&id).is_some_and(|set| set.members == members) {
            return Ok(());
        }
        let mut set = Set {
            meant: meant.clone(),
            members: members.clone(),
            instance: 0,
            span: Span { first: 0, count: 0 },
            groups: Vec::new(),
        };
        if !members.is_empty() {
            let instance = self.instances.take().ok_or(FanoutError::Busy)?;
            let count = members.len() as u32;
            let first = self.positions.take(count).ok_or(FanoutError::Busy)?;
            set.instance = instance;
            set.span = Span { first, count };
            commands.push(Command::WriteMembers { first, slots: members });
            commands.push(Command::WriteInstance { instance, span: set.span });
            for (ifindex, span) in groups(&sorted, first) {
                let key = GroupKey { instance, ifindex };
                set.groups.push(key);
                commands.push(Command::WriteGroup { key, span });
            }
            let interfaces = sorted.iter().map(|(ifindex, _)| *ifindex).collect();
            commands.push(Command::WriteDevmap { instance, interfaces });
        }
        if let Some(meant) = &meant
            && !self.sets.contains_key(&id)
        {
            commands.push(Command::WriteSetChildren { set: id, children: mask(meant) });
        }
        commands.push(Command::Flip { set: id, instance: set.instance });
        if let Some(old) = self.sets.insert(id, set)
            && old.instance != 0
        {
            retired.instances.push((old.instance, old.span));
            retired.groups.extend(old.groups);
        }
        Ok(())
    }

    fn write_routes(
        &mut self,
        wanted: &Wanted,
        ids: &BTreeMap<Option<BTreeSet<ChildId>>, u32>,
        predecessor: Option<&InUse>,
        commands: &mut Vec<Command>,
    ) {
        let mut routes = BTreeMap::new();
        for (key, subset) in &wanted.routes {
            let set = ids[&Some(subset.clone())];
            if self.routes.get(key) != Some(&set) {
                commands.push(Command::Route { key: *key, set });
            }
            routes.insert(*key, set);
        }
        let known = self.routes.keys().chain(predecessor.iter().flat_map(|left| left.routes.iter()));
        let gone: BTreeSet<StreamKey> = known.filter(|key| !routes.contains_key(key)).copied().collect();
        commands.extend(gone.into_iter().map(|key| Command::Unroute { key }));
        self.routes = routes;
    }

    fn drop_unused_sets(&mut self, ids: &BTreeMap<Option<BTreeSet<ChildId>>, u32>, retired: &mut Retired) {
        let used: BTreeSet<u32> = ids.values().copied().collect();
        let unused: Vec<u32> = self.sets.keys().filter(|id| !used.contains(id)).copied().collect();
        for id in unused {
            if let Some(set) = self.sets.remove(&id) {
                retired.sets.push(id);
                if set.instance != 0 {
                    retired.instances.push((set.instance, set.span));
                }
                retired.groups.extend(set.groups);
            }
        }
    }

    fn write_peers(&mut self, wanted: &Wanted, commands: &mut Vec<Command>) {
        let mut peers = BTreeSet::new();
        for child in wanted.children.values() {
            for port in child.ports {
                for port in [port, port.saturating_add(1)] {
                    peers.insert(ListenerKey { address: child.destination, port, reserved: [0; 2] });
                }
            }
        }
        commands.extend(peers.difference(&self.peers).map(|key| Command::AddPeer { key: *key }));
        commands.extend(self.peers.difference(&peers).map(|key| Command::RemovePeer { key: *key }));
        self.peers = peers;
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

fn groups_of(commands: &[Command]) -> Vec<GroupKey> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::RemoveGroup { key } => Some(*key),
            _ => None,
        })
        .collect()
}

/// Runs of equal interfaces, as spans of positions.
fn groups(sorted: &[(u32, ChildId)], first: u32) -> Vec<(u32, Span)> {
    let mut spans: Vec<(u32, Span)> = Vec::new();
    for (at, (ifindex, _)) in sorted.iter().enumerate() {
        match spans.last_mut() {
            Some((last, span)) if last == ifindex => span.count += 1,
            _ => spans.push((*ifindex, Span { first: first + at as u32, count: 1 })),
        }
    }
    spans
}

#[cfg(test)]
mod tests;
