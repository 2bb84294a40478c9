//! Opening the maps of an interface, or creating them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use super::DataPlane;
use crate::address::Prefix;
use crate::fanout::{Fanout, InUse};
use crate::kernel::maps::{Maps, map};
use crate::kernel::pins::{Found, Pins};
use crate::kernel::programs::{Constants, Programs};
use crate::kernel::read::{Inherited, inherit};
use crate::kernel::{KernelError, upgrade};
use crate::mode::Mode;

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
            maps.set_sources(&BTreeSet::from([Prefix::ANY]), &BTreeSet::new())?;
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
}
