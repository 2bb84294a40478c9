//! The settings that only an injection has.

use node::auth::{
    ADMIN, AUTHORIZE, AUTHORIZE_REMEMBER, FRAME_ANCESTORS, JWT_KEYS, WEBHOOK, WEBHOOK_SECRET_FILE,
};
use node::config::{
    ICE_SERVERS, JANUS_URL, Kind, Setting, TURN_LIFETIME, TURN_PASSWORD_FILE, TURN_SECRET_FILE,
    TURN_USERNAME, Table,
};
pub use node::repair::settings::{HISTORY_SETTING as HISTORY, WITHIN_SETTING as REPAIR_WITHIN};

use crate::publication::Takeover;

/// Its table.
#[derive(Clone, Copy, Debug)]
pub struct InjectionSettings;

impl Table for InjectionSettings {
    const PREFIX: &'static str = "INJECTION";
    const OWN: &'static [&'static Setting] = &[
        &JANUS,
        &JANUS_API_SECRET_FILE,
        &JANUS_ROOM_SECRET_FILE,
        &JANUS_ADMIN_KEY_FILE,
        &JANUS_MEDIA_ADDRESS,
        &WHIP_BASE_PATH,
        &WHIP_TOKEN_FILE,
        &TAKEOVER,
        &RTMP,
        &HISTORY,
        &REPAIR_WITHIN,
        &ADMIN,
        &JWT_KEYS,
        &AUTHORIZE,
        &AUTHORIZE_REMEMBER,
        &WEBHOOK,
        &WEBHOOK_SECRET_FILE,
        &FRAME_ANCESTORS,
        &ICE_SERVERS,
        &TURN_USERNAME,
        &TURN_PASSWORD_FILE,
        &TURN_SECRET_FILE,
        &TURN_LIFETIME,
        &RTMP_WAITING,
        &RTMP_WAITING_PER_ADDRESS,
    ];
}

pub const JANUS: Setting = Setting {
    old_variables: &["JANUS_VIDEOROOM_WS_URL"],
    help: "WebSocket of the Janus with the VideoRoom plugin",
    ..JANUS_URL
};
pub const JANUS_API_SECRET_FILE: Setting = Setting {
    name: "janus-api-secret-file",
    old_variables: &["JANUS_VIDEOROOM_API_SECRET"],
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with Janus' API secret",
    ..Setting::NEW
};
pub const JANUS_ROOM_SECRET_FILE: Setting = Setting {
    name: "janus-room-secret-file",
    old_variables: &["JANUS_VIDEOROOM_ROOM_SECRET"],
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the secret that rooms are made with",
    ..Setting::NEW
};
pub const JANUS_ADMIN_KEY_FILE: Setting = Setting {
    name: "janus-admin-key-file",
    old_variables: &["JANUS_VIDEOROOM_ADMIN_KEY"],
    kind: Kind::SecretFile,
    value: "FILE",
    default: "the room secret",
    help: "File with the VideoRoom plugin's admin key",
    ..Setting::NEW
};
pub const JANUS_MEDIA_ADDRESS: Setting = Setting {
    name: "janus-media-address",
    value: "ADDRESS",
    default: "the one that we reach Janus from",
    help: "Our address as Janus reaches it",
    ..Setting::NEW
};
pub const WHIP_BASE_PATH: Setting = Setting {
    name: "whip-base-path",
    value: "PATH",
    default: super::DEFAULT_WHIP,
    help: "Where publishers publish: PATH/endpoint/SESSION",
    ..Setting::NEW
};
pub const WHIP_TOKEN_FILE: Setting = Setting {
    name: "whip-token-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the bearer token that publishers need",
    ..Setting::NEW
};
pub const TAKEOVER: Setting = Setting {
    name: "takeover",
    kind: Kind::Word(&Takeover::WORDS),
    value: "WHEN",
    default: "silent",
    help: "When a newcomer takes the place of who publishes: never, silent (when nothing comes from there) or always (with \
           the publishers' token)",
    ..Setting::NEW
};
pub const RTMP: Setting = Setting {
    name: "rtmp",
    old_variables: &["RTMP_LISTEN"],
    value: "[ADDRESS:]PORT",
    default: "off",
    help: "Where encoders are taken that speak RTMP and no WHIP, as a rule 1935",
    ..Setting::NEW
};
pub const RTMP_WAITING: Setting = Setting {
    name: "rtmp-waiting",
    value: "NUMBER",
    default: "64",
    help: "RTMP connections at once that do not publish yet",
    ..Setting::NEW
};
pub const RTMP_WAITING_PER_ADDRESS: Setting = Setting {
    name: "rtmp-waiting-per-address",
    value: "NUMBER",
    default: "8",
    help: "Those of one address; the next takes the place of one that has said nothing",
    ..Setting::NEW
};
