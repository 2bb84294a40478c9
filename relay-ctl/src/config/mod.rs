//! What was asked for on the command line, in the environment and in a file, checked as a whole before anything is
//! bound or attached.

mod child;
mod cpus;
mod source;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

pub use child::{ChildSpec, Listen};
pub use cpus::{Cpus, ONLINE};
pub use node::config::ConfigError;
use node::config::{NodeConfig, NodeFile, NodeFlags};
use node::contract::key;
use node::secret::Secret;
use relay_common::layout::MAX_CHILDREN;
use serde::Deserialize;

use crate::address::Prefix;
use crate::kernel::Constants;
use crate::mode::ModeWanted;

/// RTP ports that a relay listens on unless told otherwise: audio, video.
pub const DEFAULT_PORTS: [u16; 2] = [5002, 5004];
/// Port of the HTTP API unless told otherwise.
pub const DEFAULT_API_PORT: u16 = 7071;
/// Name of the node unless told otherwise.
const DEFAULT_ID: &str = "relay-1";

fn bad<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(text.into()))
}

/// The configuration file, TOML; every key is also a flag, and flags win.
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
    mode: Option<ModeWanted>,
    listen: Option<String>,
    api: Option<SocketAddr>,
    pin_root: Option<PathBuf>,
    log: Option<String>,
    stand_in: Option<String>,
    cpus: Option<String>,
    #[serde(default)]
    children: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    /// The file itself, if every user of the machine can read it.
    #[serde(skip)]
    open_to_all: Option<PathBuf>,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<File, ConfigError> {
        let (file, open_to_all) = node::config::read_file(path)?;
        Ok(File { open_to_all, ..file })
    }
}

/// The flags of `attach`, as far as they are configuration.
#[derive(Debug, Default)]
pub struct Flags {
    /// Those that every node has.
    pub node: NodeFlags,
    /// `--mode`.
    pub mode: Option<ModeWanted>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--api`.
    pub api: Option<SocketAddr>,
    /// `--pin-root`.
    pub pin_root: Option<PathBuf>,
    /// `--log`.
    pub log: Option<String>,
    /// `--stand-in`.
    pub stand_in: Option<String>,
    /// `--cpus`.
    pub cpus: Option<String>,
    /// `--without-statistics`.
    pub without_statistics: bool,
    /// `--child`, in the order given.
    pub children: Vec<String>,
    /// `--source`.
    pub sources: Vec<String>,
}

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
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// Where the data plane is pinned.
    pub pin_root: PathBuf,
    /// Log filter.
    pub log: String,
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
    /// Puts flags, environment (as far as clap has not) and file together and checks the whole.
    pub fn new(
        interface: &str,
        flags: Flags,
        env: impl Fn(&str) -> Option<String>,
        file: File,
    ) -> Result<Config, ConfigError> {
        if interface.is_empty() || interface.len() > 15 || interface.contains(['/', ' ']) {
            return bad(format!("'{interface}' is not an interface name; `ip -br link` lists them"));
        }
        let node_file = NodeFile {
            node_id: file.node_id,
            tree_id: file.tree_id,
            node_host: file.node_host,
            redis: file.redis,
            redis_host: file.redis_host,
            redis_port: file.redis_port,
            redis_password_file: file.redis_password_file,
            redis_ca: file.redis_ca,
            topology_grace: file.topology_grace,
            api_token_file: file.api_token_file,
            open_to_all: file.open_to_all,
        };
        let mut node = NodeConfig::new(DEFAULT_ID, flags.node, env, node_file)?;
        let listen = match flags.listen.or(file.listen) {
            Some(text) => text.parse()?,
            None => Listen { address: None, ports: DEFAULT_PORTS },
        };
        let children: Vec<ChildSpec> =
            file.children.iter().chain(&flags.children).map(|text| text.parse()).collect::<Result<_, _>>()?;
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
        let mode = flags.mode.or(file.mode).unwrap_or(ModeWanted::Auto);
        let cpus = flags.cpus.or(file.cpus).filter(|text| !text.is_empty());
        let cpus: Option<Cpus> = cpus.map(|text| text.parse()).transpose()?;
        if cpus.is_some() && matches!(mode, ModeWanted::Tc | ModeWanted::Userspace) {
            let mode = mode.name();
            return bad(format!(
                "--cpus spreads streams over CPUs in xdp only, and --mode {mode} is asked for: leave out one of them"
            ));
        }
        let given = |texts: Vec<String>| -> Vec<String> {
            texts.into_iter().filter(|text| !text.trim().is_empty()).collect()
        };
        let sources = match given(flags.sources) {
            flags if flags.is_empty() => source::parse_all(&file.sources)?,
            flags => source::parse_all(&flags)?,
        };
        let api = node.api(flags.api, file.api, DEFAULT_API_PORT);
        let log = flags.log.or(file.log).unwrap_or_else(|| "info".to_owned());
        Ok(Config {
            node,
            interface: interface.to_owned(),
            stand_in: flags.stand_in.or(file.stand_in).filter(|prefix| !prefix.is_empty()),
            mode,
            cpus,
            listen,
            api,
            pin_root: flags
                .pin_root
                .or(file.pin_root)
                .unwrap_or_else(|| crate::kernel::pins::DEFAULT_ROOT.into()),
            constants: Constants { log_level: ebpf_log_level(&log), statistics: !flags.without_statistics },
            log,
            children,
            sources,
        })
    }
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
mod tests {
    use super::*;

    fn no_env(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn flags_win_over_the_file() {
        let file: File =
            toml::from_str("node-id = 'a'\nmode = 'tc'\nchildren = ['x=10.0.0.1:5002:5004']").unwrap();
        let flags = Flags {
            node: NodeFlags { node_id: Some("b".to_owned()), ..NodeFlags::default() },
            children: vec!["y=10.0.0.2:5002:5004".to_owned()],
            ..Flags::default()
        };
        let config = Config::new("eth0", flags, no_env, file).unwrap();
        assert_eq!(config.node_id, "b");
        assert_eq!(config.mode, ModeWanted::Tc);
        assert_eq!(config.children.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn sources_of_the_flags_win_over_those_of_the_file() {
        let config = |flags: &[&str]| {
            let file: File = toml::from_str("sources = ['10.0.0.1']").unwrap();
            let sources = flags.iter().map(|text| (*text).to_owned()).collect();
            Config::new("eth0", Flags { sources, ..Flags::default() }, no_env, file)
        };
        let texts = |config: Config| config.sources.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(config(&[]).unwrap()), ["10.0.0.1/32"]);
        // An empty variable is none.
        assert_eq!(texts(config(&[""]).unwrap()), ["10.0.0.1/32"]);
        assert_eq!(texts(config(&["10.2.0.0/16", "fd00::/64"]).unwrap()), ["fd00::/64", "10.2.0.0/16"]);
        assert!(config(&["10.2.0.1/16"]).unwrap_err().0.contains("10.2.0.0/16"));
    }

    #[test]
    fn children_and_redis_contradict_each_other() {
        let redis = |name: &str| (name == "REDIS_HOST").then(|| "h".to_owned());
        let children = vec!["a=10.0.0.1:5002:5004".to_owned()];
        let file: File = toml::from_str("children = ['b=10.0.0.2:5002:5004']").unwrap();
        let by_flag = Config::new("eth0", Flags { children, ..Flags::default() }, redis, File::default());
        let by_file = Config::new("eth0", Flags::default(), redis, file);
        for (config, child) in [(by_flag, "--child a "), (by_file, "--child b ")] {
            let error = config.unwrap_err().0;
            assert!(error.contains(child) && error.contains("SADD children:relay-1"), "{error}");
        }
        assert!(Config::new("eth0", Flags::default(), redis, File::default()).unwrap().tree.is_some());
    }

    #[test]
    fn every_key_of_the_file_arrives() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "hunter2").unwrap();
        let text = format!(
            "node-id = 'r'\ntree-id = 't'\nnode-host = 'h'\nredis = 'rediss://u:hunter2@s/2'\ntopology-grace = 5\n\
             api-token-file = '{0}'\nredis-password-file = '{0}'\nmode = 'tc'\nlisten = '6002:6004'\n\
             api = '127.0.0.1:80'\npin-root = '/p'\nlog = 'warn'\nstand-in = 'eth'\nsources = ['10.1.0.0/16', 'fd00::7']",
            secret.path().display()
        );
        let file: File = toml::from_str(&text).unwrap();
        let shown = format!("{file:?}");
        let config = Config::new("eth0", Flags::default(), no_env, file).unwrap();
        let tree = config.tree.as_ref().unwrap();
        assert_eq!((&*config.node_id, &*config.tree_id, config.host.as_deref()), ("r", "t", Some("h")));
        assert_eq!((tree.grace.as_secs(), tree.redis.database, tree.redis.tls), (5, 2, true));
        assert_eq!(config.token.as_ref().unwrap().reveal(), "hunter2");
        assert_eq!((config.mode, config.listen.ports), (ModeWanted::Tc, [6002, 6004]));
        assert_eq!((config.api.port(), &*config.pin_root, &*config.log), (80, Path::new("/p"), "warn"));
        assert_eq!(config.stand_in.as_deref(), Some("eth"));
        assert_eq!(
            config.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.1.0.0/16", "fd00::7/128"]
        );
        for shown in [shown, format!("{config:?}")] {
            assert!(shown.contains("(secret)") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn cpus_are_for_xdp() {
        let with = |mode: Option<ModeWanted>, file: &str| {
            let flags = Flags { cpus: file.is_empty().then(|| "2".to_owned()), mode, ..Flags::default() };
            Config::new("eth0", flags, no_env, toml::from_str(file).unwrap())
        };
        for file in ["", "cpus = '2'"] {
            for mode in [None, Some(ModeWanted::Auto), Some(ModeWanted::Xdp)] {
                assert_eq!(with(mode, file).unwrap().cpus, Some(Cpus::Count(2)), "{mode:?}");
            }
            for mode in [ModeWanted::Tc, ModeWanted::Userspace] {
                let error = with(Some(mode), file).unwrap_err().0;
                assert!(
                    error.contains("--cpus") && error.contains(&format!("--mode {}", mode.name())),
                    "{error}"
                );
            }
        }
        assert!(Config::new("eth0", Flags::default(), no_env, File::default()).unwrap().cpus.is_none());
    }

    #[test]
    fn the_example_is_good() {
        let text = include_str!("../../../deploy/relay.example.toml");
        let config = Config::new("eth0", Flags::default(), no_env, toml::from_str(text).unwrap()).unwrap();
        assert_eq!(config.children.len(), 2);
        // So is what it shows in comments, with what it says contradicts it left out.
        let lines = text.lines().filter(|line| !line.starts_with("children") && !line.starts_with("    "));
        let all: String = lines
            .filter(|line| *line != "]")
            .map(|line| line.trim_start_matches("#: ").to_owned() + "\n")
            .collect();
        let file: File = toml::from_str(&all).unwrap();
        assert!(file.redis.is_some() && file.api_token_file.is_some(), "{all}");
    }

    #[test]
    fn too_many_children_and_double_names_are_refused() {
        let many = (0..257).map(|i| format!("c{i}=10.0.0.1:5002:5004")).collect();
        let error =
            Config::new("eth0", Flags { children: many, ..Flags::default() }, no_env, File::default())
                .unwrap_err();
        assert!(error.0.contains("at most 256"), "{error}");
        let double = vec!["a=10.0.0.1:5002:5004".to_owned(), "a=10.0.0.2:5002:5004".to_owned()];
        let error =
            Config::new("eth0", Flags { children: double, ..Flags::default() }, no_env, File::default())
                .unwrap_err();
        assert!(error.0.contains("given twice"), "{error}");
    }

    #[test]
    fn a_file_with_an_unknown_key_is_refused_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "mode = 'tc'\nchildern = []\n").unwrap();
        let error = File::read(file.path()).unwrap_err();
        assert!(error.0.contains("line 2") && error.0.contains("childern"), "{error}");
    }
}
