//! What all nodes are configured with: flags, environment and file, put together and checked before anything is bound.
//!
//! Flags win over the environment, the environment over the file; an empty variable counts as none. Passwords and
//! tokens come from the environment or from files, never from flags: everybody on the machine can read those in the
//! process list.

mod file;
mod redis;
mod source;
mod url;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use file::{NodeFile, read_file};
pub use source::{Found, Level, Settings};

use crate::secret::Secret;

/// How long a topology that was lost is held unless told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Tree that a node belongs to unless told otherwise.
pub const DEFAULT_TREE: &str = "tree-1";
/// Longest name of a node or tree.
pub const LONGEST_NAME: usize = 63;
/// Longest host name (RFC 1035).
const LONGEST_HOST: usize = 253;
/// A day: whoever means to hold a topology for longer has mistaken the unit.
const LONGEST_GRACE: f64 = 86_400.0;

/// Something in the configuration is wrong; exit code 64.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

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
}

/// What the tree is to know of this node, checked.
#[derive(Clone, Debug)]
pub struct TreeConfig {
    /// Redis.
    pub redis: RedisConfig,
    /// How long a topology that was lost is held before it is obeyed.
    pub grace: Duration,
}

/// The flags that every node has; `#[command(flatten)]` them. The environment is read by [`NodeConfig::new`] and not by
/// clap, which would print what is in it with `--help`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NodeFlags {
    /// Name of this node, unique in its tree [env: NODE_ID]
    #[arg(long)]
    pub node_id: Option<String>,
    /// Tree that the node belongs to [default: tree-1] [env: TREE_ID]
    #[arg(long)]
    pub tree_id: Option<String>,
    /// Host name or address that other nodes send media to [env: NODE_HOST]
    #[arg(long, value_name = "HOST")]
    pub node_host: Option<String>,
    /// Redis that has the tree: redis://HOST:PORT/DB, rediss:// with TLS, or
    /// redis+sentinel://HOST:PORT,HOST:PORT/MASTER; no password in here, see REDIS_PASSWORD and --redis-password-file [env: REDIS_URL]
    #[arg(long, value_name = "URL")]
    pub redis: Option<Secret>,
    /// Host of Redis, instead of a URL [env: REDIS_HOST]
    #[arg(long, value_name = "HOST")]
    pub redis_host: Option<String>,
    /// Port of Redis, with --redis-host [default: 6379] [env: REDIS_PORT]
    #[arg(long, value_name = "PORT")]
    pub redis_port: Option<String>,
    /// File with the password for Redis [env: REDIS_PASSWORD_FILE, or the password itself: REDIS_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// File with the certificate authority of a rediss:// server, PEM [env: REDIS_CA]
    #[arg(long, value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,
    /// Seconds that children and sessions are kept when Redis has lost its data [default: 10] [env: TOPOLOGY_GRACE]
    #[arg(long, value_name = "SECONDS")]
    pub topology_grace: Option<String>,
    /// File with the bearer token that HTTP requests that change something need [env: API_TOKEN_FILE, or the token
    /// itself: API_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,
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
    /// The tree in Redis; a node run without has none.
    pub tree: Option<TreeConfig>,
    /// What requests that change something must know.
    pub token: Option<Secret>,
    /// `API_PORT`.
    pub api_port: Option<u16>,
    /// What is allowed and probably not meant, for the log and `status`.
    pub warnings: Vec<String>,
}

impl NodeConfig {
    /// Puts flags, environment and file together and checks the whole. `env` looks a variable up
    /// ([`environment`], but for tests).
    pub fn new(
        default_id: &str,
        flags: NodeFlags,
        env: impl Fn(&str) -> Option<String>,
        file: NodeFile,
    ) -> Result<NodeConfig, ConfigError> {
        let mut settings = Settings::new(&env);
        let node_id = settings.pick(("--node-id", flags.node_id), "NODE_ID", ("node-id", file.node_id));
        let tree_id = settings.pick(("--tree-id", flags.tree_id), "TREE_ID", ("tree-id", file.tree_id));
        let host =
            settings.pick(("--node-host", flags.node_host), "NODE_HOST", ("node-host", file.node_host));
        let host = host.map(|host| host.checked(node_host)).transpose()?;
        let grace = settings.pick(
            ("--topology-grace", flags.topology_grace),
            "TOPOLOGY_GRACE",
            ("topology-grace", file.topology_grace.map(|seconds| seconds.to_string())),
        );
        let api_port = settings.pick(("", None), "API_PORT", ("", None));
        let token = settings.secret(
            ("--api-token-file", flags.api_token_file),
            ("API_TOKEN", "API_TOKEN_FILE"),
            ("api-token-file", file.api_token_file),
        )?;
        if let Some(token) = &token
            && !token.value.reveal().bytes().all(|byte| byte.is_ascii_graphic())
        {
            return bad(format!(
                "{} has blanks or special characters in it; use printable ASCII",
                token.name
            ));
        }
        let grace_given = grace.as_ref().map(|grace| grace.name.clone());
        let grace = grace.map_or(Ok(DEFAULT_GRACE), |grace| grace.checked(seconds))?;
        let redis = redis::config(
            &mut settings,
            redis::Flags {
                url: flags.redis,
                host: flags.redis_host,
                port: flags.redis_port,
                password_file: flags.redis_password_file,
                ca: flags.redis_ca,
            },
            redis::Flags {
                url: file.redis,
                host: file.redis_host,
                port: file.redis_port.map(|port| port.to_string()),
                password_file: file.redis_password_file,
                ca: file.redis_ca,
            },
            file.open_to_all,
        )?;
        if let (None, Some(name)) = (&redis, grace_given) {
            settings.warnings.push(redis::useless(&name));
        }
        Ok(NodeConfig {
            node_id: node_id.map_or(Ok(default_id.to_owned()), |id| id.checked(name))?,
            tree_id: tree_id.map_or(Ok(DEFAULT_TREE.to_owned()), |id| id.checked(name))?,
            host,
            tree: redis.map(|redis| TreeConfig { redis, grace }),
            token: token.map(|token| token.value),
            api_port: api_port.map(|port| port.checked(port_number)).transpose()?,
            warnings: settings.warnings,
        })
    }

    /// Where the HTTP API listens. `flag` is what was asked for by name, `file` what the file says; `API_PORT` comes
    /// between. Without any of these it is open to others only if they need a token. One that is open without is
    /// allowed, for there are networks where that is right, and warned about.
    pub fn api(
        &mut self,
        flag: Option<SocketAddr>,
        file: Option<SocketAddr>,
        default_port: u16,
    ) -> SocketAddr {
        let host = if self.token.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let mut api = file.unwrap_or(SocketAddr::new(host.into(), default_port));
        if let Some(port) = self.api_port {
            api.set_port(port);
        }
        let api = flag.unwrap_or(api);
        if self.token.is_none() && !api.ip().to_canonical().is_loopback() {
            self.warnings.push(format!(
                "the HTTP API on {api} is open to the network without a token: whoever reaches it can change what this \
                 node does; set API_TOKEN or --api-token-file, or listen on 127.0.0.1"
            ));
        }
        api
    }
}

/// A variable of this process' environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The token that a command sends along: `API_TOKEN`, or what is in a file. `None`: it sends none. Gives a warning
/// besides when others can read that file.
pub fn client_token(
    file: Option<PathBuf>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(Option<Secret>, Vec<String>), ConfigError> {
    let flags = NodeFlags { api_token_file: file, ..NodeFlags::default() };
    let of = |name: &str| if name.starts_with("API_TOKEN") { env(name) } else { None };
    let config = NodeConfig::new("-", flags, of, NodeFile::default())?;
    Ok((config.token, config.warnings))
}

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}

fn printable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

/// Names of nodes and trees. A node must be somebody's child by its name, and those have no `=`.
fn name(text: &str) -> Result<String, String> {
    if printable(text) && text.len() <= LONGEST_NAME && !text.contains('=') {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {LONGEST_NAME} characters without blanks or '='"))
}

/// A host name or address, without port; brackets around IPv6 may be there or not.
fn node_host(text: &str) -> Result<String, String> {
    let form =
        "must be a host name or address without port, for instance 10.0.0.5, fd00::5 or relay-1.example";
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let sound = printable(bare)
        && bare.len() <= LONGEST_HOST
        && !bare.contains(['/', '@', ',', '[', ']'])
        && (!bare.contains(':') || bare.parse::<Ipv6Addr>().is_ok());
    if !sound {
        return Err(form.to_owned());
    }
    if bare.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified() || address.is_multicast()) {
        return Err(format!("{bare} is nowhere that media could be sent to; it {form}"));
    }
    Ok(bare.to_owned())
}

fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("must be a port, a number from 1 to 65535".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=LONGEST_GRACE).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("must be seconds, a number from 0 to {LONGEST_GRACE}")),
    }
}

#[cfg(test)]
mod tests;
