//! Addresses as the maps have them: 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2), and prefixes of those.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An address as the maps have it.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address that the maps have.
pub fn unmapped(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// A prefix of addresses that media is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Bits that count, of 128; an IPv4 prefix has 96 more than it is written with.
    pub length: u32,
    /// As [`mapped`] gives it; bits that do not count are 0.
    pub address: [u8; 16],
}

impl Prefix {
    /// Every address.
    pub const ANY: Prefix = Prefix { length: 0, address: [0; 16] };

    /// Is the address, as [`mapped`] gives it, one of these?
    pub fn covers(&self, address: &[u8; 16]) -> bool {
        let differ = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(*address);
        // All 128 bits are shifted out of an empty prefix.
        differ.checked_shr(128 - self.length.min(128)).unwrap_or(0) == 0
    }
}

/// One address.
impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Prefix {
        Prefix { length: 128, address: mapped(address) }
    }
}

/// As people write it: `any`, or CIDR.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = unmapped(self.address);
        match (self.length, address.is_ipv4()) {
            (0, _) => f.write_str("any"),
            (length, true) if length >= 96 => write!(f, "{address}/{}", length - 96),
            (length, _) => write!(f, "{}/{length}", Ipv6Addr::from(self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        for text in ["10.0.0.7", "fd00::7", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(unmapped(mapped(address)), address);
        }
        assert_eq!(mapped("10.0.0.7".parse().unwrap())[..12], relay_common::parse::MAPPED[..12]);
    }

    #[test]
    fn a_prefix_covers_the_addresses_that_begin_with_it() {
        let prefix = |address: &str, length| Prefix { length, address: mapped(address.parse().unwrap()) };
        let covers = |prefix: Prefix, address: &str| prefix.covers(&mapped(address.parse().unwrap()));
        assert!(covers(Prefix::ANY, "10.1.2.3") && covers(Prefix::ANY, "fd00::1"));
        assert!(covers(prefix("10.1.0.0", 96 + 16), "10.1.255.255"));
        assert!(!covers(prefix("10.1.0.0", 96 + 16), "10.2.0.0"));
        assert!(covers(prefix("fd00::", 64), "fd00::1") && !covers(prefix("fd00::", 64), "fd00:0:0:1::1"));
        assert!(!covers(prefix("0.0.0.0", 96), "fd00::1"), "IPv4 only");
    }
}
