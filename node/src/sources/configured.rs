//! Sources that are configured: the setting, and what it may say.

use std::collections::BTreeSet;

use crate::config::{ConfigError, Kind, Setting};
use crate::prefix::Prefix;

/// The setting, of nodes that take media from others.
pub const SETTING: Setting = Setting {
    name: "sources",
    kind: Kind::List("source"),
    value: "CIDR",
    default: "anybody, in a tree the parent",
    help: "Where media is taken from: an address or ADDRESS/BITS, IPv4 or IPv6; in a tree besides from the parent",
    ..Setting::NEW
};

/// Most that can be configured.
pub const MAX_CONFIGURED: usize = 64;

/// Checks what was given, each an address or a prefix, or several with commas between.
pub fn parse_all(texts: &[String]) -> Result<BTreeSet<Prefix>, ConfigError> {
    let read = |text: &str| {
        let text = text.trim();
        Prefix::parse(text).map_err(|why| ConfigError(format!("--source '{text}': {why}")))
    };
    let texts = texts.iter().flat_map(|texts| texts.split(','));
    let sources = texts.map(read).collect::<Result<BTreeSet<_>, _>>()?;
    if sources.len() > MAX_CONFIGURED {
        return Err(ConfigError(format!(
            "{} sources, but a node takes at most {MAX_CONFIGURED}; name prefixes (--source 10.0.0.0/8) instead of addresses",
            sources.len()
        )));
    }
    Ok(sources)
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
    }
}
