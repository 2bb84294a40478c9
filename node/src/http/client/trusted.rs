//! The proxies whose word is taken.

use std::net::IpAddr;

use crate::prefix::{Prefix, mapped};

/// Most entries: each request's peer is looked for among all of them.
const MOST: usize = 256;

/// Addresses and networks of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Vec<Prefix>);

impl Trusted {
    /// No proxy.
    pub const NOBODY: Trusted = Trusted(Vec::new());

    /// Each an address or ADDRESS/BITS; an error says which is none, and what to write.
    pub fn parse(texts: &[String]) -> Result<Trusted, String> {
        if texts.len() > MOST {
            return Err(format!("names {} proxies; at most {MOST}, so name their networks", texts.len()));
        }
        texts.iter().map(|text| entry(text.trim())).collect::<Result<_, _>>().map(Trusted)
    }

    /// True if there is none.
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// True if it is one of them.
    pub fn includes(&self, address: IpAddr) -> bool {
        let address = mapped(address);
        self.0.iter().any(|network| network.covers(&address))
    }
}

fn entry(text: &str) -> Result<Prefix, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Prefix::from(address));
    }
    let named = |why: &str| format!("'{}': {why}", text.escape_debug());
    let network = Prefix::parse(text).map_err(|why| named(&why))?;
    // Whoever asks could be anybody then, for whoever asks could say so.
    if text.ends_with("/0") {
        return Err(named("everybody would be trusted; name the proxies or their network"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_network_is_named() {
        let parse = |text: &str| Trusted::parse(&[text.to_owned()]);
        for (text, wanted) in [
            ("proxy-1", "'proxy-1': write an address"),
            ("10.0.0.1/33", "from 0 to 32; write an address"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("0.0.0.0/0", "everybody"),
            ("::/0", "everybody"),
            ("", "write an address"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(wanted), "{text}: {why}");
        }
        let some = parse("10.1.0.0/16").unwrap();
        assert!(
            some.includes("10.1.2.3".parse().unwrap()) && some.includes("::ffff:10.1.2.3".parse().unwrap())
        );
        assert!(!some.includes("10.2.0.1".parse().unwrap()) && !some.includes("fd00::1".parse().unwrap()));
        assert!(parse("::ffff:10.0.0.1").unwrap().includes("10.0.0.1".parse().unwrap()));
        assert!(Trusted::parse(&vec!["10.0.0.1".to_owned(); 300]).is_err());
    }
}
