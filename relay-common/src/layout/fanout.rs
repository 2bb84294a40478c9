//! Who gets a stream: sets, their instances, and what makes a copy a packet for one child.

use super::MAX_CHILDREN;
use crate::parse::ETHERNET;

/// What a change of a set's children flips, the value of `SETS`: one word, so that a packet sees all of it or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct SetWord(u64);

impl SetWord {
    /// `instance`: of the members of this IP version, 0 when there are none. `mtu`: the smallest of the ways to them, IP
    /// bytes. `others`: how many members have the other IP version.
    #[inline(always)]
    pub const fn new(instance: u32, mtu: u16, others: u16) -> SetWord {
        SetWord(instance as u64 | (mtu as u64) << 32 | (others as u64) << 48)
    }

    /// The instance of the members of this IP version; 0: there are none.
    #[inline(always)]
    pub const fn instance(self) -> u32 {
        self.0 as u32
    }

    /// The largest IP packet that fits the ways to all of them.
    #[inline(always)]
    pub const fn mtu(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Members of the other IP version.
    #[inline(always)]
    pub const fn others(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// Index in `SETS`. A set is two, one for each IP version: no program can make a packet of one into one of the other, and
/// what is not to be sent must not be in a devmap (the kernel rings the driver's bell only for the last copies of a poll).
#[inline(always)]
pub const fn half(set: u32, v6: bool) -> u32 {
    2 * set + v6 as u32
}

/// Value of `INSTANCES` and `GROUPS`: a run of positions in `MEMBERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// First position.
    pub first: u32,
    /// Number of members.
    pub count: u32,
    /// The interface that all of them are behind; 0: several.
    pub ifindex: u32,
}

/// Value of `SET_CHILDREN`: which children a set is meant to have, resolved or not, one bit for each counter index.
/// For the next daemon; the data plane does not read it.
pub type SetChildren = [u64; (MAX_CHILDREN / 64) as usize];

/// Key of `GROUPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct GroupKey {
    /// Instance.
    pub instance: u32,
    /// Egress interface.
    pub ifindex: u32,
}

/// Value of `CHILDREN`: what makes a copy a packet for one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Child {
    /// Next hop's MAC.
    pub destination_mac: [u8; 6],
    /// Egress interface's MAC.
    pub source_mac: [u8; 6],
    /// EtherType on the wire: 08 00 or 86 dd.
    pub ethertype: [u8; 2],
    /// Largest IP packet that fits the way to the child.
    pub mtu: u16,
    /// The relay's address towards the child; IPv4 mapped.
    pub source: [u8; 16],
    /// The child's address; IPv4 mapped.
    pub destination: [u8; 16],
    /// The child's RTP ports, by kind, host order. RTCP goes to the port after.
    pub ports: [u16; 2],
    /// Ones' complement sum of both addresses, folded to 16 bits, ready for the checksums.
    pub address_sum: u32,
    /// Egress interface.
    pub ifindex: u32,
    /// Index in `CHILD_STATS` and `CHILD_INFO`.
    pub counter: u32,
}

impl Child {
    /// The Ethernet header of a copy.
    #[inline(always)]
    pub fn ethernet(&self) -> &[u8; ETHERNET] {
        // SAFETY: repr(C) puts the first three fields, which are byte arrays of that length together, one after the other.
        unsafe { &*(&raw const *self).cast::<[u8; ETHERNET]>() }
    }
}
