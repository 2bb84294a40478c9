//! What `relay-ctl capture` wants, and gets.

/// Value of `CAPTURE_FILTER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CaptureFilter {
    /// Capture until then, CLOCK_MONOTONIC ns; a capturing process that dies stops costing anything by itself.
    pub until: u64,
    /// SSRC wanted, when `any_ssrc` is 0.
    pub ssrc: u32,
    /// RTP port wanted; 0: any.
    pub port: u32,
    /// 1: any SSRC.
    pub any_ssrc: u32,
    /// Explicit padding.
    pub reserved: u32,
}

/// Head of an entry of the `CAPTURE` ring; the packet's bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CaptureHead {
    /// CLOCK_MONOTONIC ns.
    pub time: u64,
    /// Interface it came in on or goes out of.
    pub ifindex: u32,
    /// Length of the packet on the wire.
    pub length: u32,
    /// Bytes kept.
    pub kept: u32,
    /// 1: a copy going out.
    pub outgoing: u32,
}
