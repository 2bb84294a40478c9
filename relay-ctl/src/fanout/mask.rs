//! Children as the bits of `SET_CHILDREN`.

use std::collections::BTreeSet;

use relay_common::layout::{MAX_CHILDREN, SetChildren};

use super::ChildId;

/// The children that a bit mask of `SET_CHILDREN` names.
pub fn children_of_mask(mask: &SetChildren) -> BTreeSet<ChildId> {
    (0..MAX_CHILDREN).filter(|id| mask[(id / 64) as usize] >> (id % 64) & 1 == 1).collect()
}

pub(super) fn mask(children: &BTreeSet<ChildId>) -> SetChildren {
    let mut mask = SetChildren::default();
    for id in children {
        mask[(id / 64) as usize] |= 1 << (id % 64);
    }
    mask
}
