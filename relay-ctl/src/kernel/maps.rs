//! The pinned maps, opened from their files: typed handles, and the one place that carries out [`MapWrite`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf, xdp::DevMap};
use aya::programs::ProgramFd;
use relay_common::layout::{
    Broadcasts, CURSORS, CaptureFilter, Child, ChildInfo, ChildStats, Egress, GroupKey, Listener,
    ListenerKey, MAX_CHILDREN, MAX_SOURCES, ONE, PINNED_MAPS, Pending, Relay, SetChildren, SetWord, Span,
    StreamKey, TWIN, Total,
};
use relay_common::stream::Stream;

use super::{KernelError, Pins};
use crate::address::Prefix;
use crate::fanout::MapWrite;

/// The ring that captured packets come from; one capture at a time.
pub type CaptureRing = Arc<Mutex<RingBuf<MapData>>>;

/// Typed handles on the pinned maps.
pub struct Maps {
    /// What the data plane is.
    pub relay: Array<MapData, Relay>,
    /// Addresses and ports listened on.
    pub listeners: HashMap<MapData, ListenerKey, Listener>,
    /// How often what may be sent by whom has changed: `LISTENERS`, `SOURCES` or `PEERS`. The map has the name that it
    /// had when it counted listeners alone: another name would be another layout.
    pub policy_changes: Array<MapData, u32>,
    /// Where media is taken from.
    pub sources: LpmTrie<MapData, [u8; 16], u32>,
    /// Streams with a set of their own.
    pub routes: HashMap<MapData, StreamKey, u32>,
    /// Half of a set to instance.
    pub sets: Array<MapData, SetWord>,
    /// Set to the children it is meant to have.
    pub set_children: Array<MapData, SetChildren>,
    /// Instance to devmap.
    pub fanout: ArrayOfMaps<MapData, DevMap<MapData>>,
    /// Instance to its members.
    pub instances: Array<MapData, Span>,
    /// Instance and interface to its members.
    pub groups: HashMap<MapData, GroupKey, Span>,
    /// Position to child slot.
    pub members: Array<MapData, u32>,
    /// Child slot to headers.
    pub children: Array<MapData, Child>,
    /// Where feedback from children comes from.
    pub peers: HashMap<MapData, ListenerKey, u32>,
    /// Statistics of streams.
    pub streams: HashMap<MapData, StreamKey, Stream>,
    /// Statistics of children.
    pub child_stats: PerCpuArray<MapData, ChildStats>,
    /// Names of children.
    pub child_info: Array<MapData, ChildInfo>,
    /// Counters by reason.
    pub drops: PerCpuArray<MapData, u64>,
    /// What was given to the kernel to be broadcast.
    pub serial: PerCpuArray<MapData, Broadcasts>,
    /// Copies on their way to a driver, and how many the kernel made.
    pub pending: PerCpuArray<MapData, Pending>,
    /// Counters by egress interface.
    pub egress: PerCpuArray<MapData, Egress>,
    /// What is captured.
    pub capture_filter: Array<MapData, CaptureFilter>,
    /// What forgotten streams had, by kind. `None`: the daemon that pinned these maps knew nothing of it.
    totals: Option<Array<MapData, Total>>,
    /// Empty devmaps that are in `FANOUT` already, by instance.
    stock: BTreeMap<u32, DevMap<MapData>>,
}

impl Maps {
    /// Opens the maps of a data plane. A file that is not the map it should be makes the pin directory corrupt.
    pub fn open(pins: &Pins) -> Result<Maps, KernelError> {
        let opened = Maps {
            relay: open(pins, "RELAY")?,
            listeners: open(pins, "LISTENERS")?,
            policy_changes: open(pins, "LISTENER_CHANGES")?,
            sources: open(pins, "SOURCES")?,
            routes: open(pins, "ROUTES")?,
            sets: open(pins, "SETS")?,
            set_children: open(pins, "SET_CHILDREN")?,
            fanout: open(pins, "FANOUT")?,
            instances: open(pins, "INSTANCES")?,
            groups: open(pins, "GROUPS")?,
            members: open(pins, "MEMBERS")?,
            children: open(pins, "CHILDREN")?,
            peers: open(pins, "PEERS")?,
            streams: open(pins, "STREAMS")?,
            child_stats: open(pins, "CHILD_STATS")?,
            child_info: open(pins, "CHILD_INFO")?,
            drops: open(pins, "DROPS")?,
            serial: open(pins, "SERIAL")?,
            pending: open(pins, "PENDING")?,
            egress: open(pins, "EGRESS")?,
            capture_filter: open(pins, "CAPTURE_FILTER")?,
            totals: if pins.file("TOTALS").exists() { Some(open(pins, "TOTALS")?) } else { None },
            stock: BTreeMap::new(),
        };
        debug_assert!(PINNED_MAPS.len() == 23, "a map was added to the layout but not here");
        Ok(opened)
    }

    /// Carries out one map write. `copy`: the devmap program, when copies leave by xdp.
    pub fn carry_out(&mut self, write: MapWrite, copy: Option<&ProgramFd>) -> Result<(), KernelError> {
        match write {
            MapWrite::WriteChild { slot, child } => {
                self.children.set(slot, child, 0).map_err(map("CHILDREN"))
            }
            MapWrite::WriteMembers { first, slots } => {
                for (position, slot) in (first..).zip(slots) {
                    self.members.set(position, slot, 0).map_err(map("MEMBERS"))?;
                }
                Ok(())
            }
            MapWrite::WriteInstance { instance, span } => {
                self.instances.set(instance, span, 0).map_err(map("INSTANCES"))
            }
            MapWrite::WriteGroup { key, span } => self.groups.insert(key, span, 0).map_err(map("GROUPS")),
            MapWrite::WriteDevmap { instance, interfaces } => match copy {
                Some(copy) => self.write_devmap(instance, &interfaces, copy),
                None => Ok(()),
            },
            MapWrite::WriteSetChildren { set, children } => {
                self.set_children.set(set, children, 0).map_err(map("SET_CHILDREN"))
            }
            MapWrite::Flip { half, word } => self.sets.set(half, word, 0).map_err(map("SETS")),
            MapWrite::Route { key, set } => self.routes.insert(key, set, 0).map_err(map("ROUTES")),
            MapWrite::Unroute { key } => absent_is_fine(self.routes.remove(&key)).map_err(map("ROUTES")),
            MapWrite::AddPeer { key } => {
                self.peers.insert(key, 1, 0).map_err(map("PEERS"))?;
                self.note_policy()
            }
            MapWrite::RemovePeer { key } => {
                absent_is_fine(self.peers.remove(&key)).map_err(map("PEERS"))?;
                self.note_policy()
            }
            MapWrite::RemoveGroup { key } => absent_is_fine(self.groups.remove(&key)).map_err(map("GROUPS")),
        }
    }

    /// Makes the programs check anew who may send what: `LISTENERS`, `SOURCES` or `PEERS` have changed.
    pub fn note_policy(&mut self) -> Result<(), KernelError> {
        let changes = self.policy_changes.get(&0, 0).map_err(map("LISTENER_CHANGES"))?;
        // Never 0: a stream that has that has not been looked at.
        let next = changes.checked_add(1).unwrap_or(1);
        self.policy_changes.set(0, next, 0).map_err(map("LISTENER_CHANGES"))
    }

    /// Where media is taken from.
    pub fn prefixes(&self) -> BTreeSet<Prefix> {
        self.sources.keys().flatten().map(|key| prefix_of(&key)).collect()
    }

    /// Those of them that send the same.
    pub fn twins(&self) -> BTreeSet<Prefix> {
        let twins = self.sources.iter().flatten().filter(|(_, kind)| *kind == TWIN);
        twins.map(|(key, _)| prefix_of(&key)).collect()
    }

    /// Says where media is taken from, and which of these send the same. What is new comes first, so that no source that stays is
    /// missed, unless there is no room for both; but a twin is one before the other is there, and until that has gone.
    pub fn set_sources(
        &mut self,
        wanted: &BTreeSet<Prefix>,
        twins: &BTreeSet<Prefix>,
    ) -> Result<(), KernelError> {
        let kind = |prefix: &Prefix| if twins.contains(prefix) { TWIN } else { ONE };
        let present: BTreeMap<Prefix, u32> =
            self.sources.iter().flatten().map(|(key, kind)| (prefix_of(&key), kind)).collect();
        let differs = |prefix: &&Prefix| present.get(*prefix).is_some_and(|before| *before != kind(prefix));
        let (become_twins, end_to_be): (Vec<&Prefix>, Vec<&Prefix>) =
            wanted.iter().filter(differs).partition(|prefix| kind(prefix) == TWIN);
        let new: Vec<&Prefix> = wanted.iter().filter(|prefix| !present.contains_key(prefix)).collect();
        let gone: Vec<&Prefix> = present.keys().filter(|prefix| !wanted.contains(prefix)).collect();
        let mut obsolete = gone.iter();
        let surplus = (present.len() + new.len()).saturating_sub(MAX_SOURCES as usize);
        for prefix in obsolete.by_ref().take(surplus) {
            absent_is_fine(self.sources.remove(&key_of(prefix))).map_err(map("SOURCES"))?;
        }
        for prefix in become_twins.iter().chain(&new) {
            self.sources.insert(&key_of(prefix), kind(prefix), 0).map_err(map("SOURCES"))?;
        }
        for prefix in obsolete {
            absent_is_fine(self.sources.remove(&key_of(prefix))).map_err(map("SOURCES"))?;
        }
        for prefix in &end_to_be {
            self.sources.insert(&key_of(prefix), ONE, 0).map_err(map("SOURCES"))?;
        }
        let is_same = [become_twins, new, gone, end_to_be].iter().all(Vec::is_empty);
        if is_same { Ok(()) } else { self.note_policy() }
    }

    /// A devmap with exactly the copies' interfaces: the kernel walks every slot of it for every packet.
    fn write_devmap(
        &mut self,
        instance: u32,
        interfaces: &[u32],
        copy: &ProgramFd,
    ) -> Result<(), KernelError> {
        let stocked = self.stock.remove(&instance);
        let ready = stocked.is_some();
        let mut devmap = match stocked {
            Some(devmap) => devmap,
            None => empty_devmap(interfaces.len() as u32)?,
        };
        for (index, ifindex) in (0..).zip(interfaces) {
            devmap
                .set(index, *ifindex, Some(copy), 0)
                .map_err(|source| KernelError::Devmap { ifindex: *ifindex, source })?;
        }
        if ready {
            return Ok(());
        }
        self.fanout.set(instance, &devmap, 0).map_err(map("FANOUT"))
    }

    /// Remembers an empty devmap that is in `FANOUT[instance]`.
    pub fn stock(&mut self, instance: u32, devmap: DevMap<MapData>) {
        self.stock.insert(instance, devmap);
    }

    /// Forgets all of them.
    pub fn clear_stock(&mut self) {
        self.stock.clear();
    }

    /// What forgotten streams had, by kind.
    pub fn totals(&self) -> [Total; 2] {
        let read = |kind| self.totals.as_ref().and_then(|totals| totals.get(&kind, 0).ok());
        [0, 1].map(|kind| read(kind).unwrap_or_default())
    }

    /// Adds to what forgotten streams had.
    pub fn add_totals(&mut self, more: [Total; 2]) -> Result<(), KernelError> {
        let before = self.totals();
        let Some(totals) = &mut self.totals else { return Ok(()) };
        for ((kind, mut total), more) in (0..).zip(before).zip(more) {
            total += more;
            totals.set(kind, total, 0).map_err(map("TOTALS"))?;
        }
        Ok(())
    }

    /// A child's counters, summed over CPUs.
    pub fn stats_of(&self, counter: u32) -> ChildStats {
        let Ok(values) = self.child_stats.get(&counter, 0) else { return ChildStats::default() };
        values.iter().fold(ChildStats::default(), |total, cpu| ChildStats {
            packets: total.packets + cpu.packets,
            bytes: total.bytes + cpu.bytes,
            errors: total.errors + cpu.errors,
            too_big: total.too_big + cpu.too_big,
        })
    }

    /// What became of the copies for an interface, summed over CPUs.
    pub fn egress_of(&self, ifindex: u32) -> Egress {
        let Ok(values) = self.egress.get(&(ifindex % CURSORS), 0) else { return Egress::default() };
        values.iter().fold(Egress::default(), |total, cpu| Egress {
            sent: total.sent + cpu.sent,
            refused: total.refused + cpu.refused,
        })
    }

    /// Sets a child's counters to zero, before its number goes to another child.
    pub fn clear_stats(&mut self, counter: u32) -> Result<(), KernelError> {
        let zeros = aya::util::nr_cpus()
            .map_err(|(_, error)| MapError::IoError(error))
            .and_then(|cpus| {
                aya::maps::PerCpuValues::try_from(vec![ChildStats::default(); cpus])
                    .map_err(MapError::IoError)
            })
            .map_err(map("CHILD_STATS"))?;
        self.child_stats.set(counter, zeros, 0).map_err(map("CHILD_STATS"))
    }

    /// Children that have a name, by counter index.
    pub fn known_children(&self) -> Vec<(u32, ChildInfo)> {
        (0..MAX_CHILDREN)
            .filter_map(|id| Some((id, self.child_info.get(&id, 0).ok()?)))
            .filter(|(_, info)| info.name[0] != 0)
            .collect()
    }
}

/// An order for one devmap, to be filled without holding anything up.
pub struct StockOrder {
    /// Slots of the devmap.
    pub size: u32,
    /// Where it goes.
    pub instance: u32,
    fanout: ArrayOfMaps<MapData, DevMap<MapData>>,
}

impl StockOrder {
    /// An order with a handle of its own on `FANOUT`.
    pub fn new(pins: &Pins, size: u32, instance: u32) -> Result<StockOrder, KernelError> {
        Ok(StockOrder { size, instance, fanout: open(pins, "FANOUT")? })
    }

    /// Makes the devmap and puts it in its place, which takes a while.
    pub fn fill(mut self) -> Result<DevMap<MapData>, KernelError> {
        let devmap = empty_devmap(self.size)?;
        self.fanout.set(self.instance, &devmap, 0).map_err(map("FANOUT"))?;
        Ok(devmap)
    }
}

fn key_of(prefix: &Prefix) -> Key<[u8; 16]> {
    Key::new(prefix.length, prefix.address)
}

fn prefix_of(key: &Key<[u8; 16]>) -> Prefix {
    Prefix { length: key.prefix_len(), address: key.data() }
}

fn empty_devmap(size: u32) -> Result<DevMap<MapData>, KernelError> {
    let parameters = aya_obj::Map::new_from_params(
        aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_DEVMAP as u32,
        size_of::<u32>() as u32,
        size_of::<aya_obj::generated::bpf_devmap_val>() as u32,
        size,
        0,
    );
    MapData::create(parameters, "fanout_set", None)
        .and_then(Map::from_map_data)
        .and_then(DevMap::try_from)
        .map_err(map("FANOUT"))
}

/// Gives a map error its map's name.
pub fn map(name: &'static str) -> impl Fn(MapError) -> KernelError {
    move |source| KernelError::Map { map: name, source }
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// A pinned map by name.
pub(super) fn open<M: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
) -> Result<M, KernelError> {
    let corrupt = |what: String| KernelError::CorruptPins {
        folder: pins.versioned(),
        what,
        interface: pins.interface().to_owned(),
    };
    let data = MapData::from_pin(pins.file(name)).map_err(|error| corrupt(format!("{name}: {error}")))?;
    Map::from_map_data(data).and_then(M::try_from).map_err(|error| corrupt(format!("{name}: {error}")))
}
