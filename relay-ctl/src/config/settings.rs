//! The settings that only a relay has.

use node::config::{Kind, Setting, Table};

/// Its table.
#[derive(Clone, Copy, Debug)]
pub struct RelaySettings;

impl Table for RelaySettings {
    const PREFIX: &'static str = "RELAY";
    const OWN: &'static [&'static Setting] = &[
        &MODE,
        &RTP_ADDRESS,
        &LISTEN,
        &CHILDREN,
        &SOURCES,
        &HISTORY,
        &REPAIR_WITHIN,
        &STAND_IN,
        &CPUS,
        &PIN_ROOT,
    ];
}

pub const MODE: Setting = Setting {
    name: "mode",
    was_prefixed: true,
    kind: Kind::Word(&["auto", "xdp", "tc", "userspace"]),
    value: "MODE",
    default: "auto",
    help: "Which data plane: auto, xdp, tc or userspace",
    ..Setting::NEW
};
pub const RTP_ADDRESS: Setting = Setting {
    name: "rtp-address",
    value: "ADDRESS",
    default: "all of the interface's",
    help: "Address that RTP comes in on",
    ..Setting::NEW
};
/// What `rtp-address`, `rtp-audio-port` and `rtp-video-port` were together.
pub const LISTEN: Setting = Setting {
    name: "listen",
    old_variables: &["RELAY_LISTEN"],
    replaced: true,
    value: "[ADDRESS:]AUDIO:VIDEO",
    help: "Old, for `rtp-address`, `rtp-audio-port` and `rtp-video-port` together: [ADDRESS:]AUDIO:VIDEO",
    ..Setting::NEW
};
pub const CHILDREN: Setting = Setting {
    name: "children",
    kind: Kind::List("child"),
    value: "NAME=HOST:AUDIO:VIDEO",
    help: "Child NAME=HOST:AUDIO:VIDEO (IPv6 in brackets), for a relay without Redis",
    ..Setting::NEW
};
pub const SOURCES: Setting = Setting { was_prefixed: true, ..node::sources::SETTING };
pub const HISTORY: Setting = node::repair::settings::HISTORY_SETTING;
pub const REPAIR_WITHIN: Setting = node::repair::settings::WITHIN_SETTING;
pub const STAND_IN: Setting = Setting {
    name: "stand-in",
    was_prefixed: true,
    value: "PREFIX",
    help: "When the interface is gone, one whose name begins so takes its place: in a container whose network is \
           disconnected and connected again, eth0 comes back as eth1",
    ..Setting::NEW
};
pub const CPUS: Setting = Setting {
    name: "cpus",
    was_prefixed: true,
    value: "N or LIST",
    default: "the CPU that a packet comes in on",
    help: "In xdp, how many CPUs copy (4) or which (0,2 or 4-7): each stream belongs to one of them, chosen by its SSRC. \
           For cards that bring all of a relay's media to one CPU",
    ..Setting::NEW
};
pub const PIN_ROOT: Setting = Setting {
    name: "pin-root",
    was_prefixed: true,
    value: "FOLDER",
    default: crate::kernel::pins::DEFAULT_ROOT,
    help: "Where the data plane is pinned",
    ..Setting::NEW
};
