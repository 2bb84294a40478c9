//! URLs of STUN and TURN servers (RFC 7064, RFC 7065), as browsers take them: anything else in a list of servers has a browser
//! refuse the whole list.

use std::fmt;
use std::net::Ipv6Addr;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// STUN: tells an address.
    Stun,
    /// STUN over TLS.
    Stuns,
    /// TURN: relays.
    Turn,
    /// TURN over TLS.
    Turns,
}

/// How a client speaks to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceUrl {
    /// What it does.
    pub scheme: Scheme,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Its port, if it is not the scheme's own.
    pub port: Option<u16>,
    /// `?transport=`, if it is said.
    pub transport: Option<Transport>,
}

impl Scheme {
    const ALL: [(&str, Scheme); 4] =
        [("stun", Scheme::Stun), ("stuns", Scheme::Stuns), ("turn", Scheme::Turn), ("turns", Scheme::Turns)];

    fn is_turn(self) -> bool {
        matches!(self, Scheme::Turn | Scheme::Turns)
    }

    fn is_secure(self) -> bool {
        matches!(self, Scheme::Stuns | Scheme::Turns)
    }
}

impl IceUrl {
    /// Reads one. An error says what it must be.
    pub fn parse(text: &str) -> Result<IceUrl, String> {
        let form = || {
            "must be stun:HOST:PORT or turn:HOST:PORT?transport=udp (or tcp; turns: for TLS), for instance \
             turn:turn.example:3478?transport=tcp"
                .to_owned()
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(form)?;
        let known = Scheme::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
        let scheme = known.ok_or_else(form)?.1;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let (host, port) = host_and_port(authority).ok_or_else(form)?;
        let transport = match query {
            None => None,
            Some(_) if !scheme.is_turn() => {
                return Err("stun: takes nothing after the port; browsers refuse it".to_owned());
            }
            Some("transport=udp") => Some(Transport::Udp),
            Some("transport=tcp") => Some(Transport::Tcp),
            Some(_) => return Err(form()),
        };
        Ok(IceUrl { scheme, host, port, transport })
    }

    /// It relays, and wants to know who asks.
    pub fn is_turn(&self) -> bool {
        self.scheme.is_turn()
    }

    /// It is spoken to over TLS, or DTLS.
    pub fn is_secure(&self) -> bool {
        self.scheme.is_secure()
    }

    /// The port, the scheme's own if none is named.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_secure() { 5349 } else { 3478 })
    }

    /// How it is spoken to: TLS runs over TCP unless told otherwise (RFC 7065 section 3.1).
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(if self.is_secure() { Transport::Tcp } else { Transport::Udp })
    }
}

/// `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`. What else a URL may have (a user, a path) these have not.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (!host.is_empty() && host.len() <= 253 && host.bytes().all(named)).then_some(())?;
            (host, port)
        }
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|number| *number != 0 && digits(port))?),
    };
    Some((host.to_owned(), port))
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme =
            Scheme::ALL.iter().find(|(_, scheme)| *scheme == self.scheme).map_or("", |(name, _)| name);
        match self.host.contains(':') {
            true => write!(f, "{scheme}:[{}]", self.host)?,
            false => write!(f, "{scheme}:{}", self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            None => Ok(()),
            Some(Transport::Udp) => f.write_str("?transport=udp"),
            Some(Transport::Tcp) => f.write_str("?transport=tcp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_take_is_taken() {
        let table = [
            ("stun:stun.example", 3478, Transport::Udp, false),
            ("stun:stun.example:19302", 19302, Transport::Udp, false),
            ("stuns:[2001:db8::1]", 5349, Transport::Tcp, false),
            ("turn:10.0.0.5", 3478, Transport::Udp, true),
            ("turn:turn.example:80?transport=tcp", 80, Transport::Tcp, true),
            ("turn:turn_1.example?transport=udp", 3478, Transport::Udp, true),
            ("turns:turn.example:443?transport=tcp", 443, Transport::Tcp, true),
            ("turns:[2001:db8::1]:443", 443, Transport::Tcp, true),
        ];
        for (text, port, transport, is_turn) in table {
            let url = IceUrl::parse(text).unwrap();
            assert_eq!((url.port(), url.transport(), url.is_turn()), (port, transport, is_turn), "{text}");
            assert_eq!(url.to_string(), text);
        }
        assert_eq!(IceUrl::parse("TURN:a").unwrap().to_string(), "turn:a");
    }

    #[test]
    fn what_browsers_refuse_is_refused() {
        let table = [
            "",
            "stun",
            "stun:",
            "stun://stun.example",
            "turn://turn.example:3478",
            "http://stun.example",
            "stun:stun.example?transport=udp",
            "turn:turn.example?transport=sctp",
            "turn:turn.example?x=y",
            "turn:user@turn.example",
            "turn:user:password@turn.example",
            "turn:turn.example:0",
            "turn:turn.example:65536",
            "turn:turn.example:+1",
            "turn:turn.example/path",
            "turn:fd00::1",
            "turn:[fd00::1",
            "turn:[fd00::1]x",
            "turn:[turn.example]",
            "turn:a b",
            "turn:a>",
            "turn:a\r\nX: y",
        ];
        for text in table {
            let why = IceUrl::parse(text).unwrap_err();
            assert!(!why.contains('\n') && why.len() < 200, "{text}: {why}");
        }
    }
}
