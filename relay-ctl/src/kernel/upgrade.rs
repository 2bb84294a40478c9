//! Taking over from a data plane of an older layout version: its maps are another's wire format and stay as they are, what
//! they say of children and routes is read, and the links that hold the programs go on.
//!
//! From v2 on CHILD_INFO, ROUTES, SET_CHILDREN and RELAY keep their form. All else is built anew beside it, so that
//! counters begin at zero.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, MapData};
use relay_common::layout::{ChildInfo, MAX_CHILDREN, Relay, SetChildren, StreamKey};

use super::maps::{map, open};
use super::{Inherited, KernelError, Pins};
use crate::fanout::children_of_mask;

/// What an older data plane says of itself.
pub(super) fn inherit(older: &Pins) -> Result<Inherited, KernelError> {
    let relay: Array<MapData, Relay> = open(older, "RELAY")?;
    let infos: Array<MapData, ChildInfo> = open(older, "CHILD_INFO")?;
    let routes: HashMap<MapData, StreamKey, u32> = open(older, "ROUTES")?;
    let sets: Array<MapData, SetChildren> = open(older, "SET_CHILDREN")?;
    let children = (0..MAX_CHILDREN)
        .filter_map(|id| Some((id, infos.get(&id, 0).ok()?)))
        .filter(|(_, info)| info.name[0] != 0)
        // The slot is one of the older maps'.
        .map(|(id, info)| (id, ChildInfo { slot: 0, ..info }))
        .collect();
    let routes: BTreeMap<_, _> = routes
        .iter()
        .flatten()
        .filter_map(|(key, set)| Some((key, children_of_mask(&sets.get(&set, 0).ok()?))))
        .collect();
    Ok(Inherited { relay: Some(relay.get(&0, 0).map_err(map("RELAY"))?), children, routes })
}
