//! What a predecessor left, and what it says of the children that there are to be.

use std::net::IpAddr;

use relay_common::layout::{Child, ChildInfo};

use super::super::family::{self, Families};
use super::super::{ChildError, StartError};
use super::refused;
use crate::address::unmapped;
use crate::config::ChildSpec;
use crate::fanout::ChildId;
use crate::kernel::{self, Found, Maps, Pins};
use node::resolve::Answers;

/// A child of a predecessor's, and the record of it that the data plane uses, if it was resolved.
pub type Left = (ChildSpec, Option<Child>);

/// The children of a predecessor of this layout, as far as its maps can be read.
pub fn predecessors(pins: &Pins) -> Vec<Left> {
    match pins.inspect() {
        Ok(Found::DataPlane) => {
            Maps::open(pins).map(|maps| left_behind(&maps, &maps.known_children())).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

pub fn left_behind(maps: &Maps, children: &[(ChildId, ChildInfo)]) -> Vec<Left> {
    children.iter().map(|(id, info)| (spec_of(info), record_of(maps, *id, info))).collect()
}

pub fn spec_of(info: &ChildInfo) -> ChildSpec {
    ChildSpec { name: kernel::unpadded(&info.name), host: kernel::unpadded(&info.host), ports: info.ports }
}

/// What a child's copies are made from. A daemon that died in a change may have left word of a slot that is another's.
pub fn record_of(maps: &Maps, id: ChildId, info: &ChildInfo) -> Option<Child> {
    let slot = info.slot.checked_sub(1)?;
    maps.children.get(&slot, 0).ok().filter(|child| child.counter == id && child.ifindex != 0)
}

/// A name in the configuration has to resolve, unless a predecessor knew it: that child goes on being forwarded to.
pub fn check_hosts(configured: &[ChildSpec], left: &[Left], answers: &Answers) -> Result<(), StartError> {
    for spec in configured {
        let known = left.iter().any(|(other, record)| {
            record.is_some() && (&other.name, &other.host) == (&spec.name, &spec.host)
        });
        if let Some(Err(why)) = answers.get(&spec.host)
            && !known
        {
            return Err(refused(&spec.name)(ChildError::Host(why.clone())));
        }
    }
    Ok(())
}

/// Where copies will most likely go.
pub fn destinations(
    configured: &[ChildSpec],
    left: &[Left],
    answers: &Answers,
    listened: &[IpAddr],
) -> Vec<IpAddr> {
    let listened: Families = listened.iter().copied().collect();
    let named = |host: &str, known: Option<IpAddr>| match answers.get(host) {
        Some(Ok(addresses)) => family::choose(addresses, known, Families::default(), listened),
        Some(Err(_)) | None => known,
    };
    let configured = configured.iter().filter_map(|spec| named(&spec.host, None));
    let left = left
        .iter()
        .filter_map(|(spec, record)| named(&spec.host, record.map(|record| unmapped(record.destination))));
    configured.chain(left).collect()
}
