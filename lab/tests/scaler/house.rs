//! [`House`]: a broadcast, a machine for what the scaler makes, Prometheus, and the scaler.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::client::Publisher;
use lab::json::Json;
use lab::monitoring::{Prometheus, watch};
use lab::node::program;
use lab::process::Process;
use lab::relay::{Mode, relay_ctl};
use lab::studio::{MACHINE, VIEWERS, address};
use lab::topology::CONTROL;
use lab::{Lab, Studio, http};
use node::contract::key;

use super::exporter;

pub const SESSION: &str = "show";
const TREE: &str = "tree-1";
const SCALER: u16 = 7078;
/// Everything takes its time on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// What makes nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Processes of the machine [`MACHINE`].
    Processes,
    /// Containers, in the network of the host that the test runs on.
    Containers,
}

pub struct House<'lab> {
    pub lab: &'lab Lab,
    pub studio: Studio<'lab>,
    pub prometheus: Prometheus<'lab>,
    pub scaler: Process,
    by: By,
    exporter: Option<Child>,
    _publisher: Publisher,
}

impl Drop for House<'_> {
    /// What is in the lab's namespaces goes with the lab.
    fn drop(&mut self) {
        if self.by == By::Containers {
            let _ = self.scaler.kill9();
            let ours = ["ps", "-aq", "--filter", &format!("label=media-tree.tree={TREE}")];
            let ids = Command::new("docker").args(ours).output().map(|said| said.stdout).unwrap_or_default();
            let ids = String::from_utf8_lossy(&ids).into_owned();
            let _ = Command::new("docker").args(["rm", "-f"]).args(ids.split_whitespace()).output();
        }
        if let Some(exporter) = &mut self.exporter {
            let _ = exporter.kill().and_then(|()| exporter.wait());
        }
    }
}

impl<'lab> House<'lab> {
    /// Opens it: a broadcast that nobody can watch yet, and a scaler that is to look after the tree. An egress takes `places` viewers.
    pub fn open(lab: &'lab Lab, by: By, places: u32, policy: &str) -> House<'lab> {
        let studio = Studio::open(lab, Mode::Tc, 0, 0).unwrap();
        studio.add_machine().unwrap();
        let host = match by {
            By::Processes => address(MACHINE).unwrap(),
            By::Containers => studio.let_host_in().unwrap(),
        };
        studio.create_session(SESSION, [7777, 8888]).unwrap();
        let publisher = studio.publish(SESSION, &[]).unwrap();
        let exporter = exporter::start(lab, by);
        let prometheus = watch(&studio, 15).unwrap();

        let redis = studio.redis.url(address(CONTROL).unwrap());
        let provision = match by {
            By::Processes => processes(lab, &redis, host, places),
            By::Containers => containers(&redis, host, places),
        };
        let [provision_file, policy_file] = [("provision.toml", provision.as_str()), ("policy.toml", policy)]
            .map(|(name, text)| {
                let file = lab.directory().join(name);
                fs::write(&file, text).unwrap();
                file.display().to_string()
            });
        let mut scaler = Command::new(program("scaler").unwrap());
        scaler.arg("run").args(["--provision", &provision_file, "--policy", &policy_file]);
        scaler.env("REDIS_URL", &redis).env("TREES", TREE).env("API", format!("127.0.0.1:{SCALER}"));
        scaler.env("API_TOKEN", studio.api_token());
        scaler.env("PROMETHEUS", format!("http://{}:9090", address(CONTROL).unwrap()));
        let scaler = lab.spawn(MACHINE, scaler).unwrap();
        House { lab, studio, prometheus, scaler, by, exporter, _publisher: publisher }
    }

    /// What the scaler says of itself.
    pub fn status(&self) -> Option<Json> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, SCALER));
        http::get(self.lab, MACHINE, at, "/status").ok()?.body.parse().ok()
    }

    /// Nothing is being done.
    pub fn is_idle(&self) -> bool {
        let trees = self.status().map(|status| status["trees"].clone());
        trees.is_some_and(|trees| trees.list().first().is_some_and(|tree| tree["running"].list().is_empty()))
    }

    /// What it has done, a line each, and how long after this moment each was.
    pub fn history(&self, since: SystemTime) -> String {
        let since = since.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, SCALER));
        let entries =
            http::get(self.lab, MACHINE, at, "/history?count=100").unwrap().body.parse::<Json>().unwrap();
        let line = |entry: &Json| {
            let [what, text] = ["what", "text"].map(|field| entry[field].text());
            format!("{:7.2} s {what}: {text}\n", (entry["at"].number() as i64 - since) as f64 / 1000.0)
        };
        entries.list().iter().rev().map(line).collect()
    }

    /// Names of the egresses that the tree has.
    pub fn egresses(&self) -> Vec<String> {
        let mut names = self.studio.redis.members(&key::scaled_egresses(TREE)).unwrap();
        names.sort();
        names
    }

    /// Where an egress is watched, once it has said so.
    pub fn whep(&self, name: &str) -> Option<String> {
        let field = |field| self.studio.redis.cli(&["HGET", &key::node(name), field]).ok();
        let (host, port) = (field("host")?, field("port")?);
        let (host, port) = (host.trim(), port.trim());
        (!host.is_empty() && !port.is_empty())
            .then(|| format!("http://{host}:{port}/whep/endpoint/{SESSION}"))
    }

    /// The door of the whole tree.
    pub fn door(&self) -> String {
        format!("http://{}/watch/{SESSION}", self.studio.injection_address().unwrap())
    }

    /// Viewers at an egress.
    pub fn viewers(&self, name: &str) -> f64 {
        let read = || {
            let (host, port) =
                (self.whep(name)?.strip_prefix("http://")?.split('/').next()?.to_owned(), "/metrics");
            let text = http::get(self.lab, VIEWERS, host.parse().ok()?, port).ok()?.body;
            let line = text.lines().find(|line| line.starts_with("media_tree_egress_active_viewers{"))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        read().unwrap_or(0.0)
    }

    /// Somebody sees a picture from there, at the first try that is let in.
    pub fn first_picture(&self, name: &str) {
        self.until("a first picture", || {
            let whep = self.whep(name)?;
            let mut command = self.lab.command(VIEWERS, program("media-client").unwrap());
            let tried = command.args(["first-frame", "--endpoint", &whep, "--tries", "1"]).output().unwrap();
            tried.status.success().then_some(())
        });
    }

    /// What is wanted of the tree from the next look on, as JSON.
    pub fn wants(&self, settings: &str) {
        self.studio.redis.cli(&["SET", &key::scaler_settings(TREE), settings]).unwrap();
    }

    /// A crowd that stays until it is told to go.
    pub fn crowd(&self, count: usize, within: &str) -> Process {
        let mut command = Command::new(program("media-client").unwrap());
        command.args(["crowd", "--follow", "--within", within, "--stay", "3600", "--endpoint", &self.door()]);
        command.args(["--count", &count.to_string()]);
        self.lab.spawn(VIEWERS, command).unwrap()
    }

    /// Waits for something; what everybody said is in the panic if it does not come.
    pub fn until<T>(&self, what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = wanted() {
                return found;
            }
            let ended = self.scaler.status().unwrap();
            if began.elapsed() > PATIENCE || ended.is_some() {
                let status = self.status().map(|status| format!("{status:?}"));
                panic!("{what} does not come\n{status:?}\n{}\n{}", self.scaler.tail(), self.machines());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The last that nodes said.
    fn machines(&self) -> String {
        let folder = self.lab.directory().join("machines").join(TREE);
        let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
        let tail = |path: std::path::PathBuf| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(8).collect();
            format!("-- {}\n{}\n", path.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        };
        logs.map(tail).collect()
    }
}

fn processes(lab: &Lab, redis: &str, host: Ipv4Addr, places: u32) -> String {
    let folder = lab.directory().display();
    let (relay, egress) = (relay_ctl(), program("egress").unwrap());
    let common = format!(
        "LAB_DIRECTORY = '{folder}'\nREDIS_URL = '{redis}'\nNODE_HOST = '{host}'\nAPI = '0.0.0.0:{{port}}'\n\
         API_TOKEN = 'lab-api-token'\nRTP_AUDIO_PORT = '{{port+1}}'\nRTP_VIDEO_PORT = '{{port+3}}'\n"
    );
    format!(
        "backend = 'process'\n[process]\nstate = '{folder}/machines'\nports = '21000-21399'\nend-within = 60.0\n\
         [process.relay]\ncommand = ['{}', 'attach', 'eth0', '--mode', 'userspace', '--pin-root', '{}/{{name}}']\n\
         [process.relay.environment]\n{common}\n\
         [process.egress]\ncommand = ['{}']\n[process.egress.environment]\n{common}SERVER = 'native'\nMEDIA_PORT = '{{port+5}}'\n\
         MAX_VIEWERS = '{places}'\n",
        relay.display(),
        lab.bpffs().display(),
        egress.display()
    )
}

fn containers(redis: &str, host: Ipv4Addr, places: u32) -> String {
    let (relay, egress) = (relay_ctl(), program("egress").unwrap());
    let common = format!(
        "REDIS_URL = '{redis}'\nNODE_HOST = '{host}'\nAPI = '0.0.0.0:{{port}}'\nAPI_TOKEN = 'lab-api-token'\n\
         RTP_AUDIO_PORT = '{{port+1}}'\nRTP_VIDEO_PORT = '{{port+3}}'\n"
    );
    format!(
        "backend = 'docker'\n[docker]\nnetwork = 'host'\nports = '21000-21399'\nend-within = 60.0\n\
         [docker.relay]\nimage = 'media-tree/relay'\ncapabilities = ['NET_ADMIN']\nvolumes = ['{}:/usr/local/bin/relay-ctl:ro']\n\
         entrypoint = ['relay-ctl']\ncommand = ['attach', 'media-tree', '--mode', 'userspace', '--pin-root', '/run/{{name}}']\n\
         [docker.relay.environment]\n{common}\n\
         [docker.egress]\nimage = 'media-tree/egress'\nvolumes = ['{}:/usr/local/bin/egress:ro']\n\
         [docker.egress.environment]\n{common}SERVER = 'native'\nMEDIA_PORT = '{{port+5}}'\nMAX_VIEWERS = '{places}'\n",
        relay.display(),
        egress.display()
    )
}
