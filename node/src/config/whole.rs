//! What a command about a whole tree is configured with.

use std::net::{Ipv4Addr, SocketAddr};

use super::source::Settings;
use super::{API_TOKEN_FILE, ConfigError, DEFAULT_TREE, Flags, READ_TOKEN_FILE, RedisConfig, TREE_ID, Table};
use super::{address, name, redis};
use crate::secret::Secret;

/// From where the daemons themselves have it: flags, environment, and the file that is named.
#[derive(Clone, Debug)]
pub struct WholeTreeConfig {
    /// Which tree.
    pub tree_id: String,
    /// Redis that has it, if that was said.
    pub redis: Option<RedisConfig>,
    /// The HTTP API of the node on this machine.
    pub api: SocketAddr,
    /// The token that nodes are shown: the API token or, without one, the one for reading.
    pub token: Option<Secret>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

/// Reads it.
pub fn whole_tree<T: Table>(
    arguments: &[String],
    env: impl Fn(&str) -> Option<String>,
    default_port: u16,
) -> Result<WholeTreeConfig, ConfigError> {
    let mut settings: Settings<'_> = Flags::<T>::read(arguments)?.settings(&env)?;
    let api_token = settings.secret(&API_TOKEN_FILE)?;
    let token = match api_token {
        Some(token) => Some(token),
        None => settings.secret(&READ_TOKEN_FILE)?,
    };
    Ok(WholeTreeConfig {
        tree_id: settings.get(&TREE_ID, name)?.unwrap_or_else(|| DEFAULT_TREE.to_owned()),
        redis: redis::config(&mut settings)?,
        api: address(&mut settings, Ipv4Addr::LOCALHOST, default_port)?,
        token: token.map(|token| token.value),
        warnings: settings.warnings,
    })
}
