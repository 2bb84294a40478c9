//! Prefixes of addresses: how they are written (CIDR), and whether they cover an address. Pure.
//!
//! Addresses of both IP versions are 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2): the relay's maps have them
//! like that.

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

/// A prefix of addresses.
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

    /// Reads an address, or ADDRESS/BITS. An error says what is wrong and how to write it.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        let form = "write an address or ADDRESS/BITS, for instance 10.0.0.7, 10.1.0.0/16 or fd00:1::/64";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else { return Err(form.to_owned()) };
        if address.to_canonical() != address {
            return Err(format!("write IPv4 addresses as such: {}", address.to_canonical()));
        }
        let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = match bits.map(str::parse::<u32>) {
            None => most,
            Some(Ok(bits)) if bits <= most => bits,
            Some(_) => return Err(format!("the bits are a number from 0 to {most}; {form}")),
        };
        let whole = Prefix::from(address);
        let prefix = Prefix { length: before + bits, address: masked(whole.address, before + bits) };
        match prefix.address == whole.address {
            true => Ok(prefix),
            false => Err(format!("bits are set beyond the first {bits}; write {prefix}")),
        }
    }

    /// Is the address, as [`mapped`] gives it, one of these?
    pub fn covers(&self, address: &[u8; 16]) -> bool {
        let differ = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(*address);
        // All 128 bits are shifted out of an empty prefix.
        differ.checked_shr(128 - self.length.min(128)).unwrap_or(0) == 0
    }
}

fn masked(address: [u8; 16], length: u32) -> [u8; 16] {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    (u128::from_be_bytes(address) & mask).to_be_bytes()
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
