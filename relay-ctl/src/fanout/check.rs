//! What cannot be, whatever the maps hold already.

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{MAX_CHILDREN, MAX_ROUTES};

use super::{FanoutError, MAX_SUBSETS, Wanted};

pub(super) fn check(wanted: &Wanted) -> Result<(), FanoutError> {
    if wanted.children.len() > MAX_CHILDREN as usize {
        return Err(FanoutError::TooManyChildren);
    }
    if wanted.routes.len() > MAX_ROUTES as usize {
        return Err(FanoutError::TooManyRoutes);
    }
    if wanted.routes.values().collect::<BTreeSet<_>>().len() > MAX_SUBSETS {
        return Err(FanoutError::TooManySets);
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
