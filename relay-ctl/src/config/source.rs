//! Where media is taken from, as it is written: an address, or a prefix of addresses (CIDR).

use std::collections::BTreeSet;
use std::net::IpAddr;

use relay_common::layout::MAX_SOURCES;

use super::{ConfigError, bad};
use crate::address::Prefix;

/// Most that can be configured. With a parent's addresses ([`node::record::MAX_ADDRESSES`]) they fill half of the map: old
/// and new ones are there together for a moment whenever they change.
pub const MAX_CONFIGURED: usize = MAX_SOURCES as usize / 4;

/// Checks what was given, each an address or a prefix.
pub fn parse_all(texts: &[String]) -> Result<BTreeSet<Prefix>, ConfigError> {
    let sources = texts.iter().map(|text| parse(text.trim())).collect::<Result<BTreeSet<_>, _>>()?;
    if sources.len() > MAX_CONFIGURED {
        return bad(format!(
            "{} sources, but a relay takes at most {MAX_CONFIGURED}; name prefixes (--source 10.0.0.0/8) instead of addresses",
            sources.len()
        ));
    }
    Ok(sources)
}

fn parse(text: &str) -> Result<Prefix, ConfigError> {
    let form = "write an address or ADDRESS/BITS, for instance 10.0.0.7, 10.1.0.0/16 or fd00:1::/64";
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return bad(format!("--source '{text}': {form}"));
    };
    if address.to_canonical() != address {
        return bad(format!("--source '{text}': write IPv4 addresses as such: {}", address.to_canonical()));
    }
    let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let bits = match bits.map(str::parse::<u32>) {
        None => most,
        Some(Ok(bits)) if bits <= most => bits,
        Some(_) => return bad(format!("--source '{text}': the bits are a number from 0 to {most}; {form}")),
    };
    let whole = Prefix::from(address);
    let prefix = Prefix { length: before + bits, address: masked(whole.address, before + bits) };
    if prefix.address != whole.address {
        return bad(format!("--source '{text}': bits are set beyond the first {bits}; write {prefix}"));
    }
    Ok(prefix)
}

fn masked(address: [u8; 16], length: u32) -> [u8; 16] {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    (u128::from_be_bytes(address) & mask).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        parse_all(&[text.to_owned()])
            .map(|sources| sources.iter().map(ToString::to_string).collect())
            .map_err(|error| error.0)
    }

    #[test]
    fn sources_are_addresses_or_prefixes_of_both_ip_versions() {
        let table = [
            ("10.0.0.7", "10.0.0.7/32"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            (" 192.0.2.128/25 ", "192.0.2.128/25"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::7", "fd00::7/128"),
            ("fd00:1::/64", "fd00:1::/64"),
            ("::/0", "any"),
        ];
        for (text, wanted) in table {
            assert_eq!(parsed(text).as_deref(), Ok(wanted), "{text}");
        }
        let twice = ["10.0.0.7".to_owned(), "10.0.0.7/32".to_owned()];
        assert_eq!(parse_all(&twice).unwrap().len(), 1);
    }

    #[test]
    fn a_bad_source_is_refused_in_one_line_that_says_how() {
        let table = [
            ("", "for instance"),
            ("relay-1", "for instance"),
            ("10.0.0", "for instance"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/x", "from 0 to 32"),
            ("10.0.0.0/", "from 0 to 32"),
            ("fd00::/129", "from 0 to 128"),
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("fd00::1/64", "fd00::/64"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ];
        for (text, wanted) in table {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(wanted) && error.contains(&format!("'{text}'")), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn too_many_sources_are_refused() {
        let many = |count: usize| (0..count).map(|last| format!("10.0.0.{last}")).collect::<Vec<_>>();
        assert_eq!(parse_all(&many(MAX_CONFIGURED)).unwrap().len(), MAX_CONFIGURED);
        assert!(parse_all(&many(MAX_CONFIGURED + 1)).unwrap_err().0.contains("at most 64"));
        assert!(MAX_CONFIGURED + node::record::MAX_ADDRESSES <= MAX_SOURCES as usize / 2);
    }
}
