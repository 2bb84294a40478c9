//! Where Janus is.

use super::setting::Setting;

/// The WebSocket of Janus unless told otherwise.
pub const DEFAULT: &str = "ws://127.0.0.1:8188";

/// `janus-url`, of a node that has a Janus beside it.
pub const JANUS_URL: Setting = Setting {
    name: "janus-url",
    old_names: &["janus"],
    value: "URL",
    default: DEFAULT,
    help: "WebSocket of Janus",
    ..Setting::NEW
};

/// A Janus, by the URL of its WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JanusUrl {
    /// The URL as it was written.
    pub url: String,
    /// Its host, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl JanusUrl {
    /// Reads `ws://HOST[:PORT][/PATH]`.
    pub fn parse(url: &str) -> Result<JanusUrl, String> {
        JanusUrl::parse_like(url, DEFAULT)
    }

    /// The same of an address that looks like this one.
    pub fn parse_like(url: &str, example: &str) -> Result<JanusUrl, String> {
        let form = &*format!("must be ws://HOST:PORT, for instance {example}");
        let rest = url.strip_prefix("ws://").ok_or(form)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or(form)?)
            }
            _ => (authority, 80),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@[]#\\".contains(c);
        if bare.is_empty() || bare.contains(odd) || url.contains(char::is_whitespace) {
            return Err(form.to_owned());
        }
        Ok(JanusUrl { url: url.to_owned(), host: bare.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_websockets() {
        let table = [
            (DEFAULT, Some(("127.0.0.1", 8188))),
            ("ws://janus/ws", Some(("janus", 80))),
            ("ws://[fd00::1]:8188/janus", Some(("fd00::1", 8188))),
            ("ws://[fd00::1]", Some(("fd00::1", 80))),
            ("ws://a:1?x", Some(("a", 1))),
            ("ws://user:pw@janus", None),
            ("wss://janus", None),
            ("http://a:8188", None),
            ("ws://", None),
            ("ws://:8188", None),
            ("ws://a:0", None),
            ("ws://a:x", None),
            ("ws://janus:99999", None),
            ("ws://a b", None),
            ("", None),
        ];
        for (url, wanted) in table {
            let found = JanusUrl::parse(url).ok().map(|janus| (janus.host, janus.port));
            assert_eq!(found, wanted.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }
}
