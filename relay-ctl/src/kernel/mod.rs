//! The kernel data plane as the daemon handles it: attach or take over, carry out changes, read counters, detach.
//!
//! What it does not do: decide which children there are ([`crate::fanout`]) or where they are ([`crate::net`]).

mod error;
mod link;
mod maps;
mod mode;
pub mod pins;
pub mod probe;
pub mod programs;
mod read;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aya::maps::xdp::DevMap;
use aya::maps::{Array, Map, MapData, MapError, RingBuf};
use aya::programs::ProgramFd;
use relay_common::layout::{
    CaptureFilter, ChildInfo, HOST, Listener, ListenerKey, MODE_TC, MODE_XDP, NAME, Relay, StreamKey, Total,
};

pub use error::KernelError;
pub use link::Attached;
pub use maps::{Maps, Prefix, StockOrder, map};
pub use mode::{Before, Facts, Mode, ModeWanted, Start, choose, start};
pub use pins::{Found, Pins};
pub use programs::{Constants, Known, Programs, program};
use read::inherit;
pub use read::{
    Inherited, copies_not_made, copies_not_made_pinned, drops, has_more_streams, routes, streams,
    streams_pinned,
};

use crate::capture::Ring;
use crate::fanout::{ChildId, Fanout, InUse, Wanted, check_cursors};

/// A data plane that this process looks after.
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
    ring: Option<Ring>,
    /// What an older layout version left, until its links are here.
    older: Option<Pins>,
    /// When that was attached, ms since the epoch.
    since: Option<u64>,
    /// Instances of the devmaps on order, and whether each order is still good.
    ordered: BTreeMap<u32, bool>,
    /// Held for as long as this process looks after the interface.
    _lock: File,
}

impl DataPlane {
    /// Opens the maps of an interface, or creates them; nothing is attached yet and nothing a predecessor does changes.
    pub fn open(
        pins: Pins,
        ifindex: u32,
        constants: Constants,
    ) -> Result<(DataPlane, Inherited), KernelError> {
        // The lock first: what is not ours must not even be inspected for clean-up.
        let lock = pins.lock()?;
        // Held until nothing is left behind, too.
        let _held = lock.try_clone();
        let opened = Self::open_locked(pins.clone(), ifindex, constants, lock);
        if opened.is_err() {
            pins.abandon();
        }
        opened
    }

    fn open_locked(
        pins: Pins,
        ifindex: u32,
        constants: Constants,
        lock: File,
    ) -> Result<(DataPlane, Inherited), KernelError> {
        let mut found = pins.inspect()?;
        if found == Found::DataPlane {
            // Opened before loading, so that a corrupt file is found while nothing has been touched.
            let maps = Maps::open(&pins)?;
            match maps.relay.get(&0, 0).map_err(map("RELAY"))?.version {
                // Cut short while it looked which mode there is to be: nothing forwards yet.
                0 => found = pins.inspect_older().unwrap_or(Found::Leftovers),
                version if version == pins.version() => {}
                version => {
                    return Err(KernelError::CorruptPins {
                        folder: pins.versioned(),
                        what: format!("RELAY says layout {version}"),
                        interface: pins.interface().to_owned(),
                    });
                }
            }
        }
        let older = match found {
            Found::Older(version) => Some(pins.clone().of_version(version)),
            // The last step of taking over, which a predecessor may not have come to.
            Found::DataPlane => pins.older().into_iter().next(),
            Found::Nothing | Found::Leftovers => None,
        };
        let older_says = match found {
            Found::Older(_) => older.as_ref().map(upgrade::inherit).transpose()?,
            _ => None,
        };
        if found != Found::DataPlane {
            pins.clear()?;
        }
        let programs = Programs::load(&pins, constants)?;
        let maps = Maps::open(&pins)?;
        let (in_use, inherited) = match older_says {
            Some(inherited) => (InUse::default(), inherited),
            None if found == Found::DataPlane => inherit(&maps)?,
            None => (InUse::default(), Inherited::default()),
        };
        let mut maps = maps;
        if found != Found::DataPlane {
            // Until somebody says otherwise.
            maps.set_sources(&BTreeSet::from([Prefix::ANY]))?;
        }
        let plane = DataPlane {
            pins,
            maps,
            programs,
            copy: None,
            mode: Mode::Tc,
            ifindex,
            fanout: Fanout::resume(in_use),
            listeners: HashMap::new(),
            routed: if older.is_some() {
                BTreeSet::new()
            } else {
                inherited.routes.keys().map(|key| key.port).collect()
            },
            started: std::time::Instant::now(),
            changed: None,
            ring: None,
            since: inherited.relay.filter(|_| older.is_some()).map(|relay| relay.attached),
            older,
            ordered: BTreeMap::new(),
            _lock: lock,
        };
        Ok((plane, inherited))
    }

    /// Says over which CPUs streams are spread in xdp, from the next time that a program is attached; none: each is copied
    /// where it comes in.
    pub fn spread_over(&mut self, cpus: Vec<u32>) {
        self.programs.spread_over(cpus);
    }

    /// Sets the mode for the changes to come. Xdp loads the devmap program.
    pub fn prepare(&mut self, mode: Mode) -> Result<(), KernelError> {
        self.programs.verify(mode)?;
        if self.mode != mode {
            // What the last change replaced may still be under a packet's eyes, and the books that say so are closed.
            let grace = std::time::Duration::from_millis(crate::fanout::GRACE_MS);
            let left = self.changed.map(|changed| grace.saturating_sub(changed.elapsed()));
            std::thread::sleep(left.unwrap_or_default());
            // Devmaps are there only in xdp mode: the next change builds every set anew, beside what is there.
            self.resume()?;
        }
        // XDP goes on taking the packets until tc has been attached: until then sets need their devmaps.
        self.copy = match mode {
            Mode::Xdp => Some(self.programs.copy()?),
            Mode::Tc if self.xdp_takes_packets()? => Some(self.programs.copy()?),
            Mode::Tc | Mode::Userspace => None,
        };
        self.mode = mode;
        Ok(())
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        if !fresh && known.ports != ports {
            self.forget_other_ports(known.ports, ports)?;
        }
        let relay = Relay {
            version: self.pins.version(),
            mode: if self.mode == Mode::Xdp { MODE_XDP } else { MODE_TC },
            ifindex: self.ifindex,
            ports,
            generation: if fresh { 0 } else { known.generation },
            attached: if fresh { self.since.unwrap_or(now) } else { known.attached },
            node: padded(node),
            mode_reason: padded(reason),
        };
        self.maps.relay.set(0, relay, 0).map_err(map("RELAY"))
    }

    /// Attaches, or replaces the program in the link that is there. What another mode attached ends last, so that at
    /// every moment a program takes the packets: with both there, XDP is the first to see them.
    pub fn attach(&mut self) -> Result<(), KernelError> {
        let (pins, ifindex) = (&self.pins, self.ifindex);
        if let Some(older) = &self.older {
            // From here on this version's directory is a whole data plane, whatever becomes of this process.
            pins.adopt_links(older)?;
        }
        match self.mode {
            Mode::Xdp => {
                if self.older.is_some() && self.xdp_takes_packets()? && probe::tcx().is_ok() {
                    self.cross_by_tc()?;
                }
                self.programs.attach_xdp(&self.pins, ifindex)?;
                programs::remove_link(&self.pins, pins::LINK_TCX)?;
            }
            Mode::Tc => {
                self.programs.attach_tc(pins, ifindex)?;
                self.programs.pass_xdp(pins, ifindex)?;
                self.copy = None;
                programs::remove_link(pins, pins::LINK_XMIT)?;
                programs::remove_link(pins, pins::LINK_BUSY)?;
            }
            Mode::Userspace => {}
        }
        self.older = None;
        self.pins.older().iter().try_for_each(Pins::remove_version)
    }

    /// Between two versions' `relay_xdp`. Copies wait for the end of a poll in a queue that has one devmap program for all
    /// of them: the older version's would meet tokens that only the new one's maps know. So tc takes the packets meanwhile.
    fn cross_by_tc(&mut self) -> Result<(), KernelError> {
        self.programs.attach_tc(&self.pins, self.ifindex)?;
        self.programs.pass_xdp(&self.pins, self.ifindex)?;
        std::thread::sleep(std::time::Duration::from_millis(crate::fanout::GRACE_MS));
        Ok(())
    }

    /// True while the XDP program in the link is one that takes packets, of whichever version.
    fn xdp_takes_packets(&self) -> Result<bool, KernelError> {
        let Some(attached) = self.pins.attached(pins::LINK_XDP)? else { return Ok(false) };
        Ok(attached.ifindex != 0 && program(attached.program).name != programs::PASS)
    }

    /// Where [`DataPlane::attach`] is to attach from now on: the interface came back under another index, or another one
    /// stands in for it. The links that are there stay until others take their place.
    pub fn move_to(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
    }

    /// True when what a predecessor attached is still on this interface, as it is now.
    pub fn is_attached(&self) -> Result<bool, KernelError> {
        let pins = self.linked();
        Ok(pins.is_attached(pins::LINK_XDP, self.ifindex)?
            || pins.is_attached(pins::LINK_TCX, self.ifindex)?)
    }

    /// True until the links of an older layout version have been taken over.
    pub fn is_upgrade(&self) -> bool {
        self.older.is_some()
    }

    /// Loads the program of a mode, so that the verifier's word is known before anything changes.
    pub fn verify(&mut self, mode: Mode) -> Result<(), KernelError> {
        self.programs.verify(mode)
    }

    /// Attaches a program that lets everything pass to an interface, unless one of ours is there: most drivers transmit XDP
    /// frames only while they have one. True when it was attached now: some cards then set up their link anew.
    pub fn hold(&mut self, ifindex: u32) -> Result<bool, KernelError> {
        let link = self.holding(ifindex);
        self.programs.hold(&self.pins, ifindex, &link)
    }

    /// Is one of our programs on the interface?
    pub fn holds(&self, ifindex: u32) -> bool {
        self.linked().is_attached(&self.holding(ifindex), ifindex).unwrap_or(false)
    }

    /// True while XDP is on the interface attached to, be it to let everything pass.
    pub fn holds_main(&self) -> bool {
        self.holds(self.ifindex)
    }

    /// Takes the program off an egress interface.
    pub fn let_go(&self, ifindex: u32) -> Result<(), KernelError> {
        match ifindex == self.ifindex {
            true => programs::remove_link(&self.pins, pins::LINK_XDP),
            false => programs::remove_link(&self.pins, &Pins::holder(ifindex)),
        }
    }

    /// Where the links are: not here yet while an older layout version is taken over from.
    fn linked(&self) -> &Pins {
        self.older.as_ref().filter(|_| !self.pins.has_link()).unwrap_or(&self.pins)
    }

    fn holding(&self, ifindex: u32) -> String {
        if ifindex == self.ifindex { pins::LINK_XDP.to_owned() } else { Pins::holder(ifindex) }
    }

    /// The programs that see a packet before ours, in tc.
    pub fn before_ours(&self) -> Result<Vec<Known>, KernelError> {
        match self.mode {
            Mode::Tc => programs::before_ours(&self.pins, self.ifindex),
            Mode::Xdp | Mode::Userspace => Ok(Vec::new()),
        }
    }

    /// Removes what a start made that came to nothing. What a predecessor attached stays; `fresh`: there was none.
    pub fn withdraw(&self, fresh: bool) -> Result<(), KernelError> {
        match self.pins.older().is_empty() {
            true if fresh => self.pins.remove().map(drop),
            false if !self.pins.has_link() => self.pins.remove_version(),
            _ => Ok(()),
        }
    }

    /// Brings the fan-out sets to what is wanted. Packets see the old or the new set of each stream, never a mixture.
    pub fn change(&mut self, wanted: &Wanted) -> Result<(), KernelError> {
        if self.mode == Mode::Xdp {
            check_cursors(wanted.children.values().map(|child| child.ifindex))?;
        }
        // Marked before the first route is there, unmarked after the last is gone.
        let routed: BTreeSet<u16> = wanted.routes.keys().map(|key| key.port).collect();
        self.mark_routed(routed.union(&self.routed).copied().collect())?;
        let now = self.started.elapsed().as_millis() as u64;
        let commands = self.fanout.change(now, wanted)?;
        let changed = !commands.is_empty();
        for command in commands {
            if let Err(error) = self.maps.carry_out(command, self.copy.as_ref()) {
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
    fn resume(&mut self) -> Result<(), KernelError> {
        self.maps.clear_stock();
        self.fanout = Fanout::resume(inherit(&self.maps)?.0);
        for (instance, valid) in &mut self.ordered {
            self.fanout.on_order(*instance);
            *valid = false;
        }
        Ok(())
    }

    /// Says where the relay listens.
    pub fn listen(&mut self, wanted: HashMap<ListenerKey, Listener>) -> Result<(), KernelError> {
        self.listeners = wanted;
        self.write_listeners()
    }

    /// Says which addresses media is taken from.
    pub fn take_from(&mut self, sources: &BTreeSet<Prefix>) -> Result<(), KernelError> {
        self.maps.set_sources(sources)
    }

    /// Says which ports have streams with sets of their own; packets to the others need not look.
    fn mark_routed(&mut self, ports: BTreeSet<u16>) -> Result<(), KernelError> {
        if ports == self.routed {
            return Ok(());
        }
        self.routed = ports;
        self.write_listeners()
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
    fn forget_other_ports(&mut self, before: [u16; 2], now: [u16; 2]) -> Result<(), KernelError> {
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
    pub fn capture_ring(&mut self) -> Result<(Ring, Array<MapData, CaptureFilter>), KernelError> {
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

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

/// Text in a fixed field, cut at a character boundary, padded with zeros.
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

/// The text in a fixed field.
pub fn unpadded(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
