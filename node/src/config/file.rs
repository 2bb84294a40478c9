//! The configuration file, TOML; every key is also a flag without its dashes.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::ConfigError;
use crate::secret::{Secret, open_to_all};

/// What a file says of the settings that every node has. A node type's own file has these keys among its own and hands
/// them on: serde cannot flatten and refuse unknown keys at once, and a key with a typing error must not go unnoticed.
#[derive(Clone, Debug, Default)]
pub struct NodeFile {
    /// `node-id`.
    pub node_id: Option<String>,
    /// `tree-id`.
    pub tree_id: Option<String>,
    /// `node-host`.
    pub node_host: Option<String>,
    /// `redis`: URL, which may have a password in it.
    pub redis: Option<Secret>,
    /// `redis-host`.
    pub redis_host: Option<String>,
    /// `redis-port`.
    pub redis_port: Option<u16>,
    /// `redis-password-file`.
    pub redis_password_file: Option<PathBuf>,
    /// `redis-ca`.
    pub redis_ca: Option<PathBuf>,
    /// `topology-grace`.
    pub topology_grace: Option<f64>,
    /// `api-token-file`.
    pub api_token_file: Option<PathBuf>,
    /// The file itself, if every user of the machine can read it.
    pub open_to_all: Option<PathBuf>,
}

/// Reads a configuration file; an error names file and line. Gives the path besides if every user can read it.
pub fn read_file<T: DeserializeOwned>(path: &Path) -> Result<(T, Option<PathBuf>), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read --config {}: {error}", path.display())))?;
    let file = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        ConfigError(format!(
            "--config {} line {line}: {}",
            path.display(),
            error.message().replace('\n', "; ")
        ))
    })?;
    Ok((file, open_to_all(path).then(|| path.to_owned())))
}
