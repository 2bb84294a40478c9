//! What was asked for on the command line, in the environment and in a file, checked as a whole before anything is
//! bound or attached.

mod child;
mod cpus;
mod settings;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

pub use child::{ChildSpec, Listen};
use clap::ValueEnum;
pub use cpus::{Cpus, ONLINE};
pub use node::config::ConfigError;
use node::config::{Defaults, NodeConfig, RTP_AUDIO_PORT, RTP_VIDEO_PORT, Settings};
use node::contract::key;
use relay_common::layout::MAX_CHILDREN;
pub use settings::RelaySettings;
use settings::*;

use crate::address::Prefix;
use crate::kernel::Constants;
use crate::mode::ModeWanted;

/// Port of the HTTP API unless told otherwise.
pub const DEFAULT_API_PORT: u16 = 7071;
/// What is so unless told otherwise.
const DEFAULTS: Defaults = Defaults {
    node_id: "relay-1",
    api_port: DEFAULT_API_PORT,
    // A daemon that is stopped goes on forwarding: most who stop one start it again.
    drain_limit: Duration::ZERO,
};

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}

/// The flags of `attach`, as far as they are configuration.
pub type Flags = node::config::Flags<RelaySettings>;

/// Checked configuration of a relay. What every node has (`node_id`, `tree`, `token`, `warnings` …) is read as if it
/// were its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Interface to attach to.
    pub interface: String,
    /// How the name of one begins that may take its place when it is gone.
    pub stand_in: Option<String>,
    /// Over which CPUs streams are spread, in xdp; `None`: each is copied where it comes in.
    pub cpus: Option<Cpus>,
    /// What the eBPF programs are loaded with.
    pub constants: Constants,
    /// Mode asked for.
    pub mode: ModeWanted,
    /// Where media comes in.
    pub listen: Listen,
    /// What the setting is called that says on which address.
    pub address_setting: String,
    /// Packets that are kept, to be sent again to children; 0: none.
    pub history: usize,
    /// How long is asked for a packet that is missing; zero: none is asked for.
    pub repair_within: Duration,
    /// Where the data plane is pinned.
    pub pin_root: PathBuf,
    /// Children to begin with.
    pub children: Vec<ChildSpec>,
    /// Where media is taken from, in a tree besides from the parent. Empty: nothing is said.
    pub sources: BTreeSet<Prefix>,
}

impl Deref for Config {
    type Target = NodeConfig;

    fn deref(&self) -> &NodeConfig {
        &self.node
    }
}

impl Config {
    /// All that was asked for, checked as a whole. `env` looks a variable up.
    pub fn load(
        interface: &str,
        flags: Flags,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        Config::new(interface, flags.settings(&env)?)
    }

    /// Of settings that have been gathered.
    pub fn new(interface: &str, mut settings: Settings<'_>) -> Result<Config, ConfigError> {
        if interface.is_empty() || interface.len() > 15 || interface.contains(['/', ' ']) {
            return bad(format!("'{interface}' is not an interface name; `ip -br link` lists them"));
        }
        let mut node = NodeConfig::new(DEFAULTS, &mut settings)?;
        let (listen, address_setting) = listen(&settings, node.ports)?;
        node.ports = listen.ports;
        let children = settings.all(&CHILDREN)?;
        let children: Vec<ChildSpec> = children.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        check_children(&children)?;
        if let (Some(child), Some(_)) = (children.first(), &node.tree) {
            return bad(format!(
                "with Redis the children come from there: leave out --child {} (or `children` in the file), and say \
                 `redis-cli SADD {} {}`; or leave out Redis",
                child.name,
                key::children(&node.node_id),
                child.name
            ));
        }
        let modes = "must be auto, xdp, tc or userspace";
        let mode =
            settings.get(&MODE, |text| ModeWanted::from_str(text, false).map_err(|_| modes.to_owned()))?;
        let mode = mode.unwrap_or(ModeWanted::Auto);
        let cpus = settings.get(&CPUS, |text| text.parse::<Cpus>().map_err(|ConfigError(why)| why))?;
        if cpus.is_some() && matches!(mode, ModeWanted::Tc | ModeWanted::Userspace) {
            return bad(format!(
                "{} spreads streams over CPUs in xdp only, and {} {} is asked for: leave out one of them",
                settings.name_of(&CPUS)?,
                settings.name_of(&MODE)?,
                mode.name()
            ));
        }
        let history = settings.get(&HISTORY, node::repair::settings::history)?;
        let history = history.unwrap_or(node::repair::HISTORY);
        let history = if history == 0 { 0 } else { history.next_power_of_two() as u32 };
        let sources = settings.list(&SOURCES)?.map(|found| found.value).unwrap_or_default();
        let stand_in = settings.find(&STAND_IN)?.map(|found| found.value);
        let repair_within = settings.get(&REPAIR_WITHIN, node::repair::settings::within)?;
        let repair_within = repair_within.unwrap_or(node::repair::WITHIN);
        let (log_level, gaps) = (ebpf_log_level(&node.log.filter), !repair_within.is_zero());
        let pin_root = settings.find(&PIN_ROOT)?.map(|found| found.value);
        Ok(Config {
            interface: interface.to_owned(),
            stand_in,
            mode,
            cpus,
            listen,
            address_setting,
            history: history as usize,
            repair_within,
            pin_root: pin_root.unwrap_or_else(|| crate::kernel::pins::DEFAULT_ROOT.to_owned()).into(),
            constants: Constants { log_level, history, gaps, ..Constants::default() },
            children,
            sources: node::sources::parse_all(&sources)?,
            node,
        })
    }
}

/// Where media comes in, and which setting says on which address. `listen`, the old name of three settings together, may not contradict those at its level, and
/// gives way to them at a higher one.
fn listen(settings: &Settings<'_>, ports: [u16; 2]) -> Result<(Listen, String), ConfigError> {
    let address = settings.find(&RTP_ADDRESS)?;
    let parsed = address.as_ref().map(|found| {
        found.checked(|text| text.parse().map_err(|_| "must be an address, for instance 10.0.0.5".to_owned()))
    });
    let listen = Listen { address: parsed.transpose()?, ports };
    let mut name = settings.name_of(&RTP_ADDRESS)?;
    let Some(old) = settings.find(&LISTEN)? else { return Ok((listen, name)) };
    let mut whole: Listen = old.checked(str::parse)?;
    if address.as_ref().is_none_or(|address| old.level < address.level) {
        name = old.name.clone();
    }
    let parts = [settings.find(&RTP_AUDIO_PORT)?, settings.find(&RTP_VIDEO_PORT)?, address];
    for (index, part) in parts.iter().enumerate().filter_map(|(index, part)| Some((index, part.as_ref()?))) {
        let differs = match index {
            2 => whole.address != listen.address,
            port => whole.ports[port] != listen.ports[port],
        };
        if part.level == old.level && differs {
            return bad(format!(
                "{} {} and {} {} contradict each other; leave out {}, the older name",
                part.name, part.value, old.name, old.value, old.name
            ));
        }
        if part.level < old.level {
            match index {
                2 => whole.address = listen.address,
                port => whole.ports[port] = listen.ports[port],
            }
        }
    }
    node::config::check_pair(whole.ports, settings)?;
    Ok((whole, name))
}

/// The level that the eBPF programs log at: the filter's, as far as it is a plain level.
fn ebpf_log_level(filter: &str) -> u8 {
    match filter {
        "off" => 0,
        "error" => 1,
        "warn" => 2,
        "debug" => 4,
        "trace" => 5,
        _ => 3,
    }
}

fn check_children(children: &[ChildSpec]) -> Result<(), ConfigError> {
    if children.len() > MAX_CHILDREN as usize {
        return bad(format!(
            "{} children, but a relay has at most {MAX_CHILDREN}; put a relay between",
            children.len()
        ));
    }
    let mut names = BTreeSet::new();
    for child in children {
        if !names.insert(&child.name) {
            return bad(format!("child name {} is given twice; names must be unique", child.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
