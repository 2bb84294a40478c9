//! Whom a token may be shown to, where Redis says whom to ask: whoever can write there would be shown it otherwise. Pure.

use std::net::IpAddr;

use axum::http::Uri;

use crate::prefix::{Prefix, mapped};

/// Most of them; more are a slip.
const MOST: usize = 256;

/// Hosts that are trusted with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedHosts {
    /// `None`: everybody is.
    only: Option<Vec<Host>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    /// All names that end so, with the dot: `.media.example`.
    Below(String),
    Addresses(Prefix),
}

impl TrustedHosts {
    /// Reads names, `*.NAME`, addresses and ADDRESS/BITS; of none everybody is trusted. An error says what is wrong and how to write it.
    pub fn read<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<TrustedHosts, String> {
        let hosts =
            hosts.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
        let only = hosts.map(host).collect::<Result<Vec<Host>, String>>()?;
        if only.len() > MOST {
            return Err(format!("{} hosts are more than {MOST}; write ADDRESS/BITS or *.NAME", only.len()));
        }
        Ok(TrustedHosts { only: Some(only).filter(|only| !only.is_empty()) })
    }

    /// Nobody was named.
    pub fn are_all(&self) -> bool {
        self.only.is_none()
    }

    /// With the host of an address that somebody has named besides.
    pub fn and(mut self, url: &str) -> TrustedHosts {
        if let (Some(only), Some(Ok(more))) = (&mut self.only, host_of(url).map(|name| host(&name))) {
            only.push(more);
        }
        self
    }

    /// Whether a server at this address may be shown the token.
    pub fn admit(&self, url: &str) -> bool {
        let Some(only) = &self.only else { return true };
        let Some(asked) = host_of(url) else { return false };
        let address = asked.parse::<IpAddr>().ok().map(mapped);
        only.iter().any(|host| match host {
            Host::Name(name) => *name == asked,
            Host::Below(end) => asked.len() > end.len() && asked.ends_with(end.as_str()),
            Host::Addresses(prefix) => address.is_some_and(|address| prefix.covers(&address)),
        })
    }
}

fn host(text: &str) -> Result<Host, String> {
    if let Ok(prefix) = Prefix::parse(text) {
        return Ok(Host::Addresses(prefix));
    }
    let name = text.strip_prefix('*').unwrap_or(text).to_ascii_lowercase();
    let (bare, is_below) = match name.strip_prefix('.') {
        Some(bare) if text.starts_with('*') => (bare, true),
        _ => (&*name, false),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bare.is_empty()
        || bare.starts_with('.')
        || !bare.chars().all(is_plain)
        || (!is_below && text.starts_with('*'))
    {
        return Err(
            "write a host's name, *.NAME for all names below it, an address, or ADDRESS/BITS; without a port"
                .to_owned(),
        );
    }
    Ok(if is_below { Host::Below(name) } else { Host::Name(name) })
}

/// Of `http://HOST[:PORT]/…` or `HOST:PORT`, IPv6 without brackets: whom [`Asking`](crate::asking::Asking) would connect to, since it reads
/// addresses the same way. `None`: nobody, for this is no address.
fn host_of(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let host = url.host()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(bare.to_ascii_lowercase()).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_trusted() {
        let hosts = TrustedHosts::read(["10.0.0.0/8, egress-1", "*.media.example", "fd00::7"]).unwrap();
        for (url, is_trusted) in [
            ("http://10.1.2.3:7073/drain", true),
            ("http://11.1.2.3:7073/drain", false),
            ("http://egress-1:7073", true),
            ("https://EGRESS-1/x", true),
            ("http://egress-10:7073", false),
            ("https://a.b.media.example/drain", true),
            ("https://media.example/drain", false),
            ("https://evilmedia.example/drain", false),
            ("http://[fd00::7]:7073/x", true),
            ("http://[fd00::8]:7073/x", false),
            ("http://egress-1@evil.example/", false),
            ("http://evil.example/?@egress-1", false),
            ("http://evil.example#egress-1", false),
            ("http://evil.example\\@egress-1", false),
            ("http://egress-1\\@evil.example/", false),
            ("http://egress-1:7073@evil.example/", false),
            ("http://egress-1%00.evil.example/", false),
            ("http://[::ffff:10.1.2.3]:7073/x", true),
            ("http://egress-1 /", false),
            ("/egress-1", false),
            ("", false),
        ] {
            assert_eq!(hosts.admit(url), is_trusted, "{url}");
        }
        assert!(
            !hosts.clone().admit("http://node:7071/") && hosts.and("node:7071").admit("http://node:7071/")
        );
    }

    #[test]
    fn of_nobody_named_all_are_trusted() {
        for list in [vec![], vec![""], vec![" , "]] {
            let hosts = TrustedHosts::read(list).unwrap();
            assert!(hosts.are_all() && hosts.admit("http://anybody/") && hosts.and("x").admit("http://y"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["*", "*media", "a b", "http://a", "a:80", "*.", "10.0.0.1/33", "-é"] {
            assert!(TrustedHosts::read([text]).is_err(), "{text}");
        }
    }
}
