//! The settings that every node has.

use super::http::*;
use super::log::LogFormat;
use super::setting::{Kind, Setting};

/// `node-id`.
pub const NODE_ID: Setting = Setting {
    name: "node-id",
    value: "NAME",
    default: "injection-1, relay-1, egress-1, scaler-1",
    help: "Name of this node, unique in its tree",
    ..Setting::NEW
};
/// `tree-id`.
pub const TREE_ID: Setting = Setting {
    name: "tree-id",
    value: "NAME",
    default: super::DEFAULT_TREE,
    help: "Tree that the node belongs to",
    ..Setting::NEW
};
/// `node-host`.
pub const NODE_HOST: Setting = Setting {
    name: "node-host",
    value: "HOST",
    help: "Host name or address that other nodes send media to",
    ..Setting::NEW
};
/// `zone`.
pub const ZONE: Setting = Setting {
    name: "zone",
    value: "NAME",
    help: "Where the node stands, such as eu-west-1a: viewers are sent to nodes of their own zone first",
    ..Setting::NEW
};
/// `public-url`.
pub const PUBLIC_URL: Setting = Setting {
    name: "public-url",
    value: "URL",
    default: "http://, node-host and the port of the HTTP API",
    help: "Where others reach this node's HTTP, such as https://media.example.com/egress-1",
    ..Setting::NEW
};
/// `redis-url`.
pub const REDIS_URL: Setting = Setting {
    name: "redis-url",
    old_names: &["redis"],
    value: "URL",
    help: "Redis that has the tree: redis[s]://HOST:PORT/DB or redis+sentinel://HOST:PORT,HOST:PORT/MASTER or \
           redis+cluster://HOST:PORT,HOST:PORT; as a flag \
           without a password, see redis-password-file",
    ..Setting::NEW
};
/// `redis-host`.
pub const REDIS_HOST: Setting =
    Setting { name: "redis-host", value: "HOST", help: "Host of Redis, instead of a URL", ..Setting::NEW };
/// `redis-port`.
pub const REDIS_PORT: Setting = Setting {
    name: "redis-port",
    value: "PORT",
    default: "6379",
    help: "Port of Redis, with redis-host",
    ..Setting::NEW
};
/// `redis-password-file`.
pub const REDIS_PASSWORD_FILE: Setting = Setting {
    name: "redis-password-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the password for Redis",
    ..Setting::NEW
};
/// `redis-ca`.
pub const REDIS_CA: Setting = Setting {
    name: "redis-ca",
    value: "FILE",
    help: "File with the certificate authority of a rediss:// server, PEM",
    ..Setting::NEW
};
/// `topology-grace`.
pub const TOPOLOGY_GRACE: Setting = Setting {
    name: "topology-grace",
    value: "SECONDS",
    default: "10",
    help: "Seconds that children and sessions are kept when Redis has lost its data",
    ..Setting::NEW
};
/// `drain-limit`.
pub const DRAIN_LIMIT: Setting = Setting {
    name: "drain-limit",
    value: "SECONDS",
    default: "egress 10; injection, relay 0",
    help: "Seconds that a node which is told to end (SIGTERM) may take to give away its viewers, children or \
           publications; 0: it ends at once",
    ..Setting::NEW
};
/// `sweep-after`.
pub const SWEEP_AFTER: Setting = Setting {
    name: "sweep-after",
    value: "SECONDS",
    default: "600",
    help: "Seconds that a node has to be gone until what it left in Redis, its sessions too, is taken out; 0: never by this node",
    ..Setting::NEW
};
/// `api`.
pub const API: Setting = Setting {
    name: "api",
    was_prefixed: true,
    value: "ADDRESS:PORT",
    default: "127.0.0.1 and api-port, with an API token 0.0.0.0",
    help: "Address of the HTTP API",
    ..Setting::NEW
};
/// `api-port`.
pub const API_PORT: Setting = Setting {
    name: "api-port",
    value: "PORT",
    default: "injection 7070, relay 7071, egress 7073, scaler 7078",
    help: "Port of the HTTP API alone",
    ..Setting::NEW
};
/// `api-token-file`.
pub const API_TOKEN_FILE: Setting = Setting {
    name: "api-token-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the bearer token that HTTP requests that change something need",
    ..Setting::NEW
};
/// `read-token-file`.
pub const READ_TOKEN_FILE: Setting = Setting {
    name: "read-token-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the bearer token that reading needs (status, sessions, metrics); the API token reads as well",
    ..Setting::NEW
};
/// `allowed-hosts`.
pub const ALLOWED_HOSTS: Setting = Setting {
    name: "allowed-hosts",
    kind: Kind::List("allowed-host"),
    value: "NAME",
    default: "addresses, localhost, names without a dot, node-host",
    help: "Without an API token, names that the node may be asked by (Host and Origin), such as media.example.com",
    ..Setting::NEW
};
/// `rtp-audio-port`.
pub const RTP_AUDIO_PORT: Setting = Setting {
    name: "rtp-audio-port",
    old_names: &["audio-port"],
    value: "PORT",
    default: "5002",
    help: "RTP port for audio: where it comes in, and where an injection sends it from; RTCP is the port after",
    ..Setting::NEW
};
/// `rtp-video-port`.
pub const RTP_VIDEO_PORT: Setting = Setting {
    name: "rtp-video-port",
    old_names: &["video-port"],
    value: "PORT",
    default: "5004",
    help: "The same for video",
    ..Setting::NEW
};
/// `log`.
pub const LOG: Setting = Setting {
    name: "log",
    was_prefixed: true,
    value: "LEVEL",
    default: "info",
    help: "What is logged: off, error, warn, info, debug, trace, or a filter such as warn,relay_ctl=debug",
    ..Setting::NEW
};
/// `log-format`.
pub const LOG_FORMAT: Setting = Setting {
    name: "log-format",
    kind: Kind::Word(&LogFormat::WORDS),
    value: "FORMAT",
    default: "text",
    help: "How lines of the log are written: text, or json, an object each",
    ..Setting::NEW
};
/// `config`.
pub const CONFIG: Setting = Setting {
    name: "config",
    was_prefixed: true,
    kind: Kind::ConfigFile,
    value: "FILE",
    help: "File with settings (TOML); flags and environment win over it",
    ..Setting::NEW
};

/// All of them.
pub const COMMON: &[&Setting] = &[
    &CONFIG,
    &NODE_ID,
    &TREE_ID,
    &NODE_HOST,
    &ZONE,
    &PUBLIC_URL,
    &REDIS_URL,
    &REDIS_HOST,
    &REDIS_PORT,
    &REDIS_PASSWORD_FILE,
    &REDIS_CA,
    &TOPOLOGY_GRACE,
    &DRAIN_LIMIT,
    &SWEEP_AFTER,
    &API,
    &API_PORT,
    &API_TOKEN_FILE,
    &READ_TOKEN_FILE,
    &ALLOWED_HOSTS,
    &TRUSTED_PROXIES,
    &PROXY_PROTOCOL,
    &MAX_CONNECTIONS,
    &MAX_CLIENT_CONNECTIONS,
    &MAX_CLIENT_REQUESTS,
    &MAX_BODIES,
    &MAX_CLIENT_BODIES,
    &RTP_AUDIO_PORT,
    &RTP_VIDEO_PORT,
    &LOG,
    &LOG_FORMAT,
];
