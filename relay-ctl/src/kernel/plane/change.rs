//! What packets see: children, routes, listeners, sources. Changed whole, or not at all.

use std::collections::{BTreeSet, HashMap};

use aya::maps::MapData;
use aya::maps::xdp::DevMap;
use relay_common::layout::{ChildInfo, HOST, Listener, ListenerKey, NAME, StreamKey, Total};

use super::DataPlane;
use crate::address::Prefix;
use crate::fanout::{ChildId, Fanout, Wanted, check_cursors};
use crate::kernel::KernelError;
use crate::kernel::maps::{StockOrder, map};
use crate::kernel::read::inherit;
use crate::mode::Mode;

impl DataPlane {
    /// Brings the fan-out sets to what is wanted. Packets see the old or the new set of each stream, never a mixture.
    pub fn change(&mut self, wanted: &Wanted) -> Result<(), KernelError> {
        if self.mode == Mode::Xdp {
            check_cursors(wanted.children.values().map(|child| child.ifindex))?;
        }
        // Marked before the first route is there, unmarked after the last is gone.
        let routed: BTreeSet<u16> = wanted.routes.keys().map(|key| key.port).collect();
        self.mark_routed(routed.union(&self.routed).copied().collect())?;
        let now = self.started.elapsed().as_millis() as u64;
        let writes = self.fanout.change(now, wanted)?;
        let changed = !writes.is_empty();
        for write in writes {
            if let Err(error) = self.maps.carry_out(write, self.copy.as_ref()) {
                // The books and the maps differ now. What packets see is still whole, since the flip comes last: begin
                // again from what the maps say, once nothing half written can be in a packet's way.
                std::thread::sleep(std::time::Duration::from_millis(crate::fanout::GRACE_MS));
                self.resume()?;
                return Err(error);
            }
        }
        self.fanout.carried_out(self.started.elapsed().as_millis() as u64);
        self.changed = Some(std::time::Instant::now());
        self.mark_routed(routed)?;
        if changed {
            let mut relay = self.maps.relay.get(&0, 0).map_err(map("RELAY"))?;
            relay.generation += 1;
            self.maps.relay.set(0, relay, 0).map_err(map("RELAY"))?;
        }
        Ok(())
    }

    /// A devmap worth having before it is needed, if any.
    pub fn stock_order(&mut self) -> Option<StockOrder> {
        if self.mode != Mode::Xdp {
            return None;
        }
        let (size, instance) = self.fanout.stock_order()?;
        let order = StockOrder::new(&self.pins, size, instance);
        match order {
            Ok(order) => {
                self.ordered.insert(instance, true);
                Some(order)
            }
            Err(_) => {
                self.fanout.not_stocked(instance);
                None
            }
        }
    }

    /// What became of an order. `None`: it could not be filled.
    pub fn stocked(&mut self, size: u32, instance: u32, devmap: Option<DevMap<MapData>>) {
        let valid = self.ordered.remove(&instance) == Some(true);
        match devmap {
            Some(devmap) if valid => {
                self.maps.stock(instance, devmap);
                self.fanout.stocked(size, instance);
            }
            _ => self.fanout.not_stocked(instance),
        }
    }

    /// Begins the books again from what the maps say. A devmap on order would land in an instance that seems free, so
    /// that one stays out of use until it has.
    pub(super) fn resume(&mut self) -> Result<(), KernelError> {
        self.maps.clear_stock();
        self.fanout = Fanout::resume(inherit(&self.maps)?.0);
        for (instance, valid) in &mut self.ordered {
            self.fanout.on_order(*instance);
            *valid = false;
        }
        Ok(())
    }

    /// Says which ports have streams with sets of their own; packets to the others need not look.
    fn mark_routed(&mut self, ports: BTreeSet<u16>) -> Result<(), KernelError> {
        if ports == self.routed {
            return Ok(());
        }
        self.routed = ports;
        self.write_listeners()
    }

    /// Says where the relay listens.
    pub fn listen(&mut self, wanted: HashMap<ListenerKey, Listener>) -> Result<(), KernelError> {
        self.listeners = wanted;
        self.write_listeners()
    }

    /// Says which addresses media is taken from, and which of these send the same.
    pub fn take_from(
        &mut self,
        sources: &BTreeSet<Prefix>,
        twins: &BTreeSet<Prefix>,
    ) -> Result<(), KernelError> {
        self.maps.set_sources(sources, twins)
    }

    /// Entries that stay are replaced in place, so that no packet misses one.
    fn write_listeners(&mut self) -> Result<(), KernelError> {
        let written = self.replace_listeners();
        // Also when nothing has changed, or not all: a predecessor may have died between its last change and this.
        self.maps.note_policy()?;
        written
    }

    fn replace_listeners(&mut self) -> Result<(), KernelError> {
        for (key, listener) in &self.listeners {
            let routed = u8::from(self.routed.contains(&listener.port));
            let listener = Listener { routed, ..*listener };
            if self.maps.listeners.get(key, 0).ok() != Some(listener) {
                self.maps.listeners.insert(key, listener, 0).map_err(map("LISTENERS"))?;
            }
        }
        let gone: Vec<ListenerKey> =
            self.maps.listeners.keys().flatten().filter(|key| !self.listeners.contains_key(key)).collect();
        for key in gone {
            self.maps.listeners.remove(&key).map_err(map("LISTENERS"))?;
        }
        Ok(())
    }

    /// Names a child for people and for the next daemon.
    pub fn name_child(&mut self, id: ChildId, info: Option<ChildInfo>) -> Result<(), KernelError> {
        let info = match info {
            Some(info) => ChildInfo { slot: self.fanout.slot_of(id).map_or(0, |slot| slot + 1), ..info },
            None => ChildInfo { name: [0; NAME], host: [0; HOST], ports: [0; 2], slot: 0 },
        };
        if self.maps.child_info.get(&id, 0).ok().as_ref() == Some(&info) {
            return Ok(());
        }
        self.maps.child_info.set(id, info, 0).map_err(map("CHILD_INFO"))
    }

    /// Removes streams from the statistics; what they counted stays in the totals. `ports`: audio, video.
    ///
    /// The totals come first: a daemon that dies between the two leaves sums that are too high, not ones that went down.
    pub fn forget(&mut self, keys: &[StreamKey], ports: [u16; 2]) -> Result<(), KernelError> {
        let mut totals = [Total::default(); 2];
        for key in keys {
            if let Ok(stream) = self.maps.streams.get(key, 0) {
                totals[usize::from(key.port != ports[0])] += Total::from(&stream);
            }
        }
        self.maps.add_totals(totals)?;
        for key in keys {
            // A stream that is gone already is what was wanted.
            let _ = self.maps.streams.remove(key);
        }
        Ok(())
    }

    /// Streams of ports that a predecessor listened on: they would count as another kind, or as none.
    pub(super) fn forget_other_ports(&mut self, before: [u16; 2], now: [u16; 2]) -> Result<(), KernelError> {
        let keys: Vec<StreamKey> =
            self.maps.streams.keys().flatten().filter(|key| before.contains(&key.port)).collect();
        let moved: Vec<StreamKey> = keys
            .into_iter()
            .filter(|key| {
                before.iter().position(|port| *port == key.port)
                    != now.iter().position(|port| *port == key.port)
            })
            .collect();
        self.forget(&moved, before)
    }
}
