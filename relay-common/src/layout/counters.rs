//! What is counted.

/// Value of `CHILD_STATS`, per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChildStats {
    /// Copies handed to the egress interface.
    pub packets: u64,
    /// RTP and RTCP bytes in them.
    pub bytes: u64,
    /// Copies that could not be made or sent.
    pub errors: u64,
    /// Those of them that were larger than [`super::Child::mtu`].
    pub too_big: u64,
}

/// Value of `EGRESS`, by interface index modulo [`super::CURSORS`], per CPU: what became of the copies that xdp handed to a driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Egress {
    /// Frames the driver took.
    pub sent: u64,
    /// Frames it refused: ring full, link down, or no way to transmit XDP frames at all.
    pub refused: u64,
}

/// Value of `TOTALS`, by kind: what streams had counted that are not in `STREAMS` any more. Written by the daemon alone,
/// so that sums over streams never go down; the data plane does not read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Total {
    /// RTP packets.
    pub packets: u64,
    /// RTP bytes, headers included.
    pub bytes: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
}

impl core::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Total) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.rtcp_packets += other.rtcp_packets;
    }
}

impl From<&crate::stream::Stream> for Total {
    fn from(stream: &crate::stream::Stream) -> Total {
        Total { packets: stream.packets, bytes: stream.bytes, rtcp_packets: stream.rtcp_packets }
    }
}
