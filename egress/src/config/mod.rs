//! What an egress is configured with: flags, environment and file, checked before anything is bound.

mod file;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

pub use file::File;
use node::config::{ConfigError, Found, NodeConfig, NodeFlags, Settings};
use node::secret::Secret;

use crate::portpool::PortPool;

/// `API_PORT` unless told otherwise.
const API_PORT: u16 = 7073;
/// RTP ports unless told otherwise.
const MEDIA: [u16; 2] = [5002, 5004];
/// First port and number of pairs unless told otherwise.
const POOL: (u16, u16) = (6000, 100);
/// Where Janus is unless told otherwise.
const JANUS: &str = "ws://127.0.0.1:8188";
/// Where WHEP is served unless told otherwise.
const WHEP: &str = "/whep";
/// Paths that WHEP must leave alone.
const OTHERS: [&str; 11] = [
    "",
    "/status",
    "/topology",
    "/refresh",
    "/metrics",
    "/healthz",
    "/readyz",
    "/mountpoint",
    "/mountpoints",
    "/portpool",
    "/events",
];

/// The command line. The environment is read by [`Config::new`] and not by clap, which would print what is in it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// What every node has.
    #[command(flatten)]
    pub node: NodeFlags,
    /// Address and port of the HTTP API and of the viewers' page [default: 127.0.0.1:7073, with a token 0.0.0.0:7073]
    /// [env: API_PORT]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub api: Option<SocketAddr>,
    /// Port that audio RTP comes in on; RTCP is the port after [default: 5002] [env: RTP_AUDIO_PORT]
    #[arg(long, value_name = "PORT")]
    pub audio_port: Option<String>,
    /// Port that video RTP comes in on; RTCP is the port after [default: 5004] [env: RTP_VIDEO_PORT]
    #[arg(long, value_name = "PORT")]
    pub video_port: Option<String>,
    /// WebSocket of the Janus with the Streaming plugin [default: ws://127.0.0.1:8188] [env: JANUS_STREAMING_WS_URL]
    #[arg(long, value_name = "URL")]
    pub janus: Option<String>,
    /// File with Janus' API secret [env: JANUS_STREAMING_API_SECRET_FILE, or the secret: JANUS_STREAMING_API_SECRET]
    #[arg(long, value_name = "FILE")]
    pub janus_api_secret_file: Option<PathBuf>,
    /// File with the secret of mountpoints, which is the plugin's admin_key as well [env:
    /// JANUS_STREAMING_MOUNTPOINT_SECRET_FILE, or the secret: JANUS_STREAMING_MOUNTPOINT_SECRET]
    #[arg(long, value_name = "FILE")]
    pub mountpoint_secret_file: Option<PathBuf>,
    /// Path that WHEP is served under [default: /whep] [env: WHEP_BASE_PATH]
    #[arg(long, value_name = "PATH")]
    pub whep_base_path: Option<String>,
    /// File with the bearer token that viewers need [env: WHEP_TOKEN_FILE, or the token: WHEP_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub whep_token_file: Option<PathBuf>,
    /// First port of those that Janus takes streams on [default: 6000] [env: PORT_POOL_BASE]
    #[arg(long, value_name = "PORT")]
    pub port_pool_base: Option<String>,
    /// Pairs of such ports: how many mountpoints there can be [default: 100] [env: PORT_POOL_SIZE]
    #[arg(long, value_name = "PAIRS")]
    pub port_pool_size: Option<String>,
    /// What to log: off, error, warn, info, debug, trace, or a filter [default: info] [env: LOG]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// Address that media is taken on.
    pub listen: IpAddr,
    /// RTP ports: audio, video.
    pub media: [u16; 2],
    /// Janus.
    pub janus: JanusConfig,
    /// Path of WHEP, without a slash at its end.
    pub whep_path: String,
    /// What viewers must know.
    pub whep_token: Option<Secret>,
    /// Ports for mountpoints.
    pub pool: PortPool,
    /// What to log.
    pub log: String,
}

/// Which Janus.
#[derive(Clone, Debug)]
pub struct JanusConfig {
    /// `ws://host:port/…`
    pub url: String,
    /// Its API secret.
    pub api_secret: Option<Secret>,
    /// Secret of our mountpoints.
    pub mountpoint_secret: Option<Secret>,
    /// The plugin's admin key.
    pub admin_key: Option<Secret>,
}

impl JanusConfig {
    /// Host and port of the URL, which has been checked.
    pub fn address(&self) -> (String, u16) {
        address(&self.url).unwrap_or_else(|_| ("127.0.0.1".to_owned(), 8188))
    }
}

impl Config {
    /// Puts flags, environment and file together and checks the whole. `env` looks a variable up.
    pub fn new(
        flags: Flags,
        env: impl Fn(&str) -> Option<String>,
        mut file: File,
    ) -> Result<Config, ConfigError> {
        let mut node = NodeConfig::new("egress-1", flags.node, &env, file.node())?;
        let mut settings = Settings::new(&env);
        let number = |flag, variable, (key, value): (&str, Option<u16>), default, what| {
            let found = settings.pick(flag, variable, (key, value.map(|number| number.to_string())));
            found.map_or(Ok(default), |found| found.checked(|text| number(text, what)))
        };
        let audio = number(
            ("--audio-port", flags.audio_port),
            "RTP_AUDIO_PORT",
            ("audio-port", file.audio_port),
            MEDIA[0],
            "a port",
        )?;
        let video = number(
            ("--video-port", flags.video_port),
            "RTP_VIDEO_PORT",
            ("video-port", file.video_port),
            MEDIA[1],
            "a port",
        )?;
        let base = number(
            ("--port-pool-base", flags.port_pool_base),
            "PORT_POOL_BASE",
            ("port-pool-base", file.port_pool_base),
            POOL.0,
            "a port",
        )?;
        let size = number(
            ("--port-pool-size", flags.port_pool_size),
            "PORT_POOL_SIZE",
            ("port-pool-size", file.port_pool_size),
            POOL.1,
            "pairs",
        )?;
        let pool = PortPool::new(base, size)
            .map_err(|why| ConfigError(format!("PORT_POOL_BASE {base}, PORT_POOL_SIZE {size}: {why}")))?;
        check_ports([audio, video], &pool)?;
        let text =
            |found: Option<Found<String>>, check: fn(&str) -> Result<String, String>, default: &str| {
                found.map_or_else(|| Ok(default.to_owned()), |found| found.checked(check))
            };
        let url = settings.pick(("--janus", flags.janus), "JANUS_STREAMING_WS_URL", ("janus", file.janus));
        let url = text(url, |url| address(url).map(|_| url.to_owned()).map_err(str::to_owned), JANUS)?;
        let path = settings.pick(
            ("--whep-base-path", flags.whep_base_path),
            "WHEP_BASE_PATH",
            ("whep-base-path", file.whep_base_path),
        );
        let whep_path = text(path, |path| path_of(path).map_err(str::to_owned), WHEP)?;
        let log = settings.pick(("--log", flags.log), "LOG", ("log", file.log));
        let mut secret = |flag, variable: &str, key| {
            let file_variable = format!("{variable}_FILE");
            let found = settings.secret(flag, (variable, &file_variable), key)?;
            Ok::<_, ConfigError>(found.map(|found| found.value))
        };
        let api_secret = secret(
            ("--janus-api-secret-file", flags.janus_api_secret_file),
            "JANUS_STREAMING_API_SECRET",
            ("janus-api-secret-file", file.janus_api_secret_file),
        )?;
        let mountpoint_secret = secret(
            ("--mountpoint-secret-file", flags.mountpoint_secret_file),
            "JANUS_STREAMING_MOUNTPOINT_SECRET",
            ("mountpoint-secret-file", file.mountpoint_secret_file),
        )?;
        let whep_token = secret(
            ("--whep-token-file", flags.whep_token_file),
            "WHEP_TOKEN",
            ("whep-token-file", file.whep_token_file),
        )?;
        node.warnings.append(&mut settings.warnings);
        let api = node.api(flags.api, file.api, API_PORT);
        // Media is taken on IPv6 as well if that is where others are told to send it.
        let v6 = node.host.as_deref().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        let listen = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        if node.tree.is_some() && node.host.is_none() {
            return bad(
                "NODE_HOST or --node-host is not set; it is the address that the tree sends media to",
            );
        }
        Ok(Config {
            api,
            listen,
            media: [audio, video],
            janus: JanusConfig { url, api_secret, admin_key: mountpoint_secret.clone(), mountpoint_secret },
            whep_path,
            whep_token,
            pool,
            log: log.map_or_else(|| "info".to_owned(), |log| log.value),
            node,
        })
    }
}

fn check_ports([audio, video]: [u16; 2], pool: &PortPool) -> Result<(), ConfigError> {
    if audio == u16::MAX || video == u16::MAX {
        return bad("an RTP port cannot be 65535: the port after it is for RTCP");
    }
    if audio.abs_diff(video) < 2 {
        return bad(format!("the RTP ports {audio} and {video} need a port for RTCP between them"));
    }
    let (first, last) = pool.range();
    for port in [audio, audio + 1, video, video + 1] {
        if (first..=last).contains(&port) {
            return bad(format!(
                "port {port} is one of the pool's, {first} to {last}; set PORT_POOL_BASE to another"
            ));
        }
    }
    Ok(())
}

fn number(text: &str, what: &str) -> Result<u16, String> {
    let number = text.trim().parse().ok().filter(|number: &u16| *number != 0);
    number.ok_or_else(|| format!("must be {what}, a number from 1 to 65535"))
}

/// Host and port of a WebSocket's URL.
fn address(url: &str) -> Result<(String, u16), &'static str> {
    const FORM: &str = "must be ws://HOST:PORT";
    let rest = url.strip_prefix("ws://").ok_or(FORM)?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') || authority.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(FORM);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| FORM)?),
        _ => (authority, 80),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || port == 0 {
        return Err(FORM);
    }
    Ok((host.to_owned(), port))
}

fn path_of(path: &str) -> Result<String, &'static str> {
    let path = path.trim_end_matches('/');
    let sound = path.starts_with('/')
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.~".contains(c))
        && !path.contains("//");
    if !sound {
        return Err("must be a path such as /whep, of letters, digits, '-', '_', '.' and '~'");
    }
    let first = path.match_indices('/').nth(1).map_or(path, |(end, _)| &path[..end]);
    if OTHERS.contains(&first) {
        return Err("is a path of the node's own; choose another");
    }
    Ok(path.to_owned())
}

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}
