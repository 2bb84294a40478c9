//! What a scaler is configured with: flags, environment and files, checked before anything is bound.

mod policy;
mod settings;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use axum::http::Uri;
use node::auth::webhook;
use node::config::{ConfigError, Defaults, NodeConfig, RedisConfig, Setting, Settings, is_name};
use node::outgoing;
use node::secret::Secret;
use node::trust::TrustedHosts;
use node::webhook::WebhookConfig;
use settings::*;

use crate::provision::Backend;
pub use policy::Policy;
pub use settings::ScalerSettings;

/// What is so unless told otherwise.
const DEFAULTS: Defaults =
    Defaults { node_id: "scaler-1", api_port: DEFAULT_API_PORT, drain_limit: Duration::ZERO };
/// `api-port`.
pub const DEFAULT_API_PORT: u16 = 7078;
/// `lease`.
const DEFAULT_LEASE: Duration = Duration::from_secs(6);
/// Nothing is decided before a lease can be renewed some times, and nobody waits for minutes.
const LEASES: std::ops::RangeInclusive<f64> = 0.5..=60.0;

/// The flags of a scaler, as they were given.
pub type Flags = node::config::Flags<ScalerSettings>;

/// Checked configuration.
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Redis with the trees.
    pub redis: RedisConfig,
    /// Trees; `None`: those in `trees:active`.
    pub trees: Option<Vec<String>>,
    /// What is wanted of them.
    pub policy: Policy,
    /// What nodes are made by; `None`: nothing is made.
    pub backend: Option<Backend>,
    /// Prometheus.
    pub prometheus: Option<String>,
    /// What nodes want to know.
    pub node_token: Option<Secret>,
    /// Who is shown that.
    pub node_token_hosts: TrustedHosts,
    /// For how long a scaler leads without renewing that.
    pub lease: Duration,
    /// A Slack webhook.
    pub slack: Option<Uri>,
    /// Who else is told.
    pub webhook: Option<WebhookConfig>,
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
        let Some(redis) = node.tree.as_ref().map(|tree| tree.redis.clone()) else {
            let why = "a scaler needs the Redis that has the trees; set REDIS_URL, REDIS_HOST or --redis-url";
            return Err(ConfigError(why.to_owned()));
        };
        let trees = trees(&settings)?;
        let policy = match file(&settings, &POLICY)? {
            Some((name, text)) => Policy::read(&text).map_err(|why| ConfigError(format!("{name}: {why}")))?,
            None => Policy::default(),
        };
        let backend = match file(&settings, &PROVISION)? {
            Some((name, text)) => {
                Some(Backend::read(&text).map_err(|why| ConfigError(format!("{name}: {why}")))?)
            }
            None => {
                let why = "no provision file was named (--provision): it is only said what would be done";
                node.warnings.push(why.to_owned());
                None
            }
        };
        let node_token = settings.token(&NODE_TOKEN_FILE)?.map(|found| found.value);
        let node_token_hosts = trusted(&settings)?;
        if node_token_hosts.are_all() && (node_token.is_some() || node.token.is_some()) {
            let why = "the nodes' token is shown to whatever address Redis has for a node; node-token-hosts names those that it is for";
            node.warnings.push(why.to_owned());
        }
        let slack = match settings.secret(&SLACK_WEBHOOK_FILE)? {
            // The address is the secret.
            Some(found) => Some(
                outgoing::url(found.value.reveal())
                    .map_err(|why| ConfigError(format!("{}: the address in it {why}", found.name)))?,
            ),
            None => None,
        };
        let webhook = webhook(&mut node, &mut settings)?;
        let lease = settings.get(&LEASE, lease)?.unwrap_or(DEFAULT_LEASE);
        let prometheus =
            settings.get(&PROMETHEUS, |url| node::config::base_url(url, "http://prometheus.example:9090"))?;
        node.warnings.append(&mut settings.warnings);
        // What is logged is about several trees, unless it is about one.
        node.tree_id = match trees.as_deref() {
            Some([tree]) => tree.clone(),
            _ => "all".to_owned(),
        };
        Ok(Config {
            node_token: node_token.or_else(|| node.token.clone()),
            node,
            node_token_hosts,
            redis,
            trees,
            policy,
            backend,
            prometheus,
            lease,
            slack,
            webhook,
        })
    }
}

fn trusted(settings: &Settings<'_>) -> Result<TrustedHosts, ConfigError> {
    let Some(list) = settings.list(&NODE_TOKEN_HOSTS)? else { return Ok(TrustedHosts::default()) };
    TrustedHosts::read(list.value.iter().map(String::as_str))
        .map_err(|why| ConfigError(format!("{} '{}': {why}", list.name, list.value.join(",").escape_debug())))
}

fn trees(settings: &Settings<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(list) = settings.list(&TREES)? else { return Ok(None) };
    let mut trees = list.value;
    if let Some(odd) = trees.iter().find(|tree| !is_name(tree)) {
        let odd = odd.escape_debug();
        return Err(ConfigError(format!("{} '{odd}': is no name that a tree can have", list.name)));
    }
    trees.sort();
    trees.dedup();
    Ok(Some(trees))
}

/// The text of a file that a setting names, and what to call it.
fn file(settings: &Settings<'_>, setting: &Setting) -> Result<Option<(String, String)>, ConfigError> {
    let Some(found) = settings.find(setting)? else { return Ok(None) };
    let name = format!("{} {}", found.name, found.value);
    let text = std::fs::read_to_string(Path::new(&found.value))
        .map_err(|error| ConfigError(format!("cannot read {name}: {error}")))?;
    Ok(Some((name, text)))
}

fn lease(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| LEASES.contains(seconds));
    let (least, most) = (LEASES.start(), LEASES.end());
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("must be seconds, a number from {least} to {most}"))
}
