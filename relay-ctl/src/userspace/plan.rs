//! A [`Plan`] made ready for the forwarding threads: addresses as the sockets want them, nothing left to look up.

use std::collections::{BTreeSet, HashMap, HashSet};

use relay_common::layout::StreamKey;
use relay_common::reason::Reason;
use relay_common::stream::Standing;

use super::Plan;
use super::destination::Destination;
use super::lanes::Lanes;
use crate::address::Prefix;

/// What the forwarding threads go by; replaced whole, never changed.
pub struct Compiled {
    pub children: Vec<Destination>,
    all: Vec<usize>,
    routes: HashMap<StreamKey, Vec<usize>>,
    /// Addresses of the children.
    peers: HashSet<[u8; 16]>,
    /// Where media is taken from.
    sources: BTreeSet<Prefix>,
    /// Those of them that send the same.
    twins: BTreeSet<Prefix>,
    /// Another for each plan that is published, and never 0: what was found out by one may not hold in the next.
    pub version: u32,
    /// Sockets for the copies to single children.
    pub lanes: Lanes,
}

impl Compiled {
    /// `mapped`: the sockets are dual stack and take IPv4 addresses as IPv4-mapped.
    pub fn new(plan: Plan, mapped: bool) -> Compiled {
        let count = plan.children.len();
        let known = |mut set: Vec<usize>| {
            set.retain(|child| *child < count);
            set
        };
        let children: Vec<_> = plan.children.iter().map(|target| Destination::new(target, mapped)).collect();
        let peers = children.iter().map(|child| child.address).collect();
        Compiled {
            children,
            all: known(plan.all),
            routes: plan.routes.into_iter().map(|(key, set)| (key, known(set))).collect(),
            peers,
            sources: plan.sources,
            twins: plan.twins,
            version: 1,
            lanes: Lanes::default(),
        }
    }

    /// Indexes of the children that get this stream.
    pub fn set(&self, key: &StreamKey) -> &[usize] {
        self.routes.get(key).unwrap_or(&self.all)
    }

    /// Is this a child's address?
    pub fn is_peer(&self, address: &[u8; 16]) -> bool {
        self.peers.contains(address)
    }

    /// Is media taken from this address?
    pub fn admit(&self, source: &[u8; 16]) -> Result<(), Reason> {
        let admitted = self.sources.iter().any(|prefix| prefix.covers(source));
        if admitted { Ok(()) } else { Err(Reason::Stranger) }
    }

    /// What a stream's source is to another that media is taken from.
    pub fn standing(&self, own: &[u8; 16], other: &[u8; 16]) -> Standing {
        let is_twin = |source| self.twins.iter().any(|prefix| prefix.covers(source));
        if self.admit(own).is_err() {
            Standing::Gone
        } else if is_twin(own) && is_twin(other) {
            Standing::Twin
        } else {
            Standing::Apart
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::mapped;

    #[test]
    fn media_is_taken_from_the_prefixes_of_the_plan_only() {
        let prefix =
            |address: &str, length| Prefix { length, address: mapped(address.parse().expect("an address")) };
        let admits = |sources: &[Prefix], address: &str| {
            let plan = Plan { sources: sources.iter().copied().collect(), ..Plan::default() };
            Compiled::new(plan, false).admit(&mapped(address.parse().expect("an address"))).is_ok()
        };
        let some = [prefix("10.1.0.0", 96 + 16), prefix("192.0.2.7", 128), prefix("fd00::", 64)];
        for taken in ["10.1.0.0", "10.1.255.255", "192.0.2.7", "fd00::1"] {
            assert!(admits(&some, taken), "{taken}");
        }
        for refused in ["10.2.0.0", "192.0.2.6", "fd00:0:0:1::1", "::1"] {
            assert!(!admits(&some, refused), "{refused}");
        }
        assert!(admits(&[Prefix::ANY], "10.1.2.3") && admits(&[Prefix::ANY], "fd00::1"));
        assert!(!admits(&[], "10.1.2.3"), "a relay in a tree that has no parent yet");
        assert!(admits(&[prefix("0.0.0.0", 96)], "10.1.2.3") && !admits(&[prefix("0.0.0.0", 96)], "fd00::1"));
    }
}
