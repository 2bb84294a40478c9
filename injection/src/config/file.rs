//! The configuration file, TOML; every key is also a flag, and flags win.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use node::config::{ConfigError, NodeFile};
use node::secret::Secret;
use serde::Deserialize;

/// What a file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    node_id: Option<String>,
    tree_id: Option<String>,
    node_host: Option<String>,
    redis: Option<Secret>,
    redis_host: Option<String>,
    redis_port: Option<u16>,
    redis_password_file: Option<PathBuf>,
    redis_ca: Option<PathBuf>,
    topology_grace: Option<f64>,
    api_token_file: Option<PathBuf>,
    pub(super) janus: Option<String>,
    pub(super) janus_api_secret_file: Option<PathBuf>,
    pub(super) janus_room_secret_file: Option<PathBuf>,
    pub(super) janus_admin_key_file: Option<PathBuf>,
    pub(super) janus_media_address: Option<String>,
    pub(super) whip_base_path: Option<String>,
    pub(super) whip_token_file: Option<PathBuf>,
    pub(super) rtmp: Option<Listen>,
    pub(super) rtp_audio_port: Option<u16>,
    pub(super) rtp_video_port: Option<u16>,
    pub(super) api: Option<SocketAddr>,
    pub(super) log: Option<String>,
    /// The file itself, if every user of the machine can read it.
    #[serde(skip)]
    open_to_all: Option<PathBuf>,
}

/// A port, or an address and a port.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "must be a port, or \"ADDRESS:PORT\"")]
pub(super) enum Listen {
    Port(u16),
    Text(String),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Port(port) => port.fmt(f),
            Listen::Text(text) => text.fmt(f),
        }
    }
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<File, ConfigError> {
        let (file, open_to_all) = node::config::read_file(path)?;
        Ok(File { open_to_all, ..file })
    }

    /// Takes out what every node has.
    pub(super) fn node(&mut self) -> NodeFile {
        NodeFile {
            node_id: self.node_id.take(),
            tree_id: self.tree_id.take(),
            node_host: self.node_host.take(),
            redis: self.redis.take(),
            redis_host: self.redis_host.take(),
            redis_port: self.redis_port.take(),
            redis_password_file: self.redis_password_file.take(),
            redis_ca: self.redis_ca.take(),
            topology_grace: self.topology_grace.take(),
            api_token_file: self.api_token_file.take(),
            open_to_all: self.open_to_all.take(),
        }
    }

    /// A file with this in it.
    #[cfg(test)]
    pub(super) fn parse(text: &str) -> File {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        File::read(file.path()).unwrap()
    }
}
