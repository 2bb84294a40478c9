//! The maps as ordinary collections, written by [`MapWrite`]s and read as `relay-ebpf` reads them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use relay_common::layout::{
    ALL_CHILDREN, Child, GroupKey, ListenerKey, SetChildren, SetWord, Span, StreamKey, half,
};

use crate::fanout::{ChildId, InUse, MapWrite, children_of_mask};

/// A stream's packets of one IP version: is it IPv6?
pub type Packets = (StreamKey, bool);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maps {
    pub routes: BTreeMap<StreamKey, u32>,
    pub sets: BTreeMap<u32, SetWord>,
    pub set_children: BTreeMap<u32, SetChildren>,
    pub devmaps: BTreeMap<u32, Vec<u32>>,
    pub instances: BTreeMap<u32, Span>,
    pub groups: HashMap<GroupKey, Span>,
    pub members: BTreeMap<u32, u32>,
    pub children: BTreeMap<u32, Child>,
    pub peers: BTreeSet<ListenerKey>,
}

impl Maps {
    pub fn carry_out(&mut self, write: &MapWrite) {
        match write.clone() {
            MapWrite::WriteChild { slot, child } => drop(self.children.insert(slot, child)),
            MapWrite::WriteMembers { first, slots } => self.members.extend((first..).zip(slots)),
            MapWrite::WriteInstance { instance, span } => drop(self.instances.insert(instance, span)),
            MapWrite::WriteGroup { key, span } => drop(self.groups.insert(key, span)),
            MapWrite::WriteDevmap { instance, interfaces } => drop(self.devmaps.insert(instance, interfaces)),
            MapWrite::WriteSetChildren { set, children } => drop(self.set_children.insert(set, children)),
            MapWrite::Flip { half, word } => drop(self.sets.insert(half, word)),
            MapWrite::Route { key, set } => drop(self.routes.insert(key, set)),
            MapWrite::Unroute { key } => drop(self.routes.remove(&key)),
            MapWrite::AddPeer { key } => drop(self.peers.insert(key)),
            MapWrite::RemovePeer { key } => drop(self.peers.remove(&key)),
            MapWrite::RemoveGroup { key } => drop(self.groups.remove(&key)),
        }
    }

    /// `classify`: ROUTES, then SETS. 0: no children.
    pub fn instance_of(&self, packets: &Packets) -> u32 {
        self.word_of(packets).instance()
    }

    /// What a packet finds in SETS.
    pub fn word_of(&self, (stream, v6): &Packets) -> SetWord {
        let set = self.routes.get(stream).copied().unwrap_or(ALL_CHILDREN);
        self.sets.get(&half(set, *v6)).copied().unwrap_or_default()
    }

    /// `relay_tc`: INSTANCES, then a walk over MEMBERS and CHILDREN.
    pub fn by_tc(&self, instance: u32) -> Vec<Child> {
        self.slots(instance).map(|slot| self.children[&slot]).collect()
    }

    /// `relay_xdp` and `relay_copy`: the kernel walks the devmap; each copy moves its interface's cursor on by one.
    pub fn by_xdp(&self, instance: u32) -> Vec<Child> {
        if instance == 0 {
            return Vec::new();
        }
        let mut cursors: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let copy = |ifindex: &u32| {
            let (next, end) = cursors.entry(*ifindex).or_insert_with(|| {
                let group = self.group(instance, *ifindex);
                (group.first, group.first + group.count)
            });
            assert!(next < end, "more copies than children behind {ifindex} in instance {instance}");
            let child = self.children[&self.members[next]];
            assert_eq!(child.ifindex, *ifindex, "a copy leaves by another interface than its child's");
            *next += 1;
            child
        };
        let copies = self.devmaps[&instance].iter().map(copy).collect();
        assert!(cursors.values().all(|(next, end)| next == end), "fewer copies than children in {instance}");
        copies
    }

    /// ROUTES and SET_CHILDREN, as the next daemon reads them: the subset that a stream has been given.
    pub fn meant_for(&self, stream: &StreamKey) -> Option<BTreeSet<ChildId>> {
        self.routes.get(stream).map(|set| children_of_mask(&self.set_children[set]))
    }

    /// An instance's members behind one interface.
    fn group(&self, instance: u32, ifindex: u32) -> Span {
        let all = self.instances[&instance];
        if all.ifindex == ifindex {
            return all;
        }
        let key = GroupKey { instance, ifindex };
        *self.groups.get(&key).unwrap_or_else(|| panic!("a copy meets no group: {key:?}"))
    }

    /// The slots of an instance's members.
    pub fn slots(&self, instance: u32) -> impl Iterator<Item = u32> {
        self.positions(instance).map(|position| self.members[&position])
    }

    /// The positions of an instance's members.
    pub fn positions(&self, instance: u32) -> std::ops::Range<u32> {
        if instance == 0 {
            return 0..0;
        }
        let span = self.instances[&instance];
        span.first..span.first + span.count
    }

    /// What `kernel::inherit` finds.
    pub fn in_use(&self) -> InUse {
        let words = self.sets.iter().map(|(half, word)| (half / 2, word.instance()));
        let filled: Vec<(u32, u32)> = words.filter(|(_, instance)| *instance != 0).collect();
        let slots: BTreeSet<u32> = filled.iter().flat_map(|(_, instance)| self.slots(*instance)).collect();
        let routed = self.routes.values().copied();
        let sets: BTreeSet<u32> =
            routed.chain(filled.iter().map(|(set, _)| *set).filter(|set| *set != ALL_CHILDREN)).collect();
        InUse {
            sets: sets.into_iter().collect(),
            instances: filled.iter().map(|(_, instance)| (*instance, self.instances[instance])).collect(),
            groups: self.groups.keys().copied().collect(),
            slots: slots.into_iter().collect(),
            peers: self.peers.iter().copied().collect(),
            routes: self.routes.keys().copied().collect(),
        }
    }
}
