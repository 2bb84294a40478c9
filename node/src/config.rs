//! What all nodes are configured with.

use std::time::Duration;

use crate::secret::Secret;

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
    pub tls_ca: Option<std::path::PathBuf>,
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServer {
    /// One server.
    Single { host: String, port: u16 },
    /// The master that sentinels name.
    Sentinel { sentinels: Vec<(String, u16)>, master: String },
}

/// What the tree is to know of this node, checked.
#[derive(Clone, Debug)]
pub struct TreeConfig {
    /// Redis.
    pub redis: RedisConfig,
    /// How long a topology that was lost is held before it is obeyed.
    pub grace: Duration,
}
