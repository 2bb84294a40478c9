//! The settings that only an egress has.

use node::auth::{
    ADMIN, AUTHORIZE, AUTHORIZE_REMEMBER, FRAME_ANCESTORS, JWT_KEYS, WEBHOOK, WEBHOOK_SECRET_FILE,
};
use node::config::{
    ICE_SERVERS, JANUS_URL, Kind, Setting, TURN_LIFETIME, TURN_PASSWORD_FILE, TURN_SECRET_FILE,
    TURN_USERNAME, Table,
};
pub use node::repair::settings::WITHIN_SETTING as REPAIR_WITHIN;
pub use node::sources::SETTING as SOURCES;

/// Its table.
#[derive(Clone, Copy, Debug)]
pub struct EgressSettings;

impl Table for EgressSettings {
    const PREFIX: &'static str = "";
    const OWN: &'static [&'static Setting] = &[
        &SERVER,
        &JANUS,
        &JANUS_API_SECRET_FILE,
        &JANUS_MOUNTPOINT_SECRET_FILE,
        &JANUS_ADMIN_URL,
        &JANUS_ADMIN_SECRET_FILE,
        &WHEP_BASE_PATH,
        &WHEP_TOKEN_FILE,
        &PORT_POOL_BASE,
        &PORT_POOL_SIZE,
        &MEDIA_PORT,
        &MEDIA_THREADS,
        &ADVERTISED,
        &MEDIA_HISTORY,
        &KEYFRAME_CACHE,
        &ADMIN,
        &JWT_KEYS,
        &AUTHORIZE,
        &AUTHORIZE_REMEMBER,
        &WEBHOOK,
        &WEBHOOK_SECRET_FILE,
        &FRAME_ANCESTORS,
        &SOURCES,
        &REPAIR_WITHIN,
        &CUT_OFF_GRACE,
        &MAX_VIEWERS,
        &MAX_JOINING,
        &MAX_CLIENT_JOINING,
        &MAX_CLIENT_JOINS,
        &MAX_EVENTS,
        &MAX_CLIENT_EVENTS,
        &ICE_SERVERS,
        &TURN_USERNAME,
        &TURN_PASSWORD_FILE,
        &TURN_SECRET_FILE,
        &TURN_LIFETIME,
    ];
}

/// Those that only make sense with a Janus, and only without.
pub const OF_JANUS: [&Setting; 7] = [
    &JANUS,
    &JANUS_API_SECRET_FILE,
    &JANUS_MOUNTPOINT_SECRET_FILE,
    &JANUS_ADMIN_URL,
    &JANUS_ADMIN_SECRET_FILE,
    &PORT_POOL_BASE,
    &PORT_POOL_SIZE,
];
pub const OF_NATIVE: [&Setting; 5] =
    [&MEDIA_PORT, &MEDIA_THREADS, &ADVERTISED, &MEDIA_HISTORY, &KEYFRAME_CACHE];

pub const SERVER: Setting = Setting {
    name: "server",
    kind: Kind::Word(&["janus", "native"]),
    value: "WHICH",
    default: "janus",
    help: "What serves viewers: the Streaming plugin of a Janus beside this node, or (native) this node itself",
    ..Setting::NEW
};
pub const MEDIA_PORT: Setting = Setting {
    name: "media-port",
    value: "PORT",
    default: "7075",
    help: "With native: the one port that all viewers' media goes by, UDP, and TCP for those who cannot use UDP",
    ..Setting::NEW
};
pub const MEDIA_THREADS: Setting = Setting {
    name: "media-threads",
    value: "NUMBER",
    default: "one less than there are cores, at least 1",
    help: "With native: threads that send media; each viewer belongs to one of them",
    ..Setting::NEW
};
pub const ADVERTISED: Setting = Setting {
    name: "advertised-addresses",
    kind: Kind::List("advertise"),
    value: "ADDRESS",
    default: "those of this machine",
    help: "With native: addresses that viewers reach media-port by, where they are not this machine's own (1:1 NAT)",
    ..Setting::NEW
};
pub const MEDIA_HISTORY: Setting = Setting {
    name: "media-history",
    value: "SECONDS",
    default: "1",
    help: "With native: how long packets are kept for viewers that have lost them, 0.1 to 10",
    ..Setting::NEW
};
pub const KEYFRAME_CACHE: Setting = Setting {
    name: "keyframe-cache",
    value: "SECONDS",
    default: "2",
    help: "With native: a new viewer gets the last keyframe and what followed at once if it is no older than this; up to 10, 0 for never",
    ..Setting::NEW
};

pub const JANUS: Setting = Setting {
    old_variables: &["JANUS_STREAMING_WS_URL"],
    help: "WebSocket of the Janus with the Streaming plugin",
    ..JANUS_URL
};
pub const JANUS_API_SECRET_FILE: Setting = Setting {
    name: "janus-api-secret-file",
    old_variables: &["JANUS_STREAMING_API_SECRET"],
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with Janus' API secret",
    ..Setting::NEW
};
pub const JANUS_MOUNTPOINT_SECRET_FILE: Setting = Setting {
    name: "janus-mountpoint-secret-file",
    old_names: &["mountpoint-secret-file"],
    old_variables: &["JANUS_STREAMING_MOUNTPOINT_SECRET"],
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the secret of mountpoints, which is the plugin's admin_key as well",
    ..Setting::NEW
};
pub const JANUS_ADMIN_URL: Setting = Setting {
    name: "janus-admin-url",
    value: "URL",
    help: "WebSocket of Janus' admin API, asked how viewers fare",
    ..Setting::NEW
};
pub const JANUS_ADMIN_SECRET_FILE: Setting = Setting {
    name: "janus-admin-secret-file",
    kind: Kind::SecretFile,
    value: "FILE",
    default: "Janus' API secret",
    help: "File with the secret of Janus' admin API (admin_secret)",
    ..Setting::NEW
};
pub const WHEP_BASE_PATH: Setting = Setting {
    name: "whep-base-path",
    value: "PATH",
    default: super::WHEP,
    help: "Where viewers watch: PATH/endpoint/SESSION",
    ..Setting::NEW
};
pub const WHEP_TOKEN_FILE: Setting = Setting {
    name: "whep-token-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the bearer token that viewers need",
    ..Setting::NEW
};
pub const PORT_POOL_BASE: Setting = Setting {
    name: "port-pool-base",
    value: "PORT",
    default: "6000",
    help: "First port of those that Janus takes streams on",
    ..Setting::NEW
};
pub const PORT_POOL_SIZE: Setting = Setting {
    name: "port-pool-size",
    value: "PAIRS",
    default: "100",
    help: "Pairs of such ports: how many mountpoints there can be",
    ..Setting::NEW
};
pub const CUT_OFF_GRACE: Setting = Setting {
    name: "cut-off-grace",
    value: "SECONDS",
    default: "10",
    help: "How long mountpoints are kept when no media can reach this node any more; after that they end until it can",
    ..Setting::NEW
};
pub const MAX_VIEWERS: Setting = Setting {
    name: "max-viewers",
    value: "NUMBER",
    default: "300 with a Janus; with native 1000 for each of media-threads",
    help: "Viewers at once, those that join included; one more is sent to another egress, or answered 503",
    ..Setting::NEW
};
pub const MAX_JOINING: Setting = Setting {
    name: "max-joining",
    value: "NUMBER",
    default: "2000",
    help: "Viewers at once whose connection is about to come up; one more is sent to another egress, or answered 503",
    ..Setting::NEW
};
pub const MAX_CLIENT_JOINING: Setting = Setting {
    name: "max-client-joining",
    value: "NUMBER",
    default: "100",
    help: "The same of one client; one more is answered 429",
    ..Setting::NEW
};
pub const MAX_CLIENT_JOINS: Setting = Setting {
    name: "max-client-joins",
    value: "NUMBER",
    default: "50",
    help: "Joins of one client a second; two and a half times as many at once",
    ..Setting::NEW
};
pub const MAX_EVENTS: Setting = Setting {
    name: "max-events",
    value: "NUMBER",
    default: "half of max-connections",
    help: "Connections for events at once",
    ..Setting::NEW
};
pub const MAX_CLIENT_EVENTS: Setting = Setting {
    name: "max-client-events",
    value: "NUMBER",
    default: "1000",
    help: "The same of one client",
    ..Setting::NEW
};
