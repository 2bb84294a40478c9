//! A daemon, the maps, the clock, and packets that pass at every moment.

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{Child, ListenerKey, MAX_INSTANCES, StreamKey};

use super::maps::{Maps, Packets};
use crate::fanout::{Fanout, FanoutError, GRACE_MS, MapWrite, Wanted};

pub struct World {
    pub fanout: Fanout,
    pub maps: Maps,
    pub now: u64,
    /// How long each map write takes.
    pub write_ms: u64,
    /// Packets pass after every write, or only after those that are meant to be seen.
    pub thorough: bool,
    /// Instances that are left to use, so that numbers come round soon.
    pub instances: usize,
    /// Empty devmaps put in place beforehand: instance and size.
    stock: BTreeMap<u32, usize>,
    /// Streams whose packets are watched.
    streams: Vec<Packets>,
    /// Instances that packets may be holding: what they reach through each, and when one could last pick it up.
    flights: BTreeMap<u32, (Vec<Child>, u64)>,
}

impl World {
    pub fn new(streams: Vec<StreamKey>) -> World {
        World {
            fanout: Fanout::new(),
            maps: Maps::default(),
            now: 1_000,
            write_ms: 0,
            thorough: true,
            instances: MAX_INSTANCES as usize - 1,
            stock: BTreeMap::new(),
            streams: streams.into_iter().flat_map(|stream| [(stream, false), (stream, true)]).collect(),
            flights: BTreeMap::new(),
        }
    }

    /// Leaves only so many instances to use.
    pub fn limit_instances(&mut self, limit: usize) {
        self.instances = limit;
        for _ in limit..MAX_INSTANCES as usize - 1 {
            self.fanout.instances.take();
        }
    }

    /// Plans a change; an error must leave no trace.
    pub fn plan(&mut self, wanted: &Wanted) -> Result<Vec<MapWrite>, FanoutError> {
        let before = self.fanout.clone();
        self.fanout.change(self.now, wanted).inspect_err(|error| {
            assert_eq!(format!("{:?}", self.fanout), format!("{before:?}"), "{error} changed the books");
        })
    }

    /// Plans a change and carries it out.
    pub fn change(&mut self, wanted: &Wanted) -> Result<(), FanoutError> {
        let writes = self.plan(wanted)?;
        self.carry_out(&writes, wanted);
        self.fanout.carried_out(self.now);
        for packets in &self.streams {
            let stream = &packets.0;
            assert_eq!(self.reached(packets), reach(wanted, packets), "after the change, {packets:?}");
            assert_eq!(self.maps.meant_for(stream).as_ref(), wanted.routes.get(stream), "{stream:?}");
            let others = reach(wanted, &(*stream, !packets.1)).len();
            assert_eq!(usize::from(self.maps.word_of(packets).others()), others, "{packets:?}");
        }
        assert_eq!(self.maps.peers, peers(wanted));
        Ok(())
    }

    /// [`World::change`] as the daemon does it: what is refused as too fast is tried again after the grace.
    pub fn change_patiently(&mut self, wanted: &Wanted) {
        if self.change(wanted) == Err(FanoutError::Busy) {
            self.now += GRACE_MS;
            self.change(wanted).expect("a change that was too fast works a moment later");
        }
    }

    /// Carries out writes with packets before, between and after them.
    pub fn carry_out(&mut self, writes: &[MapWrite], wanted: &Wanted) {
        let before: Vec<Vec<Child>> = self.streams.iter().map(|stream| self.reached(stream)).collect();
        let mut switched = vec![false; self.streams.len()];
        for write in writes {
            self.take_off();
            self.assert_free(write);
            if let MapWrite::WriteDevmap { instance, interfaces } = write
                && let Some(size) = self.stock.remove(instance)
            {
                assert_eq!(interfaces.len(), size, "a devmap cannot change its size");
            }
            self.maps.carry_out(write);
            self.now += self.write_ms;
            if !self.thorough && !is_meant_to_be_seen(write) {
                continue;
            }
            for (at, stream) in self.streams.iter().enumerate() {
                let (old, new, got) = (&before[at], reach(wanted, stream), self.reached(stream));
                if got != new {
                    assert!(got == *old && !switched[at], "{stream:?} reaches {got:?} after {write:?}");
                } else if got != *old {
                    switched[at] = true;
                }
            }
            self.assert_flights_whole(write);
        }
        self.take_off();
    }

    /// A devmap is made before it is needed.
    pub fn fill_stock(&mut self) {
        if let Some((size, instance)) = self.fanout.stock_order() {
            assert!(self.in_flight().all(|(held, _)| held != instance), "{instance} is in a packet's hands");
            self.maps.devmaps.insert(instance, Vec::new());
            self.stock.insert(instance, size as usize);
            self.fanout.stocked(size, instance);
        }
    }

    /// A new daemon takes over. Loading the programs alone takes longer than a packet is on its way.
    pub fn restart(&mut self) {
        self.now += GRACE_MS;
        self.stock.clear();
        self.fanout = Fanout::resume(self.maps.in_use());
        self.limit_instances(self.instances);
    }

    /// What a packet of the stream reaches that comes in now, by tc and by xdp alike.
    pub fn reached(&self, stream: &Packets) -> Vec<Child> {
        let instance = self.maps.instance_of(stream);
        let copies = self.maps.by_tc(instance);
        assert_eq!(self.maps.by_xdp(instance), copies, "xdp and tc differ");
        copies
    }

    /// A packet of each stream looks its instance up, and goes on later.
    fn take_off(&mut self) {
        for stream in &self.streams {
            let instance = self.maps.instance_of(stream);
            self.flights.insert(instance, (self.maps.by_tc(instance), self.now));
        }
    }

    /// The kernel is done with a packet long before the grace is over.
    fn in_flight(&self) -> impl Iterator<Item = (u32, &Vec<Child>)> {
        let recent = |(_, since): &&(Vec<Child>, u64)| self.now - since < GRACE_MS;
        self.flights.iter().filter(move |(_, flight)| recent(flight)).map(|(at, (copies, _))| (*at, copies))
    }

    fn assert_flights_whole(&self, write: &MapWrite) {
        for (instance, copies) in self.in_flight() {
            assert_eq!(&self.maps.by_tc(instance), copies, "in flight through {instance}, {write:?}");
            assert_eq!(&self.maps.by_xdp(instance), copies, "in flight through {instance}, {write:?}");
        }
    }

    /// Nothing that a packet can be reading is written.
    fn assert_free(&self, write: &MapWrite) {
        let held: BTreeSet<u32> = self.in_flight().map(|(instance, _)| instance).collect();
        let in_the_way = match write {
            MapWrite::WriteChild { slot, .. } => {
                held.iter().any(|instance| self.maps.slots(*instance).any(|used| used == *slot))
            }
            MapWrite::WriteMembers { first, slots } => {
                let written = *first..*first + slots.len() as u32;
                held.iter().any(|instance| self.maps.positions(*instance).any(|at| written.contains(&at)))
            }
            MapWrite::WriteInstance { instance, .. } | MapWrite::WriteDevmap { instance, .. } => {
                held.contains(instance)
            }
            MapWrite::WriteGroup { key, .. } | MapWrite::RemoveGroup { key } => held.contains(&key.instance),
            _ => false,
        };
        assert!(!in_the_way, "{write:?} writes what packets read");
    }
}

fn is_meant_to_be_seen(write: &MapWrite) -> bool {
    use MapWrite::{Flip, RemoveGroup, Route, Unroute};
    matches!(write, Flip { .. } | Route { .. } | Unroute { .. } | RemoveGroup { .. })
}

/// What packets are meant to reach, in the order of the fan-out.
pub fn reach(wanted: &Wanted, (stream, v6): &Packets) -> Vec<Child> {
    let chosen = |id: &u32| wanted.routes.get(stream).is_none_or(|subset| subset.contains(id));
    let version = if *v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let of_set = wanted.children.iter().filter(|(id, _)| chosen(id)).map(|(_, child)| *child);
    let mut children: Vec<Child> = of_set.filter(|child| child.ethertype == version).collect();
    children.sort_by_key(|child| (child.ifindex, child.counter));
    children
}

fn peers(wanted: &Wanted) -> BTreeSet<ListenerKey> {
    let of = |child: &Child| ListenerKey { address: child.destination, port: 0, reserved: [0; 2] };
    wanted.children.values().map(of).collect()
}
