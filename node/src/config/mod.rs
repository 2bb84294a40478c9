//! What all nodes are configured with: flags, environment and file, put together and checked before anything is bound.
//!
//! Which settings there are is said in tables ([`Setting`], [`COMMON`], each node's [`Table`]): flags, variables, keys of the
//! file, help texts and docs/settings.md follow from them. A node's configuration looks them up ([`Settings`]) and checks.
//!
//! Flags win over the environment, the environment over the file; an empty variable counts as none. Passwords and
//! tokens come from the environment or from files, never from flags: everybody on the machine can read those in the
//! process list.

mod common;
pub mod everyway;
mod file;
mod flags;
mod http;
mod ice;
mod janus;
mod log;
mod path;
mod ports;
mod redis;
mod setting;
mod source;
mod url;
mod whole;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use common::*;
pub use file::File;
pub use flags::Flags;
pub use http::*;
pub use ice::*;
pub use janus::{JANUS_URL, JanusUrl};
pub use log::{LogConfig, LogFormat, log_filter};
pub use path::{base_path, routes};
pub use ports::{DEFAULT_PORTS, check_pair};
pub use setting::{Kind, Setting, Table, Way};
pub use source::{Found, Level, Settings};
pub use whole::{WholeTreeConfig, whole_tree};

use crate::auth::Hosts;
use crate::secret::{Secret, SecretError};

/// How long a topology that was lost is held unless told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// `sweep-after` unless told otherwise.
pub const DEFAULT_SWEEP_AFTER: Duration = Duration::from_secs(600);
/// Tree that a node belongs to unless told otherwise.
pub const DEFAULT_TREE: &str = "tree-1";
/// Longest name of a node or tree.
pub const LONGEST_NAME: usize = 63;
/// Longest host name (RFC 1035).
const LONGEST_HOST: usize = 253;
/// Longest address of HTTP.
const LONGEST_URL: usize = 1024;
/// A day: whoever means to hold a topology for longer has mistaken the unit.
const LONGEST_GRACE: f64 = 86_400.0;

/// Something in the configuration is wrong; exit code 64.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl From<SecretError> for ConfigError {
    fn from(error: SecretError) -> Self {
        ConfigError(error.to_string())
    }
}

/// Which Redis, checked.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is.
    pub server: RedisServer,
    /// User name (ACL), if any.
    pub user: Option<String>,
    /// Password, if any.
    pub password: Option<Secret>,
    /// Database number.
    pub database: i64,
    /// TLS.
    pub tls: bool,
    /// File with the certificate authority to trust besides the usual ones (PEM).
    pub tls_ca: Option<PathBuf>,
}

impl RedisConfig {
    /// One server, without password and TLS.
    pub fn single(host: &str, port: u16) -> RedisConfig {
        RedisConfig {
            server: RedisServer::Single { host: host.to_owned(), port },
            user: None,
            password: None,
            database: 0,
            tls: false,
            tls_ca: None,
        }
    }
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServer {
    /// One server.
    Single {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// The master that sentinels name.
    Sentinel {
        /// Host and TCP port of each, in the order in which they are asked.
        sentinels: Vec<(String, u16)>,
        /// The name that they know the master by.
        master: String,
    },
    /// The masters of a Redis Cluster.
    Cluster {
        /// Host and TCP port of some of its nodes, in the order in which they are asked for the others.
        seeds: Vec<(String, u16)>,
    },
}

/// What the tree is to know of this node, checked.
#[derive(Clone, Debug)]
pub struct TreeConfig {
    /// Redis.
    pub redis: RedisConfig,
    /// How long a topology that was lost is held before it is obeyed.
    pub grace: Duration,
    /// How long a node has to be gone until what it left in Redis is taken out; zero: this node takes nothing out.
    pub sweep_after: Duration,
}

/// What differs between kinds of nodes in what all have.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// `node-id`.
    pub node_id: &'static str,
    /// `api-port`.
    pub api_port: u16,
    /// `drain-limit`.
    pub drain_limit: Duration,
}

/// What every node is configured with, checked.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name.
    pub node_id: String,
    /// Tree.
    pub tree_id: String,
    /// Host name or address that other nodes send media to.
    pub host: Option<String>,
    /// Where the node stands; empty if nothing was said.
    pub zone: String,
    /// Where others reach its HTTP, if that was said; without a slash at the end.
    pub public_url: Option<String>,
    /// The tree in Redis; a node run without has none.
    pub tree: Option<TreeConfig>,
    /// How long giving away what the node has may take before it ends.
    pub drain_limit: Duration,
    /// What requests that change something must know.
    pub token: Option<Secret>,
    /// What requests that read must know.
    pub read_token: Option<Secret>,
    /// Names that the node is asked by where there is no token.
    pub hosts: Hosts,
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// How it is served.
    pub http: HttpConfig,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// What is logged, and how.
    pub log: LogConfig,
    /// What is allowed and probably not meant, for the log and `status`.
    pub warnings: Vec<String>,
}

impl NodeConfig {
    /// What every node has, of all that was asked for, checked as a whole.
    pub fn new(defaults: Defaults, settings: &mut Settings<'_>) -> Result<NodeConfig, ConfigError> {
        let token = settings.token(&API_TOKEN_FILE)?.map(|token| token.value);
        let read_token = settings.token(&READ_TOKEN_FILE)?;
        if let (None, Some(reading)) = (&token, &read_token) {
            return bad(format!(
                "{} would guard what is read and leave open what is changed; set API_TOKEN or --api-token-file as well",
                reading.name
            ));
        }
        let grace = settings.find(&TOPOLOGY_GRACE)?;
        let grace_given = grace.as_ref().map(|grace| grace.name.clone());
        let grace = grace.map_or(Ok(DEFAULT_GRACE), |grace| grace.checked(seconds))?;
        let sweep_after = settings.find(&SWEEP_AFTER)?;
        let sweep_after_given = sweep_after.as_ref().map(|after| after.name.clone());
        let sweep_after = sweep_after.map_or(Ok(DEFAULT_SWEEP_AFTER), |after| after.checked(seconds))?;
        let redis = redis::config(settings)?;
        if redis.is_none() {
            let useless = [grace_given, sweep_after_given].into_iter().flatten();
            settings.warnings.extend(useless.map(|name| redis::useless(&name)));
        }
        let ports = ports::rtp_ports(settings)?;
        let host = settings.get(&NODE_HOST, node_host)?;
        let names = match settings.list(&ALLOWED_HOSTS)? {
            Some(list) => {
                list.value.iter().map(|name| host_pattern(&list.name, name)).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        Ok(NodeConfig {
            node_id: settings.get(&NODE_ID, name)?.unwrap_or_else(|| defaults.node_id.to_owned()),
            tree_id: settings.get(&TREE_ID, name)?.unwrap_or_else(|| DEFAULT_TREE.to_owned()),
            zone: settings.get(&ZONE, name)?.unwrap_or_default(),
            public_url: settings.get(&PUBLIC_URL, public_url)?,
            hosts: Hosts::new(names.into_iter().chain(host.clone())),
            host,
            read_token: read_token.map(|token| token.value),
            drain_limit: settings.get(&DRAIN_LIMIT, seconds)?.unwrap_or(defaults.drain_limit),
            tree: redis.map(|redis| TreeConfig { redis, grace, sweep_after }),
            api: api(settings, token.is_some(), defaults.api_port)?,
            http: HttpConfig::new(settings)?,
            token,
            ports,
            log: LogConfig {
                filter: settings.get(&LOG, log_filter)?.unwrap_or_else(|| "info".to_owned()),
                format: settings.get(&LOG_FORMAT, log::log_format)?.unwrap_or_default(),
            },
            warnings: std::mem::take(&mut settings.warnings),
        })
    }
}

/// A host's name without a port, or `*.` and the end of several.
fn host_pattern(setting: &str, text: &str) -> Result<String, ConfigError> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let sound = name.len() <= LONGEST_HOST && !name.is_empty();
    if sound && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Ok(text.to_owned());
    }
    let text = text.escape_debug();
    bad(format!(
        "{setting} '{text}': must be a host name without port, such as media.example.com or *.example.com"
    ))
}

/// Where the HTTP API listens: `api`, with the port of `api-port` if that was said at a higher level. Without either it is
/// open to others only if they need a token. One that is open without is allowed, for there are networks where that is
/// right, and warned about.
fn api(settings: &mut Settings<'_>, has_token: bool, default_port: u16) -> Result<SocketAddr, ConfigError> {
    let host = if has_token { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let api = address(settings, host, default_port)?;
    if !has_token && !api.ip().to_canonical().is_loopback() {
        settings.warnings.push(format!(
            "the HTTP API on {api} is open to the network without a token: whoever reaches it can change what this \
             node does; set API_TOKEN or --api-token-file, or listen on 127.0.0.1"
        ));
    }
    Ok(api)
}

fn address(
    settings: &mut Settings<'_>,
    host: Ipv4Addr,
    default_port: u16,
) -> Result<SocketAddr, ConfigError> {
    let (whole, port) = (settings.find(&API)?, settings.find(&API_PORT)?);
    let form = "must be ADDRESS:PORT, for instance 0.0.0.0:7070";
    let parsed = |text: &str| text.parse().ok().filter(|api: &SocketAddr| api.port() != 0);
    let api = whole.as_ref().map(|api| api.checked(|text| parsed(text).ok_or_else(|| form.to_owned())));
    let api: SocketAddr = api.unwrap_or_else(|| Ok(SocketAddr::new(host.into(), default_port)))?;
    let Some(port) = port else { return Ok(api) };
    let number = port.checked(port_number)?;
    match whole {
        Some(whole) if whole.level <= port.level => {
            if number != api.port() {
                let warning = format!("{} plays no part beside {} {api}", port.name, whole.name);
                settings.warnings.push(warning);
            }
            Ok(api)
        }
        _ => Ok(SocketAddr::new(api.ip(), number)),
    }
}

/// A variable of this process' environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// What a command asks a daemon by.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The daemon's HTTP API.
    pub api: SocketAddr,
    /// The token that is sent along, if any.
    pub token: Option<Secret>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

/// The daemon and its token, from where the daemon itself has them: a command takes `api`, `api-port` and
/// `api-token-file`. What else is set is the daemon's.
pub fn client<T: Table>(
    arguments: &[String],
    env: impl Fn(&str) -> Option<String>,
    default_port: u16,
) -> Result<ClientConfig, ConfigError> {
    let mut settings = Settings::new(Flags::<T>::read(arguments)?, &env, File::default())?;
    let api = address(&mut settings, Ipv4Addr::LOCALHOST, default_port)?;
    let token = settings.secret(&API_TOKEN_FILE)?.map(|token| token.value);
    Ok(ClientConfig { api, token, warnings: settings.warnings })
}

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}

fn printable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

/// Names of nodes and trees. A node must be somebody's child by its name, and those have no `=`.
fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {LONGEST_NAME} characters without blanks or '='"))
}

/// Whether a node or tree can be called so.
pub fn is_name(text: &str) -> bool {
    printable(text) && text.len() <= LONGEST_NAME && !text.contains('=')
}

/// A host name or address, without port; brackets around IPv6 may be there or not.
fn node_host(text: &str) -> Result<String, String> {
    let form =
        "must be a host name or address without port, for instance 10.0.0.5, fd00::5 or relay-1.example";
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let sound = printable(bare)
        && bare.is_ascii()
        && bare.len() <= LONGEST_HOST
        && !bare.contains(['/', '@', ',', '[', ']', '?', '#', '"', '<', '>', '\\', ';'])
        && (!bare.contains(':') || bare.parse::<Ipv6Addr>().is_ok());
    if !sound {
        return Err(form.to_owned());
    }
    if bare.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified() || address.is_multicast()) {
        return Err(format!("{bare} is nowhere that media could be sent to; it {form}"));
    }
    Ok(bare.to_owned())
}

/// An address of HTTP, without a slash at the end.
pub fn public_url(text: &str) -> Result<String, String> {
    base_url(text, "https://media.example.com/egress-1")
}

/// Reads an `http://` or `https://` address without query, of whatever server; `example`: what one looks like.
pub fn base_url(text: &str, example: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('/');
    let rest = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let sound = printable(bare)
        && bare.len() <= LONGEST_URL
        && bare.is_ascii()
        && !bare.contains(['?', '#', '@', '"', '<', '>', '\\', ';', ','])
        && host.is_some_and(|host| !host.is_empty());
    if sound {
        Ok(bare.to_owned())
    } else {
        Err(format!("must be an address such as {example}, without query"))
    }
}

fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("must be a port, a number from 1 to 65535".to_owned()),
    }
}

/// Reads a time, in seconds: 0 to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=LONGEST_GRACE).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("must be seconds, a number from 0 to {LONGEST_GRACE}")),
    }
}

#[cfg(test)]
mod tests;
