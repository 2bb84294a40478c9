//! The kernel data plane as the daemon handles it.
//!
//! | file | job |
//! |---|---|
//! | `open.rs` | the maps of a predecessor, or new ones |
//! | `attach.rs` | programs and links: attach, take over, change the mode, hold interfaces |
//! | `change.rs` | children, routes, listeners, sources: what packets see |

mod attach;
mod change;
mod open;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::{Arc, Mutex};

use aya::maps::{Array, Map, MapData, MapError, RingBuf};
use aya::programs::ProgramFd;
use relay_common::layout::{CaptureFilter, Listener, ListenerKey, MODE_TC, MODE_XDP, Relay};

use super::maps::{CaptureRing, Maps, map};
use super::pins::Pins;
use super::programs::Programs;
use super::{GapRing, History, KernelError, padded};
use crate::clock::now_ms;
use crate::fanout::Fanout;
use crate::mode::Mode;

/// A data plane that this process manages.
pub struct DataPlane {
    pins: Pins,
    maps: Maps,
    programs: Programs,
    copy: Option<ProgramFd>,
    mode: Mode,
    ifindex: u32,
    fanout: Fanout,
    listeners: HashMap<ListenerKey, Listener>,
    /// Ports with routes, as `LISTENERS` has them.
    routed: BTreeSet<u16>,
    started: std::time::Instant,
    /// The last change.
    changed: Option<std::time::Instant>,
    ring: Option<CaptureRing>,
    /// What an older layout version left, until its links are here.
    older: Option<Pins>,
    /// When that was attached, ms since the epoch.
    since: Option<u64>,
    /// Instances of the devmaps on order, and whether each order is still good.
    ordered: BTreeMap<u32, bool>,
    /// Held for as long as this process manages the interface.
    _lock: File,
}

impl DataPlane {
    /// Says over which CPUs streams are spread in xdp, from the next time that a program is attached; none: each is copied
    /// where it comes in.
    pub fn spread_over(&mut self, cpus: Vec<u32>) {
        self.programs.spread_over(cpus);
    }

    /// Describes the data plane in its own map, for `status` and for the next daemon.
    pub fn describe(
        &mut self,
        node: &str,
        ports: [u16; 2],
        reason: &str,
        fresh: bool,
    ) -> Result<(), KernelError> {
        let known = self.maps.relay.get(&0, 0).map_err(map("RELAY"))?;
        if !fresh && known.ports != ports {
            self.forget_other_ports(known.ports, ports)?;
        }
        let relay = Relay {
            version: self.pins.version(),
            mode: if self.mode == Mode::Xdp { MODE_XDP } else { MODE_TC },
            ifindex: self.ifindex,
            ports,
            generation: if fresh { 0 } else { known.generation },
            attached: if fresh { self.since.unwrap_or_else(now_ms) } else { known.attached },
            node: padded(node),
            mode_reason: padded(reason),
        };
        self.maps.relay.set(0, relay, 0).map_err(map("RELAY"))
    }

    /// The maps, for reading.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The maps.
    pub fn maps_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// The loaded object, for the logger and the capture ring.
    pub fn programs(&mut self) -> &mut Programs {
        &mut self.programs
    }

    /// The ring that captured packets come from, and the map that says which.
    pub fn capture_ring(&mut self) -> Result<(CaptureRing, Array<MapData, CaptureFilter>), KernelError> {
        if self.ring.is_none() {
            let taken = self.programs.ebpf().take_map("CAPTURE").ok_or(MapError::KeyNotFound);
            let ring = taken.and_then(RingBuf::try_from).map_err(map("CAPTURE"))?;
            self.ring = Some(Arc::new(Mutex::new(ring)));
        }
        let filter = MapData::from_pin(self.pins.file("CAPTURE_FILTER"))
            .and_then(Map::from_map_data)
            .and_then(Array::try_from)
            .map_err(map("CAPTURE_FILTER"))?;
        let ring = self.ring.clone().ok_or_else(|| map("CAPTURE")(MapError::KeyNotFound))?;
        Ok((ring, filter))
    }

    /// The last packets that went to children, as the programs of this process keep them, also if that is none; none if they tell of no
    /// gaps either.
    pub fn history(&self) -> Result<Option<History>, KernelError> {
        self.programs.history()
    }

    /// What streams jump over, as these programs tell it, to whoever asks first; none with `--repair-within 0`.
    pub fn gaps(&mut self) -> Result<Option<GapRing>, KernelError> {
        self.programs.gaps()
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}
