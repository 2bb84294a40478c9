//! Why a packet, or one child's copy of it, was not forwarded. Each reason has one name, used by the counters, the
//! HTTP API, the metrics and docs/operations.md.

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $fate:ident;)+) => {
        /// Why a packet or a copy was not forwarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every reason, in the order of the `DROPS` map.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The reason with this number, as `reason as u32` gives it.
            #[inline(always)]
            pub const fn of(number: u32) -> Reason {
                if number as usize >= Self::ALL.len() {
                    return Reason::Runt;
                }
                // SAFETY: a unit-only enum of that representation, whose values are 0 to the length of `ALL`.
                unsafe { core::mem::transmute::<u32, Reason>(number) }
            }

            /// The name used everywhere outside.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// What happens to the packet.
            #[inline(always)]
            pub const fn fate(self) -> Fate {
                match self { $(Reason::$variant => Fate::$fate,)+ }
            }
        }
    };
}

/// What happens to a packet that is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Goes on to the host's network stack, untouched.
    Stack,
    /// Ends here: it was media for this relay, and there is nobody to send it to or no way to.
    Dropped,
    /// One child's copy ends here; the packet itself and the other copies go on.
    CopyDropped,
}

reasons! {
    /// Shorter than its headers say.
    Runt = "runt", Stack;
    /// Neither IPv4 nor IPv6 (ARP, for one).
    NotIp = "not-ip", Stack;
    /// More than one VLAN tag, or 802.1ad.
    StackedVlan = "stacked-vlan", Stack;
    /// IPv4 options (RFC 791 section 3.1).
    IpOptions = "ip-options", Stack;
    /// IPv6 extension headers (RFC 8200 section 4).
    ExtensionHeader = "extension-header", Stack;
    /// A fragment; only the first has ports.
    Fragment = "fragment", Stack;
    /// IPv4 or IPv6, but not UDP.
    NotUdp = "not-udp", Stack;
    /// The IPv4 header's checksum is wrong (RFC 1122 section 3.2.1.2 wants such a packet dropped, which the stack does).
    BadChecksum = "bad-checksum", Stack;
    /// IP and UDP lengths contradict each other or the frame.
    BadLength = "bad-length", Stack;
    /// For another address, or for another station's MAC.
    NotLocal = "not-local", Stack;
    /// For this relay, but not for a port it listens on.
    UnknownPort = "unknown-port", Stack;
    /// First byte outside 128..=191: STUN, DTLS, TURN, ZRTP or noise (RFC 7983 section 7).
    NotRtp = "not-rtp", Stack;
    /// Too short for an RTP (12 bytes) or RTCP (8 bytes) header.
    RtpRunt = "rtp-runt", Stack;
    /// UDP over IPv6 without a checksum (RFC 8200 section 8.1).
    NoChecksum6 = "udp6-no-checksum", Stack;
    /// TTL or hop limit would reach 0: most likely a loop of relays.
    TtlExpired = "ttl-expired", Stack;
    /// From an address that no other host can have: loopback, multicast, unspecified, or this relay's own.
    MartianSource = "martian-source", Stack;
    /// RTCP from a child; it must not go down to its siblings.
    RtcpFromChild = "rtcp-from-child", Stack;
    /// RTCP feedback (receiver report, NACK, PLI …) from somebody who is no child: nothing for the children.
    RtcpFeedback = "rtcp-feedback", Stack;
    /// From an address that media is not taken from: in a tree all but the parent's, else see `--source`.
    Stranger = "stranger", Dropped;
    /// The SSRC comes from another source, which is live: a loop of relays, or two senders (RFC 3550 section 8.2).
    SsrcCollision = "ssrc-collision", Dropped;
    /// The stream's fan-out set is empty.
    NoChildren = "no-children", Dropped;
    /// The stream's fan-out set has no devmap: the daemon died in the middle of its very first set-up.
    NoFanoutSet = "no-fanout-set", Dropped;
    /// The kernel refused to change the packet (VLAN tag, headroom, writable head).
    NotWritable = "not-writable", Dropped;
    /// A copy came without the relay's token: some other program redirected it.
    CopyWithoutToken = "copy-without-token", CopyDropped;
    /// More copies than children: never seen; would mean the kernel's walk order changed.
    CopyWithoutChild = "copy-without-child", CopyDropped;
    /// The kernel did not make the copy: its interface is down or cannot transmit XDP frames, or no memory was left.
    CopyNotMade = "copy-not-made", CopyDropped;
    /// The child is where the packet came from; sending it back would be a loop.
    ChildIsSender = "child-is-sender", CopyDropped;
    /// IPv4 packet and IPv6 child, or the other way round.
    OtherFamily = "other-family", CopyDropped;
    /// The copy is larger than the MTU of the way to the child.
    TooBig = "too-big", CopyDropped;
    /// The egress interface or its queue refused the copy.
    EgressRefused = "egress-refused", CopyDropped;
    /// The table of streams is full: forwarded all the same, but without statistics of its own.
    StreamTableFull = "stream-table-full", CopyDropped;
    /// No media, but in one socket buffer behind media: gone with it to the children, who pass over it (RFC 7983).
    ForeignSegment = "foreign-segment", CopyDropped;
    /// A socket buffer of several packets (UDP_SEGMENT, GRO) that do not all go to the same children.
    MixedSegments = "mixed-segments", Dropped;
    /// The queue of the CPU that the stream belongs to is full (`--cpus`).
    CpuBusy = "cpu-busy", Dropped;
    /// The packet has come already, and is not forwarded again: the network doubled it, it was sent twice, or two parents sent it.
    Duplicate = "duplicate", Dropped;
    /// The packet has come already, but in one socket buffer with some that have not: gone with them to the children, who forward it
    /// to nobody.
    RepeatedSegment = "repeated-segment", CopyDropped;
}
