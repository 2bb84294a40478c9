//! What is known of a packet, on its CPU, while the kernel copies it.

use crate::packet::{set_word, set_word32, set_word64, word, word32, word64};
use crate::parse::ETHERNET;

/// Value of `CURSORS`, per CPU: where the devmap program is in the copies of one packet on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Cursor {
    /// [`Token::packet`] of the last copy seen.
    pub packet: u64,
    /// Position of the next copy's member.
    pub next: u32,
    /// Position after this interface's last member.
    pub end: u32,
}

/// Value of `SERIAL`, per CPU: what this CPU gave to the kernel to be broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Broadcasts {
    /// Packets, modulo 2^32: the high half of [`Token::packet`].
    pub packets: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// Copies wanted of them, but for [`TOKEN_LARGE`] ones. What is missing beside [`Pending::made`] the kernel did not make: it leaves an
    /// interface out that is down or cannot transmit XDP frames, and no program or tracepoint hears of it.
    pub wanted: u64,
}

/// Copies that the kernel collects for one interface before it hands them to the driver (`DEV_MAP_BULK_SIZE`).
pub const BULK: usize = 16;

/// In [`Pending::children`]: a frame that is for nobody.
pub const NOBODY: u32 = u32::MAX;

/// Value of `PENDING`, per CPU: the copies on their way to the driver in this very bulk. The kernel runs the devmap
/// program over a bulk, hands it over and reports the outcome without anything in between on that CPU, so the report
/// can be told from another namespace's and each refused copy has a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Pending {
    /// Interface that the bulk is for.
    pub ifindex: u32,
    /// Copies in it.
    pub count: u32,
    /// Their children's counter indexes, in order.
    pub children: [u32; BULK],
    /// This interface's cursor, taken out of `CURSORS` while it is in use: copies come in runs for one interface.
    pub cursor: Cursor,
    /// Copies that the kernel made, for whatever interface: see [`Broadcasts::wanted`].
    pub made: u64,
}

/// What a packet that is being broadcast has instead of an Ethernet header, which each copy gets its own of anyway. In
/// front of the packet, as XDP metadata, it would cost a call of the kernel and a cache line of each copy, and not every
/// driver has room there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which packet on this CPU in the high half, which instance of which fan-out set in the low one.
    pub packet: u64,
    /// Kind in the low byte, then [`TOKEN_RTCP`] and so on, the packet's source port in the high half.
    pub flags: u32,
}

impl Token {
    /// The token in these bytes; `None` when the relay did not write it.
    #[inline(always)]
    pub fn read(bytes: &[u8; ETHERNET]) -> Option<Token> {
        if word(bytes, 12) != TOKEN_ETHERTYPE {
            return None;
        }
        Some(Token { packet: word64::<0>(bytes), flags: word32::<8>(bytes) })
    }

    /// Makes an Ethernet header this token.
    #[inline(always)]
    pub fn write(&self, bytes: &mut [u8; ETHERNET]) {
        set_word64::<0>(bytes, self.packet);
        set_word32::<8>(bytes, self.flags);
        set_word(bytes, 12, TOKEN_ETHERTYPE);
    }

    /// The instance that the packet goes to.
    #[inline(always)]
    pub const fn instance(&self) -> u32 {
        self.packet as u32
    }
}

/// Says that the relay wrote it, where others have 08 00 or 86 dd: "local experimental EtherType 1" (IEEE 802), which no
/// network carries.
pub const TOKEN_ETHERTYPE: u16 = u16::from_ne_bytes([0x88, 0xb5]);
/// Flag of a token: RTCP, to the port after.
pub const TOKEN_RTCP: u32 = 0x100;
/// Flag of a token: IPv6.
pub const TOKEN_V6: u32 = 0x200;
/// Flag of a token: the copies are wanted by `relay-ctl capture`.
pub const TOKEN_CAPTURE: u32 = 0x400;
/// Flag of a token: the sender has a child's address, and that child gets no copy of its own packets.
pub const TOKEN_FROM_CHILD: u32 = 0x800;

/// Flag of a token: the packet is larger than the MTU of some of the ways out.
pub const TOKEN_LARGE: u32 = 0x1000;

/// Where the source port starts in [`Token::flags`].
pub const TOKEN_PORT_SHIFT: u32 = 16;
