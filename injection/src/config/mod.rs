//! What an injection is configured with: flags, environment and file, checked before anything is bound.

mod settings;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use node::auth::AuthConfig;
use node::config::{ConfigError, Defaults, JanusUrl, NodeConfig, Settings, base_path, ice_servers};
use node::ice::IceServers;
use node::repair;
use node::secret::Secret;
use settings::*;

use crate::publication::Takeover;

pub use settings::InjectionSettings;

/// What is so unless told otherwise.
const DEFAULTS: Defaults = Defaults {
    node_id: "injection-1",
    api_port: 7070,
    // A broadcast is not over within seconds: whoever wants to wait for it says for how long.
    drain_limit: Duration::ZERO,
};
/// Where publishers publish.
const DEFAULT_WHIP: &str = "/whip";
/// How paths begin that WHIP must leave alone, besides those of all nodes.
pub(crate) const OWN_PATHS: [&str; 5] = ["/publish", "/standing", "/session", "/sessions", "/watch"];

/// The flags of an injection, as they were given.
pub type Flags = node::config::Flags<InjectionSettings>;

/// Which Janus.
#[derive(Clone, Debug)]
pub struct JanusConfig {
    /// Its WebSocket.
    pub url: String,
    /// The URL's host.
    pub host: String,
    /// The URL's port.
    pub port: u16,
    /// `api_secret`.
    pub api_secret: Option<Secret>,
    /// Every room's `secret`.
    pub room_secret: Option<Secret>,
    /// The plugin's `admin_key`.
    pub admin_key: Option<Secret>,
    /// Our address as Janus reaches it.
    pub media_address: Option<IpAddr>,
}

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Janus.
    pub janus: JanusConfig,
    /// Begins with `/` and does not end with one.
    pub whip_path: String,
    /// What publishers must know.
    pub whip_token: Option<Secret>,
    /// Who may publish besides, and who is told.
    pub auth: AuthConfig,
    /// Whether a newcomer takes the place of who publishes.
    pub takeover: Takeover,
    /// Where RTMP is taken, if at all.
    pub rtmp: Option<SocketAddr>,
    /// Packets that are kept to be sent again; 0: none.
    pub history: usize,
    /// For how long children ask for what they have lost.
    pub repair_within: Duration,
    /// STUN and TURN servers that publishers are told of.
    pub ice: IceServers,
    /// RTMP connections that do not publish yet, in all …
    pub rtmp_waiting: usize,
    /// … and of an address.
    pub rtmp_waiting_each: usize,
}

impl Deref for Config {
    type Target = NodeConfig;

    fn deref(&self) -> &NodeConfig {
        &self.node
    }
}

impl Config {
    /// All that was asked for, checked as a whole. `env` looks a variable up.
    pub fn load(flags: Flags, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Config::new(flags.settings(&env)?)
    }

    /// Of settings that have been gathered.
    pub fn new(mut settings: Settings<'_>) -> Result<Config, ConfigError> {
        let mut node = NodeConfig::new(DEFAULTS, &mut settings)?;
        let mut secret = |setting| Ok::<_, ConfigError>(settings.secret(setting)?.map(|found| found.value));
        let api_secret = secret(&JANUS_API_SECRET_FILE)?;
        let room_secret = secret(&JANUS_ROOM_SECRET_FILE)?;
        let admin_key = secret(&JANUS_ADMIN_KEY_FILE)?;
        let whip_token = settings.token(&WHIP_TOKEN_FILE)?.map(|found| found.value);
        let auth = AuthConfig::new(&mut node, &mut settings)?;
        let ice = ice_servers(&mut settings)?;
        node.warnings.append(&mut settings.warnings);
        let janus = match settings.get(&JANUS, JanusUrl::parse)? {
            Some(janus) => janus,
            None => JanusUrl::parse(JANUS.default).map_err(ConfigError)?,
        };
        let media_address = settings.get(&JANUS_MEDIA_ADDRESS, media_address)?;
        let whip_path = settings.get(&WHIP_BASE_PATH, |path| base_path(path, DEFAULT_WHIP, &OWN_PATHS))?;
        let guarded = whip_token.is_some() || auth.keys.is_some() || auth.authorize.is_some();
        let takeover = settings.get(&TAKEOVER, |text| takeover(text, guarded))?.unwrap_or_default();
        let rtmp = settings.get(&RTMP, |text| beside(node.api, auth.admin, listen(text)?))?;
        let history = settings.get(&HISTORY, repair::settings::history)?.unwrap_or(repair::HISTORY);
        let repair_within = settings.get(&REPAIR_WITHIN, repair::settings::within)?;
        let rtmp_waiting = settings.get(&RTMP_WAITING, places)?.unwrap_or(64);
        let rtmp_waiting_each = settings.get(&RTMP_WAITING_PER_ADDRESS, places)?.unwrap_or(8);
        for open in [Some(node.api), rtmp].into_iter().flatten() {
            if !guarded && !open.ip().to_canonical().is_loopback() {
                node.warnings.push(format!(
                    "whoever reaches {open} can publish; set WHIP_TOKEN or --whip-token-file if that is not meant"
                ));
            }
        }
        Ok(Config {
            node,
            janus: JanusConfig {
                url: janus.url,
                host: janus.host,
                port: janus.port,
                api_secret,
                room_secret,
                admin_key,
                media_address,
            },
            whip_path: whip_path.unwrap_or_else(|| DEFAULT_WHIP.to_owned()),
            whip_token,
            auth,
            takeover,
            rtmp,
            history,
            repair_within: repair_within.unwrap_or(repair::WITHIN),
            ice,
            rtmp_waiting,
            rtmp_waiting_each,
        })
    }
}

fn media_address(text: &str) -> Result<IpAddr, String> {
    let address =
        text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast());
    address.ok_or_else(|| "must be an address that Janus can send to, for instance 10.0.0.5".to_owned())
}

fn takeover(text: &str, guarded: bool) -> Result<Takeover, String> {
    let takeover =
        Takeover::parse(text).ok_or_else(|| format!("must be one of {}", Takeover::WORDS.join(", ")))?;
    if takeover == Takeover::Always && !guarded {
        return Err(
            "would let anybody end every broadcast; set WHIP_TOKEN or --whip-token-file with it".to_owned()
        );
    }
    Ok(takeover)
}

fn places(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "must be a number from 1 to 10000".to_owned())
}

/// Refuses an address that another listener has.
fn beside(api: SocketAddr, admin: Option<SocketAddr>, rtmp: SocketAddr) -> Result<SocketAddr, String> {
    let in_the_way = |other: &SocketAddr| {
        let everywhere = other.ip().is_unspecified() || rtmp.ip().is_unspecified();
        other.port() == rtmp.port() && (everywhere || other.ip() == rtmp.ip())
    };
    if in_the_way(&api) {
        return Err(format!("the HTTP API listens on {api}; take another port, as a rule 1935"));
    }
    match admin.filter(in_the_way) {
        Some(admin) => Err(format!("operators have {admin} (admin); take another port, as a rule 1935")),
        None => Ok(rtmp),
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0);
    let everywhere = || port(text).map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    address
        .or_else(everywhere)
        .ok_or_else(|| "must be a port or ADDRESS:PORT, for instance 1935 or 10.0.0.5:1935".to_owned())
}

#[cfg(test)]
mod tests;
