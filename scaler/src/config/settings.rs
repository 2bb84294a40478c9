//! The settings that only a scaler has, and those of all nodes that it has, too.

use node::auth::{WEBHOOK as NODE_WEBHOOK, WEBHOOK_SECRET_FILE};
use node::config::{
    ALLOWED_HOSTS, API, API_PORT, API_TOKEN_FILE, CONFIG, Kind, LOG, LOG_FORMAT, MAX_BODIES,
    MAX_CLIENT_BODIES, MAX_CLIENT_CONNECTIONS, MAX_CLIENT_REQUESTS, MAX_CONNECTIONS, NODE_ID, PROXY_PROTOCOL,
    READ_TOKEN_FILE, REDIS_CA, REDIS_HOST, REDIS_PASSWORD_FILE, REDIS_PORT, REDIS_URL, Setting,
    TRUSTED_PROXIES, Table,
};

/// Its table.
#[derive(Clone, Copy, Debug)]
pub struct ScalerSettings;

/// A scaler sends no media and is in no tree: it has fewer of the common settings than a node.
const COMMON: &[&Setting] = &[
    &CONFIG,
    &NODE_ID,
    &REDIS_URL,
    &REDIS_HOST,
    &REDIS_PORT,
    &REDIS_PASSWORD_FILE,
    &REDIS_CA,
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
    &LOG,
    &LOG_FORMAT,
];

impl Table for ScalerSettings {
    const PREFIX: &'static str = "SCALER";
    const OWN: &'static [&'static Setting] = &[
        &TREES,
        &POLICY,
        &PROVISION,
        &PROMETHEUS,
        &NODE_TOKEN_FILE,
        &NODE_TOKEN_HOSTS,
        &LEASE,
        &SLACK_WEBHOOK_FILE,
        &WEBHOOK,
        &WEBHOOK_SECRET_FILE,
    ];

    fn settings() -> impl Iterator<Item = &'static Setting> {
        COMMON.iter().chain(Self::OWN).copied()
    }
}

pub const TREES: Setting = Setting {
    name: "trees",
    kind: Kind::List("tree"),
    value: "NAME",
    default: "those in trees:active",
    help: "Tree that the scaler looks after",
    ..Setting::NEW
};
pub const POLICY: Setting = Setting {
    name: "policy",
    value: "FILE",
    help: "File that says what is wanted of the trees (TOML): thresholds, limits, pace, template; of one tree below trees.NAME",
    ..Setting::NEW
};
pub const PROVISION: Setting = Setting {
    name: "provision",
    value: "FILE",
    default: "none: it is only said what would be done",
    help: "File that says what nodes are made by, and how (TOML): processes, Docker, Kubernetes or a program of one's own",
    ..Setting::NEW
};
pub const PROMETHEUS: Setting = Setting {
    name: "prometheus",
    value: "URL",
    default: "none: only the tree's own figures count",
    help: "Prometheus with the recording rules of deploy/monitoring",
    ..Setting::NEW
};
pub const NODE_TOKEN_FILE: Setting = Setting {
    name: "node-token-file",
    kind: Kind::SecretFile,
    value: "FILE",
    default: "api-token-file's",
    help: "File with the token that nodes want to know before they are drained",
    ..Setting::NEW
};
pub const NODE_TOKEN_HOSTS: Setting = Setting {
    name: "node-token-hosts",
    kind: Kind::List("node-token-host"),
    value: "HOST",
    default: "whatever address Redis has for a node",
    help: "Host that this token is shown to: a name, *.NAME, an address or ADDRESS/BITS",
    ..Setting::NEW
};
pub const LEASE: Setting = Setting {
    name: "lease",
    value: "SECONDS",
    default: "6",
    help: "Seconds that a scaler leads a tree for without renewing that: after so long another goes on with what one that died has begun",
    ..Setting::NEW
};
pub const SLACK_WEBHOOK_FILE: Setting = Setting {
    name: "slack-webhook-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the address of a Slack webhook that is told what was done",
    ..Setting::NEW
};
pub const WEBHOOK: Setting =
    Setting { help: "Told by POST what is done to trees, and what keeps it from being done", ..NODE_WEBHOOK };
