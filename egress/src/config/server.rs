//! What serves viewers, and with which settings.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::thread::available_parallelism;
use std::time::Duration;

use node::config::{ConfigError, JanusUrl, NodeConfig, Settings, count};
use node::secret::Secret;

use super::settings::*;
use super::{bad, number};
use crate::portpool::PortPool;

/// First port and number of pairs unless told otherwise.
const POOL: (u16, u16) = (6000, 100);
/// Port of all viewers' media unless told otherwise.
const PORT: u16 = 7075;
/// How long packets are kept, s: what it may be, and what it is unless told otherwise.
const HISTORY: (RangeInclusive<f64>, f64) = (0.1..=10.0, 1.0);
/// How old the keyframe may be that a new viewer gets, s.
const CACHE: (RangeInclusive<f64>, f64) = (0.0..=10.0, 2.0);

/// Viewers unless told otherwise: of a Janus, and of each thread that sends media.
const OF_ONE_JANUS: usize = 300;
const OF_A_THREAD: usize = 1_000;
/// Threads that send media: more is a slip.
const MOST_THREADS: usize = 1_024;

/// What serves viewers.
#[derive(Clone, Debug)]
pub enum ServerConfig {
    /// The Streaming plugin of a Janus.
    Janus(JanusConfig),
    /// This node itself.
    Native(seats::Config),
}

/// Which Janus.
#[derive(Clone, Debug)]
pub struct JanusConfig {
    /// `ws://host:port/…`
    pub url: String,
    /// The URL's host.
    pub host: String,
    /// The URL's port.
    pub port: u16,
    /// Its API secret.
    pub api_secret: Option<Secret>,
    /// Secret of our mountpoints.
    pub mountpoint_secret: Option<Secret>,
    /// The plugin's admin key.
    pub admin_key: Option<Secret>,
    /// Ports for mountpoints.
    pub pool: PortPool,
    /// Where it says how viewers fare.
    pub admin: Option<JanusAdmin>,
}

/// Janus' admin API.
#[derive(Clone, Debug)]
pub struct JanusAdmin {
    /// `ws://host:port/…`
    pub url: String,
    /// Its secret.
    pub secret: Option<Secret>,
}

impl ServerConfig {
    /// As asked for; what plays no part is worth a warning. `listen`: the address that media is taken on.
    pub fn new(
        node: &mut NodeConfig,
        listen: IpAddr,
        settings: &mut Settings<'_>,
    ) -> Result<ServerConfig, ConfigError> {
        // Which words there may be, flags know by themselves; variables and files do not.
        let native = settings.get(&SERVER, |text| match text {
            "janus" => Ok(false),
            "native" => Ok(true),
            _ => Err("must be janus or native".to_owned()),
        })?;
        let native = native.unwrap_or(false);
        let (others, name) = if native { (&OF_JANUS[..], "native") } else { (&OF_NATIVE[..], "janus") };
        for setting in others {
            if let Some(found) = settings.find(setting)? {
                node.warnings.push(format!("{} plays no part with --server {name}", found.name));
            }
        }
        match native {
            false => Ok(ServerConfig::Janus(JanusConfig::new(node.ports, settings)?)),
            true => Ok(ServerConfig::Native(native_config(node, listen, settings)?)),
        }
    }

    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            ServerConfig::Janus(_) => "janus",
            ServerConfig::Native(_) => "native",
        }
    }

    /// How many viewers of 1.4 Mbit/s it serves without losing any of their packets: docs/capacity.md.
    pub fn bears(&self) -> usize {
        match self {
            ServerConfig::Janus(_) => OF_ONE_JANUS,
            ServerConfig::Native(config) => OF_A_THREAD * config.threads.get(),
        }
    }

    /// It says how viewers fare.
    pub fn has_figures(&self) -> bool {
        match self {
            ServerConfig::Janus(janus) => janus.admin.is_some(),
            ServerConfig::Native(_) => true,
        }
    }

    /// Ports for mountpoints, if there are any.
    pub fn pool(&self) -> Option<&PortPool> {
        match self {
            ServerConfig::Janus(janus) => Some(&janus.pool),
            ServerConfig::Native(_) => None,
        }
    }
}

impl JanusConfig {
    fn new(media: [u16; 2], settings: &mut Settings<'_>) -> Result<JanusConfig, ConfigError> {
        let base =
            settings.get(&PORT_POOL_BASE, |text| number(text, "a port from 1 to 65535"))?.unwrap_or(POOL.0);
        let size = settings
            .get(&PORT_POOL_SIZE, |text| number(text, "a number of port pairs (1 to 65535)"))?
            .unwrap_or(POOL.1);
        let (base_name, size_name) = (settings.name_of(&PORT_POOL_BASE)?, settings.name_of(&PORT_POOL_SIZE)?);
        let pool = PortPool::new(base, size)
            .map_err(|why| ConfigError(format!("{base_name} {base}, {size_name} {size}: {why}")))?;
        let (first, last) = pool.range();
        if let Some(port) = with_rtcp(media).into_iter().find(|port| (first..=last).contains(port)) {
            return bad(format!(
                "port {port} is one of the pool's, {first} to {last}; set {base_name} to another"
            ));
        }
        let url = match settings.get(&JANUS, JanusUrl::parse)? {
            Some(url) => url,
            None => JanusUrl::parse(JANUS.default).map_err(ConfigError)?,
        };
        let mut secret = |setting| Ok::<_, ConfigError>(settings.secret(setting)?.map(|found| found.value));
        let api_secret = secret(&JANUS_API_SECRET_FILE)?;
        let mountpoint_secret = secret(&JANUS_MOUNTPOINT_SECRET_FILE)?;
        let admin = JanusAdmin::new(api_secret.as_ref(), settings)?;
        Ok(JanusConfig {
            url: url.url,
            host: url.host,
            port: url.port,
            api_secret,
            admin_key: mountpoint_secret.clone(),
            mountpoint_secret,
            pool,
            admin,
        })
    }
}

impl JanusAdmin {
    /// `api_secret`: of the other API, which may have the same.
    fn new(
        api_secret: Option<&Secret>,
        settings: &mut Settings<'_>,
    ) -> Result<Option<JanusAdmin>, ConfigError> {
        let url = settings.get(&JANUS_ADMIN_URL, |url| JanusUrl::parse_like(url, "ws://127.0.0.1:7188"))?;
        let secret = settings.secret(&JANUS_ADMIN_SECRET_FILE)?;
        let Some(JanusUrl { url, .. }) = url else {
            return match secret {
                Some(found) => bad(format!("{} needs {}", found.name, settings.name_of(&JANUS_ADMIN_URL)?)),
                None => Ok(None),
            };
        };
        let secret = secret.map(|found| found.value).or_else(|| api_secret.cloned());
        Ok(Some(JanusAdmin { url, secret }))
    }
}

fn native_config(
    node: &NodeConfig,
    listen: IpAddr,
    settings: &mut Settings<'_>,
) -> Result<seats::Config, ConfigError> {
    let port = settings.get(&MEDIA_PORT, |text| number(text, "a port from 1 to 65535"))?.unwrap_or(PORT);
    let name = settings.name_of(&MEDIA_PORT)?;
    if port == node.api.port() {
        return bad(format!("port {port} cannot be both {name} and the API's"));
    }
    if with_rtcp(node.ports).contains(&port) {
        return bad(format!("port {port} cannot be both {name} and one that the tree's media comes in by"));
    }
    let threads = settings.get(&MEDIA_THREADS, threads)?;
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let advertised = settings.list(&ADVERTISED)?;
    let advertise = advertised.map(|found| {
        let address = |text: &str| {
            text.trim().parse().map_err(|_| {
                let text = text.escape_debug();
                ConfigError(format!("{} '{text}': must be an IPv4 or IPv6 address", found.name))
            })
        };
        found.value.iter().flat_map(|text| text.split(',')).map(address).collect::<Result<Vec<IpAddr>, _>>()
    });
    Ok(seats::Config {
        listen: SocketAddr::new(listen, port),
        advertise: advertise.transpose()?.unwrap_or_default(),
        threads: threads.unwrap_or(NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)),
        history: seconds(settings, &MEDIA_HISTORY, HISTORY)?,
        keyframe_cache: seconds(settings, &KEYFRAME_CACHE, CACHE)?,
    })
}

fn seconds(
    settings: &Settings<'_>,
    setting: &node::config::Setting,
    (range, default): (RangeInclusive<f64>, f64),
) -> Result<Duration, ConfigError> {
    let found = settings.get(setting, |text| {
        let seconds = text.trim().parse().ok().filter(|seconds| range.contains(seconds));
        seconds.ok_or_else(|| format!("must be seconds, {} to {}", range.start(), range.end()))
    })?;
    Ok(Duration::from_secs_f64(found.unwrap_or(default)))
}

/// RTP ports, and those after each.
fn with_rtcp([audio, video]: [u16; 2]) -> [u16; 4] {
    [audio, audio + 1, video, video + 1]
}

/// How many threads send media.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let sound = |threads: &NonZeroUsize| threads.get() <= MOST_THREADS;
    count(text).ok().filter(sound).ok_or_else(|| format!("must be a number from 1 to {MOST_THREADS}"))
}
