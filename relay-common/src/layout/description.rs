//! What the relay and its children are, for people and for the next daemon: no packet is decided by it.

/// Value of `RELAY`: what the data plane is, for `status` and for the next daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Relay {
    /// [`super::VERSION`].
    pub version: u32,
    /// [`MODE_XDP`] or [`MODE_TC`].
    pub mode: u32,
    /// Interface attached to.
    pub ifindex: u32,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// Changes of fan-out sets so far.
    pub generation: u64,
    /// When the data plane was attached, ms since the epoch.
    pub attached: u64,
    /// Node's name, UTF-8, padded with zeros.
    pub node: [u8; NAME],
    /// Why this mode, UTF-8, padded with zeros.
    pub mode_reason: [u8; HOST],
}

/// [`Relay::mode`]: XDP ingress and devmap program.
pub const MODE_XDP: u32 = 1;
/// [`Relay::mode`]: tcx ingress.
pub const MODE_TC: u32 = 2;

/// Value of `CHILD_INFO`: who a child is, for people and for the next daemon. The data plane does not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ChildInfo {
    /// Name, UTF-8, padded with zeros; empty: no such child.
    pub name: [u8; NAME],
    /// Host as it was given, UTF-8, padded with zeros.
    pub host: [u8; HOST],
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// Child slot in force + 1; 0 while the child is not resolved.
    pub slot: u32,
}

/// Bytes of a child's name.
pub const NAME: usize = 64;
/// Bytes of a host name (RFC 1035 section 2.3.4 allows 255).
pub const HOST: usize = 256;
