//! The settings that only an egress has.

use node::auth::{
    ADMIN, AUTHORIZE, AUTHORIZE_REMEMBER, FRAME_ANCESTORS, JWT_KEYS, WEBHOOK, WEBHOOK_SECRET_FILE,
};
use node::config::{
    ICE_SERVERS, JANUS_URL, Kind, Setting, TURN_LIFETIME, TURN_PASSWORD_FILE, TURN_SECRET_FILE,
    TURN_USERNAME, Table,
};
pub use node::sources::SETTING as SOURCES;

/// Its table.
#[derive(Clone, Copy, Debug)]
pub struct EgressSettings;

impl Table for EgressSettings {
    const PREFIX: &'static str = "";
    const OWN: &'static [&'static Setting] = &[
        &JANUS,
        &JANUS_API_SECRET_FILE,
        &JANUS_MOUNTPOINT_SECRET_FILE,
        &WHEP_BASE_PATH,
        &WHEP_TOKEN_FILE,
        &PORT_POOL_BASE,
        &PORT_POOL_SIZE,
        &ADMIN,
        &JWT_KEYS,
        &AUTHORIZE,
        &AUTHORIZE_REMEMBER,
        &WEBHOOK,
        &WEBHOOK_SECRET_FILE,
        &FRAME_ANCESTORS,
        &SOURCES,
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
pub const MAX_VIEWERS: Setting = Setting {
    name: "max-viewers",
    value: "NUMBER",
    default: "300, what one Janus serves",
    help: "Viewers at once, those that join included; one more is answered 503",
    ..Setting::NEW
};
pub const MAX_JOINING: Setting = Setting {
    name: "max-joining",
    value: "NUMBER",
    default: "2000",
    help: "Viewers at once whose connection is about to come up; one more is answered 503",
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
