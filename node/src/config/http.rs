//! How HTTP is served: proxies in front, and how much anybody may take.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use super::setting::{Kind, Setting};
use super::{ConfigError, Settings};
use crate::http::{Bounds, Rate, Trusted};

/// `trusted-proxies`.
pub const TRUSTED_PROXIES: Setting = Setting {
    name: "trusted-proxies",
    kind: Kind::List("trusted-proxy"),
    value: "ADDRESS[/BITS]",
    default: "none",
    help: "Proxy in front of this node, whose word is taken for who asks (X-Forwarded-For or Forwarded): its address, or \
           a network",
    ..Setting::NEW
};
/// `proxy-protocol`.
pub const PROXY_PROTOCOL: Setting = Setting {
    name: "proxy-protocol",
    kind: Kind::Word(&["on", "off"]),
    value: "on|off",
    default: "off",
    help: "Whether trusted proxies begin every connection, of HTTP or RTMP, with a PROXY protocol header, version 1 or 2",
    ..Setting::NEW
};
/// `max-connections`.
pub const MAX_CONNECTIONS: Setting = Setting {
    name: "max-connections",
    value: "NUMBER",
    default: "half of the files that the process may open, at most 16384",
    help: "HTTP connections at once; 64 more are kept for /healthz, /readyz and /metrics",
    ..Setting::NEW
};
/// `max-client-connections`.
pub const MAX_CLIENT_CONNECTIONS: Setting = Setting {
    name: "max-client-connections",
    value: "NUMBER",
    default: "a quarter of max-connections",
    help: "HTTP connections of one client; those of trusted proxies are counted only with proxy-protocol",
    ..Setting::NEW
};
/// `max-client-requests`.
pub const MAX_CLIENT_REQUESTS: Setting = Setting {
    name: "max-client-requests",
    value: "NUMBER",
    default: "200",
    help: "HTTP requests of one client a second; two and a half times as many at once",
    ..Setting::NEW
};
/// `max-bodies`.
pub const MAX_BODIES: Setting = Setting {
    name: "max-bodies",
    value: "NUMBER",
    default: "1024",
    help: "HTTP requests at once whose bodies are still coming, 64 KiB each at most",
    ..Setting::NEW
};
/// `max-client-bodies`.
pub const MAX_CLIENT_BODIES: Setting = Setting {
    name: "max-client-bodies",
    value: "NUMBER",
    default: "128",
    help: "The same of one client",
    ..Setting::NEW
};

/// How HTTP is served, checked.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Whose word is taken for who asks.
    pub trusted: Trusted,
    /// Their connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Connections at once; `None`: what the process' limit of files allows.
    pub connections: Option<NonZeroUsize>,
    /// Of one client; `None`: a quarter of them.
    pub client_connections: Option<NonZeroUsize>,
    /// Requests of one client.
    pub rate: Rate,
    /// Requests whose bodies are still coming.
    pub bodies: NonZeroUsize,
    /// Of one client.
    pub client_bodies: NonZeroUsize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        const {
            HttpConfig {
                trusted: Trusted::NOBODY,
                proxy_protocol: false,
                connections: None,
                client_connections: None,
                rate: Rate::USUAL,
                bodies: NonZeroUsize::new(1024).unwrap(),
                client_bodies: NonZeroUsize::new(128).unwrap(),
            }
        }
    }
}

impl HttpConfig {
    /// Connections at once, as far as the process may have them.
    pub fn most_connections(&self) -> usize {
        let possible = Bounds::of_process().map_or(512, |bounds| bounds.connections);
        self.connections.map_or(possible, |wanted| wanted.get().min(possible))
    }

    /// Whether a peer is a proxy that says first for whom it connects.
    pub fn has_header(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.trusted.includes(peer)
    }

    pub(super) fn new(settings: &mut Settings<'_>) -> Result<HttpConfig, ConfigError> {
        let usual = HttpConfig::default();
        let proxies = settings.list(&TRUSTED_PROXIES)?;
        let trusted = match &proxies {
            Some(found) => {
                Trusted::parse(&found.value).map_err(|why| ConfigError(format!("{} {why}", found.name)))?
            }
            None => usual.trusted,
        };
        let protocol = settings.find(&PROXY_PROTOCOL)?;
        let proxy_protocol = protocol.as_ref().is_some_and(|found| found.value == "on");
        if let Some(found) = protocol.as_ref().filter(|_| proxy_protocol && trusted.is_nobody()) {
            return Err(ConfigError(format!(
                "{} is on, and no proxy is named whose headers would be believed; name it by --trusted-proxy ADDRESS",
                found.name
            )));
        }
        let connections = settings.get(&MAX_CONNECTIONS, count)?;
        let client_connections = settings.get(&MAX_CLIENT_CONNECTIONS, count)?;
        if let (Some(all), Some(one)) = (connections, client_connections)
            && one > all
        {
            settings
                .warnings
                .push(format!("max-client-connections {one} plays no part beside max-connections {all}"));
        }
        if let Ok(possible) = Bounds::of_process()
            && let Some(wanted) = connections.filter(|wanted| wanted.get() > possible.connections)
        {
            settings.warnings.push(format!(
                "max-connections {wanted} is more than the {} that the limit of open files (ulimit -n, LimitNOFILE) \
                 leaves; {} it is",
                possible.connections, possible.connections
            ));
        }
        let per_second = settings.get(&MAX_CLIENT_REQUESTS, rate)?;
        Ok(HttpConfig {
            trusted,
            proxy_protocol,
            connections,
            client_connections,
            rate: per_second.map_or(usual.rate, Rate::per_second),
            bodies: settings.get(&MAX_BODIES, count)?.unwrap_or(usual.bodies),
            client_bodies: settings.get(&MAX_CLIENT_BODIES, count)?.unwrap_or(usual.client_bodies),
        })
    }
}

/// How many there may be of something.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    // As many as memory could hold; more is a slip.
    let number = text.trim().parse().ok().filter(|number: &NonZeroUsize| number.get() <= 10_000_000);
    number.ok_or_else(|| "must be a number from 1 to 10000000".to_owned())
}

/// How many there may be in a second.
pub fn rate(text: &str) -> Result<NonZeroU32, String> {
    let number = text.trim().parse().ok().filter(|number: &NonZeroU32| number.get() <= 1_000_000);
    number.ok_or_else(|| "must be a number a second, from 1 to 1000000".to_owned())
}
