//! What the fan-out is told, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use relay_common::layout::{
    Child, GroupKey, ListenerKey, MAX_CHILDREN, MAX_ROUTES, SetChildren, SetWord, Span, StreamKey,
};

use super::{GRACE_MS, MAX_SUBSETS};

/// A child's number: its index in `CHILD_INFO` and `CHILD_STATS`.
pub type ChildId = u32;

/// What there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Children that can be sent to, with their headers.
    pub children: BTreeMap<ChildId, Child>,
    /// Streams with a fan-out set of their own. The children named need not be in `children` yet.
    pub routes: BTreeMap<StreamKey, BTreeSet<ChildId>>,
}

/// One map write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapWrite {
    /// `CHILDREN[slot] = child`.
    WriteChild { slot: u32, child: Child },
    /// `MEMBERS[first..] = slots`.
    WriteMembers { first: u32, slots: Vec<u32> },
    /// `INSTANCES[instance] = span`.
    WriteInstance { instance: u32, span: Span },
    /// `GROUPS[key] = span`.
    WriteGroup { key: GroupKey, span: Span },
    /// `FANOUT[instance]` = a devmap of exactly these interfaces, in this order.
    WriteDevmap { instance: u32, interfaces: Vec<u32> },
    /// `SET_CHILDREN[set] = children`.
    WriteSetChildren { set: u32, children: SetChildren },
    /// `SETS[half] = word`: from now on packets of one IP version see the new members of a set. See
    /// [`relay_common::layout::half`].
    Flip { half: u32, word: SetWord },
    /// `ROUTES[key] = set`.
    Route { key: StreamKey, set: u32 },
    /// Remove `ROUTES[key]`: back to the set of all children.
    Unroute { key: StreamKey },
    /// `PEERS[key] = 1`.
    AddPeer { key: ListenerKey },
    /// Remove `PEERS[key]`.
    RemovePeer { key: ListenerKey },
    /// Remove `GROUPS[key]`.
    RemoveGroup { key: GroupKey },
}

/// What a data plane already uses when a new daemon takes it over; none of it is touched until the first change has
/// put everything on fresh ground.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    /// Set ids other than 0, from `ROUTES` and `SETS`.
    pub sets: Vec<u32>,
    /// Instances in `SETS`, with their spans.
    pub instances: Vec<(u32, Span)>,
    /// Keys in `GROUPS`.
    pub groups: Vec<GroupKey>,
    /// Child slots behind those spans.
    pub slots: Vec<u32>,
    /// Keys in `PEERS`.
    pub peers: Vec<ListenerKey>,
    /// Keys in `ROUTES`.
    pub routes: Vec<StreamKey>,
}

/// Why a change cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FanoutError {
    /// More children than the relay has room for.
    #[error("a relay has at most {MAX_CHILDREN} children")]
    TooManyChildren,
    /// More routes than the map has room for.
    #[error("at most {MAX_ROUTES} streams can have a fan-out set of their own")]
    TooManyRoutes,
    /// More different sets than there is room for.
    #[error("at most {MAX_SUBSETS} different fan-out sets; let streams share some")]
    TooManySets,
    /// Two egress interfaces would share one cursor.
    #[error(
        "egress interfaces {0} and {1} cannot be used together by xdp (their indexes agree modulo 1024); use --mode tc"
    )]
    CursorClash(u32, u32),
    /// What earlier changes used is still within its grace; the same change works a moment later.
    #[error("too many changes within {GRACE_MS} ms; try again")]
    Busy,
}
