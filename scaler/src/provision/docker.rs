//! Nodes as containers of a Docker engine, found again by their labels.
//!
//! One that is told to end is renamed first: so it is told once, whoever asks again and after whatever, and since when is
//! known. An engine does not start it again: what becomes of a node that has died is decided by the controller.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HostConfig, HostConfigLogConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use futures_util::StreamExt;
use node::record::NodeType;
use tokio::sync::{Mutex, OnceCell};

use super::fill::{Values, fill};
use super::settings::{DockerSettings, Image, Ports, of_role};
use super::{Provisioner, Spec, Trouble, now};
use crate::model::{Machine, Ms};

const TREE: &str = "media-tree.tree";
const NODE: &str = "media-tree.node";
const ROLE: &str = "media-tree.role";
const ZONE: &str = "media-tree.zone";
const PORT: &str = "media-tree.port";
const CREATED: &str = "media-tree.created";
/// In the name of a container that was told to end, before the time at which it was.
const ENDING: &str = ".ending-";
/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that was told to end is waited for before the answer is "not yet".
const FAREWELL: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);
/// Who cannot use its configuration has ended after this.
const AT_ONCE: Duration = Duration::from_millis(300);
/// Exit code of those.
const BAD_CONFIGURATION: i64 = 64;

/// Containers of an engine.
pub struct Containers {
    settings: DockerSettings,
    ports: Option<Ports>,
    engine: OnceCell<Docker>,
    /// Ports are given to one at a time.
    choosing: Mutex<()>,
}

impl Containers {
    /// What is said of them, checked.
    pub fn new(settings: DockerSettings) -> Result<Containers, String> {
        let ports = settings.ports.as_deref();
        let ports = ports.map(|text| Ports::parse(text, settings.ports_each, "docker")).transpose()?;
        if settings.network.is_empty() {
            return Err("docker.network is empty; it is to be the name of a network, or host".to_owned());
        }
        if !(0.0..=3600.0).contains(&settings.end_within) {
            return Err(format!(
                "docker.end-within is {}; it is to be 0 to 3600 seconds",
                settings.end_within
            ));
        }
        for (role, image) in [(NodeType::Relay, &settings.relay), (NodeType::Egress, &settings.egress)] {
            if let Some(image) = image {
                check(image, ports, role).map_err(|why| format!("docker.{}: {why}", role.name()))?;
            }
        }
        Ok(Containers { settings, ports, engine: OnceCell::new(), choosing: Mutex::new(()) })
    }

    /// What can be said to it. A version of the protocol is agreed on once.
    async fn engine(&self) -> Result<&Docker, Trouble> {
        let connect = || async {
            let docker = match self.settings.host.as_str() {
                "" => Docker::connect_with_defaults(),
                host => Docker::connect_with_host(host),
            };
            let docker = docker.map_err(trouble)?;
            answered(docker.with_timeout(PATIENCE).negotiate_version()).await
        };
        self.engine.get_or_try_init(connect).await
    }

    async fn containers(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Trouble> {
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        answered(self.engine().await?.list_containers(Some(options))).await
    }

    async fn find(&self, tree: &str, name: &str) -> Result<Option<Container>, Trouble> {
        let found = self.containers(vec![format!("{TREE}={tree}"), format!("{NODE}={name}")]).await?;
        Ok(found.into_iter().find_map(Container::of))
    }

    async fn create(&self, spec: &Spec, image: &Image) -> Result<Container, Trouble> {
        let _choosing = self.choosing.lock().await;
        let port = match self.ports {
            None => None,
            Some(ports) => {
                let all = self.containers(vec![NODE.to_owned()]).await?;
                let taken: BTreeSet<u16> = all
                    .into_iter()
                    .filter_map(Container::of)
                    .filter_map(|container| container.port)
                    .collect();
                let free = ports.blocks().find(|first| !taken.contains(first));
                let none = || {
                    format!("all ports of {}-{} are in use; make docker.ports wider", ports.first, ports.last)
                };
                Some(free.ok_or_else(|| Trouble::passing(none()))?)
            }
        };
        let created = now();
        let body = self.body(spec, image, port, created)?;
        let name = format!("{}-{}", spec.tree, spec.name);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        match self.engine().await?.create_container(Some(options), body).await {
            Ok(made) => Ok(Container {
                id: made.id,
                name: spec.name.clone(),
                role: spec.role,
                zone: spec.zone.clone(),
                created,
                port,
                state: ContainerSummaryStateEnum::CREATED,
                ending: None,
            }),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => {
                // Somebody was faster, or it is no container of ours.
                self.find(&spec.tree, &spec.name).await?.ok_or_else(|| {
                    Trouble::lasting(format!(
                        "there is a container {name} that the scaler did not make; rename or remove it"
                    ))
                })
            }
            Err(Error::DockerResponseServerError { status_code: 404, message }) => Err(Trouble::lasting(
                format!("{name} cannot be made: {message}; images are not pulled by the scaler"),
            )),
            Err(error) => Err(trouble(error)),
        }
    }

    fn body(
        &self,
        spec: &Spec,
        image: &Image,
        port: Option<u16>,
        created: Ms,
    ) -> Result<ContainerCreateBody, Trouble> {
        let values = Values { spec, ports: port.zip(self.ports).map(|(first, ports)| (first, ports.each)) };
        let filled = |text: &String| fill(text, values).map_err(Trouble::lasting);
        let mut env = vec![format!("NODE_ID={}", spec.name), format!("TREE_ID={}", spec.tree)];
        if !spec.zone.is_empty() {
            env.push(format!("ZONE={}", spec.zone));
        }
        for (name, value) in &image.environment {
            env.push(format!("{name}={}", filled(value)?));
        }
        let mut labels = HashMap::from([
            (TREE.to_owned(), spec.tree.clone()),
            (NODE.to_owned(), spec.name.clone()),
            (ROLE.to_owned(), spec.role.name().to_owned()),
            (ZONE.to_owned(), spec.zone.clone()),
            (CREATED.to_owned(), created.to_string()),
        ]);
        labels.extend(port.map(|port| (PORT.to_owned(), port.to_string())));
        let log = HashMap::from([("max-size", "10m"), ("max-file", "2")]);
        let all = |texts: &[String]| texts.iter().map(filled).collect::<Result<Vec<_>, _>>();
        let said = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        Ok(ContainerCreateBody {
            // One that shares the host's network has the host's name.
            hostname: (self.settings.network != "host").then(|| spec.name.clone()),
            image: Some(image.image.clone()),
            entrypoint: said(all(&image.entrypoint)?),
            cmd: said(all(&image.command)?),
            env: Some(env),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some(self.settings.network.clone()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(image.capabilities.clone()),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                binds: Some(all(&image.volumes)?),
                memory: Some(image.memory),
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".to_owned()),
                    config: Some(
                        log.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
                    ),
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        })
    }

    /// An error with the last line that it said, if it has ended.
    async fn not_ended_at_once(&self, container: &Container) -> Result<(), Trouble> {
        tokio::time::sleep(AT_ONCE).await;
        let engine = self.engine().await?;
        let state = answered(engine.inspect_container(&container.id, None)).await?.state.unwrap_or_default();
        if state.running != Some(false) {
            return Ok(());
        }
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("1").build();
        let mut log = engine.logs(&container.id, Some(options));
        let line = tokio::time::timeout(PATIENCE, log.next()).await.ok().flatten().and_then(Result::ok);
        let line =
            line.map_or_else(|| "it said nothing".to_owned(), |line| line.to_string().trim().to_owned());
        let code = state.exit_code.unwrap_or_default();
        let why = format!("{} ended at once (exit status {code}): {line}", container.name);
        Err(Trouble { why, again: code != BAD_CONFIGURATION })
    }
}

/// A role with a node that is none: what cannot be filled in is said at once.
fn check(image: &Image, ports: Option<Ports>, role: NodeType) -> Result<(), String> {
    let spec = Spec { name: "x".into(), role, tree: "x".into(), parent: "x".into(), zone: "x".into() };
    let values = Values { spec: &spec, ports: ports.map(|ports| (ports.first, ports.each)) };
    if image.image.is_empty() {
        return Err("image is empty; it is to be the name of an image that the engine has".to_owned());
    }
    if image.memory < 0 {
        return Err(format!("memory is {}; it is to be bytes, or 0 for any", image.memory));
    }
    let lists = [&image.entrypoint, &image.command, &image.volumes];
    let mut texts = lists.into_iter().flatten().chain(image.environment.values());
    texts.try_for_each(|text| fill(text, values).map(drop))
}

/// One of ours.
struct Container {
    id: String,
    name: String,
    role: NodeType,
    zone: String,
    created: Ms,
    port: Option<u16>,
    state: ContainerSummaryStateEnum,
    /// When it was told to end.
    ending: Option<Ms>,
}

impl Container {
    /// By what the engine says; of others nothing.
    fn of(summary: ContainerSummary) -> Option<Container> {
        let labels = summary.labels?;
        let role = [NodeType::Relay, NodeType::Egress]
            .into_iter()
            .find(|role| labels.get(ROLE).is_some_and(|is| is == role.name()))?;
        let told = |name: &String| name.rsplit_once(ENDING)?.1.parse().ok();
        Some(Container {
            id: summary.id?,
            name: labels.get(NODE)?.clone(),
            role,
            zone: labels.get(ZONE).cloned().unwrap_or_default(),
            created: labels.get(CREATED).and_then(|created| created.parse().ok()).unwrap_or_default(),
            port: labels.get(PORT).and_then(|port| port.parse().ok()),
            state: summary.state?,
            ending: summary.names.unwrap_or_default().iter().find_map(told),
        })
    }

    fn is_running(&self) -> bool {
        use ContainerSummaryStateEnum::{PAUSED, RESTARTING, RUNNING, STOPPING};
        matches!(self.state, RUNNING | PAUSED | RESTARTING | STOPPING)
    }
}

impl Provisioner for Containers {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn make(&self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        let image = of_role(spec.role, &self.settings.relay, &self.settings.egress, "docker")?;
        let container = match self.find(&spec.tree, &spec.name).await? {
            Some(container) => container,
            None => self.create(spec, image).await?,
        };
        if container.ending.is_some() {
            return Err(Trouble::passing(format!("{} was told to end and is not gone yet", spec.name)));
        }
        if !start || container.is_running() {
            return Ok(());
        }
        answered(self.engine().await?.start_container(&container.id, None)).await?;
        self.not_ended_at_once(&container).await
    }

    async fn destroy(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        let asked = tokio::time::Instant::now();
        loop {
            let Some(container) = self.find(tree, name).await? else { return Ok(()) };
            let (engine, id) = (self.engine().await?, container.id.as_str());
            let since = container.ending.unwrap_or_else(now);
            let waited = now().saturating_sub(since) as f64 / 1000.0;
            let signal = |signal| KillContainerOptionsBuilder::new().signal(signal).build();
            if !container.is_running() {
                // With its anonymous volumes.
                let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                told(engine.remove_container(id, Some(options))).await?;
            } else if container.ending.is_none() {
                let ending = format!("{tree}-{name}{ENDING}{since}");
                let options = RenameContainerOptionsBuilder::new().name(&ending).build();
                told(engine.rename_container(id, options)).await?;
                told(engine.kill_container(id, Some(signal("SIGTERM")))).await?;
            } else if waited > self.settings.end_within {
                told(engine.kill_container(id, Some(signal("SIGKILL")))).await?;
            }
            if asked.elapsed() > FAREWELL {
                return Err(Trouble::passing(format!(
                    "{name} was told to end {waited:.0} s ago, and is killed after {:.0} s",
                    self.settings.end_within
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn list(&self, tree: &str) -> Result<BTreeMap<String, Machine>, Trouble> {
        let found = self.containers(vec![format!("{TREE}={tree}"), NODE.to_owned()]).await?;
        let machine = |container: Container| {
            let running = container.is_running();
            (
                container.name,
                Machine { role: container.role, running, created: container.created, zone: container.zone },
            )
        };
        Ok(found.into_iter().filter_map(Container::of).map(machine).collect())
    }
}

/// What the engine says, within a time.
async fn answered<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(trouble),
        Err(_) => {
            Err(Trouble::passing(format!("the engine does not answer within {} s", PATIENCE.as_secs())))
        }
    }
}

/// The same of one that may have ended meanwhile, or be gone: of such a one nothing more is wanted.
async fn told(asked: impl Future<Output = Result<(), Error>>) -> Result<(), Trouble> {
    let unless_gone = async {
        match asked.await {
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            answer => answer,
        }
    };
    answered(unless_gone).await
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            Trouble { why: format!("the engine: {message} ({status_code})"), again: status_code >= 500 }
        }
        Error::UnsupportedURISchemeError { uri } => Trouble::lasting(format!(
            "{uri} is no address of an engine; DOCKER_HOST or docker.host is to be unix:///PATH or tcp://HOST:PORT"
        )),
        error => Trouble::passing(format!("the engine cannot be asked: {error}")),
    }
}
