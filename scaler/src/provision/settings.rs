//! The file that says what nodes are made by, and how: TOML, a section for each back end, of which `backend` names one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use node::record::NodeType;
use serde::Deserialize;

use super::command::Commands;
use super::process::Processes;
use super::{Provisioner, Spec, Trouble};
use crate::model::Machine;

/// What makes nodes. There is one of it in a program.
#[allow(clippy::large_enum_variant)]
pub enum Backend {
    /// Processes of this machine.
    Process(Processes),
    /// Containers.
    #[cfg(feature = "docker")]
    Docker(super::docker::Containers),
    /// Pods.
    #[cfg(feature = "kubernetes")]
    Kubernetes(super::kubernetes::Pods),
    /// A program of one's own.
    Command(Commands),
}

/// The sections of all back ends are read, also where one was left out of the program: a file is right or wrong everywhere.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(not(all(feature = "docker", feature = "kubernetes")), allow(dead_code))]
struct File {
    backend: Name,
    process: Option<ProcessSettings>,
    docker: Option<DockerSettings>,
    kubernetes: Option<KubernetesSettings>,
    command: Option<CommandSettings>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Process,
    Docker,
    Kubernetes,
    Command,
}

/// `[process]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessSettings {
    /// Where records, locks and logs are.
    pub state: PathBuf,
    /// Ports of all nodes: `21000-21999`. Without it none gets any.
    pub ports: Option<String>,
    /// How many of them a node gets.
    #[serde(default = "eight")]
    pub ports_each: u16,
    /// Seconds that a process may take to end, until it is killed.
    #[serde(default = "two_minutes")]
    pub end_within: f64,
    /// How a relay is started.
    pub relay: Option<Run>,
    /// How an egress is started.
    pub egress: Option<Run>,
}

/// How a process of a role is started.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Run {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables. Of the scaler's own it gets PATH, HOME, LANG and TZ; NODE_ID, TREE_ID and ZONE are set.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What is run to its end before: it makes a network namespace, for instance, or leaves it if it is there.
    #[serde(default)]
    pub before: Vec<String>,
    /// What is run to its end when the node is taken away.
    #[serde(default)]
    pub after: Vec<String>,
}

/// `[docker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DockerSettings {
    /// Where the engine is; empty: DOCKER_HOST, or /var/run/docker.sock.
    #[serde(default)]
    pub host: String,
    /// The network that nodes are in, by name, or `host`.
    pub network: String,
    /// Ports of all nodes, for those that share the host's: `21000-21999`.
    pub ports: Option<String>,
    /// How many of them a node gets.
    #[serde(default = "eight")]
    pub ports_each: u16,
    /// Seconds that a container may take to end, until it is killed.
    #[serde(default = "two_minutes")]
    pub end_within: f64,
    /// What a relay is made of.
    pub relay: Option<Image>,
    /// What an egress is made of.
    pub egress: Option<Image>,
}

/// What a container of a role is made of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Image {
    /// Image; it is not pulled.
    pub image: String,
    /// What is started instead of what the image says.
    pub entrypoint: Vec<String>,
    /// Arguments.
    pub command: Vec<String>,
    /// Variables. NODE_ID, TREE_ID and ZONE are set.
    pub environment: BTreeMap<String, String>,
    /// Capabilities; all others are dropped.
    pub capabilities: Vec<String>,
    /// Folders and files of the host: `/from:/to:ro`.
    pub volumes: Vec<String>,
    /// Bytes of memory at most; 0: any.
    pub memory: i64,
}

/// `[kubernetes]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KubernetesSettings {
    /// Namespace; empty: that of the scaler's own account.
    #[serde(default)]
    pub namespace: String,
    /// The object that nodes belong to, and go with: `Deployment/media-tree-scaler`, in the same namespace.
    #[serde(default)]
    pub owner: String,
    /// What a relay is.
    pub relay: Option<Pod>,
    /// What an egress is.
    pub egress: Option<Pod>,
}

/// What a Pod of a role is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pod {
    /// Labels besides those of the scaler.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The `spec` of it, in Kubernetes' words. NODE_ID, TREE_ID and ZONE are set in its first container.
    pub spec: serde_json::Value,
}

/// `[command]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandSettings {
    /// Program and arguments; `make`, `destroy` or `list` follows.
    pub command: Vec<String>,
    /// Seconds that it may take.
    #[serde(default = "half_a_minute")]
    pub within: f64,
}

fn eight() -> u16 {
    8
}

fn two_minutes() -> f64 {
    130.0
}

fn half_a_minute() -> f64 {
    30.0
}

/// Which of the two that can be made a section is for.
pub(super) fn of_role<'a, T>(
    role: NodeType,
    relay: &'a Option<T>,
    egress: &'a Option<T>,
    section: &str,
) -> Result<&'a T, Trouble> {
    let said = match role {
        NodeType::Relay => relay.as_ref(),
        NodeType::Egress => egress.as_ref(),
        NodeType::Injection => return Err(Trouble::lasting("injections are made by people")),
    };
    said.ok_or_else(|| {
        Trouble::lasting(format!(
            "how {}s are made is not said: the provision file has no [{section}.{}]",
            role.name(),
            role.name()
        ))
    })
}

/// The ports that are given to nodes, `ports_each` at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub first: u16,
    pub last: u16,
    pub each: u16,
}

impl Ports {
    /// `21000-21999`.
    pub fn parse(text: &str, each: u16, setting: &str) -> Result<Ports, String> {
        let ends = text.split_once('-').and_then(|(first, last)| {
            Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
        });
        match ends {
            Some((first, last))
                if first > 0
                    && first <= last
                    && each > 0
                    && u32::from(last - first) + 1 >= u32::from(each) =>
            {
                Ok(Ports { first, last, each })
            }
            _ => Err(format!(
                "{setting}.ports is {text:?} with ports-each {each}; it is to be FIRST-LAST, such as 21000-21999, and have room for a node"
            )),
        }
    }

    /// The first port of each node's, from the lowest on.
    pub fn blocks(self) -> impl Iterator<Item = u16> {
        let count = (u32::from(self.last - self.first) + 1) / u32::from(self.each);
        (0..count).map(move |index| self.first + index as u16 * self.each)
    }
}

impl Backend {
    /// From the text of that file; an error is one line that says what is wrong in it. Nothing is connected to yet.
    pub fn read(toml: &str) -> Result<Backend, String> {
        let file: File = toml::from_str(toml).map_err(|error| {
            let line = error.span().map_or(0, |span| toml[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let missing = |name: &str| format!("backend is {name:?}, and there is no section [{name}]");
        match file.backend {
            Name::Process => {
                Processes::new(file.process.ok_or_else(|| missing("process"))?).map(Backend::Process)
            }
            #[cfg(feature = "docker")]
            Name::Docker => super::docker::Containers::new(file.docker.ok_or_else(|| missing("docker"))?)
                .map(Backend::Docker),
            #[cfg(feature = "kubernetes")]
            Name::Kubernetes => {
                super::kubernetes::Pods::new(file.kubernetes.ok_or_else(|| missing("kubernetes"))?)
                    .map(Backend::Kubernetes)
            }
            Name::Command => {
                Commands::new(file.command.ok_or_else(|| missing("command"))?).map(Backend::Command)
            }
            #[cfg(not(all(feature = "docker", feature = "kubernetes")))]
            _ => Err("this scaler was built without that back end".to_owned()),
        }
    }
}

/// The same of whichever it is.
macro_rules! any {
    ($backend:expr, $inner:ident => $does:expr) => {
        match $backend {
            Backend::Process($inner) => $does,
            #[cfg(feature = "docker")]
            Backend::Docker($inner) => $does,
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes($inner) => $does,
            Backend::Command($inner) => $does,
        }
    };
}

impl Provisioner for Backend {
    fn name(&self) -> &'static str {
        any!(self, inner => inner.name())
    }

    async fn make(&self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        super::names::check(&spec.name)?;
        super::names::check(&spec.tree)?;
        any!(self, inner => inner.make(spec, start).await)
    }

    async fn destroy(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        super::names::check(name)?;
        super::names::check(tree)?;
        any!(self, inner => inner.destroy(tree, name).await)
    }

    async fn list(&self, tree: &str) -> Result<BTreeMap<String, Machine>, Trouble> {
        super::names::check(tree)?;
        let mut machines = any!(self, inner => inner.list(tree).await)?;
        // An injection is people's, and what could not be made here was not.
        machines
            .retain(|name, machine| machine.role != NodeType::Injection && super::names::check(name).is_ok());
        Ok(machines)
    }
}
