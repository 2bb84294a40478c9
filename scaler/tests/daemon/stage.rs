//! A Redis, an injection that people have started, a back end that makes tiny nodes, and scalers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use node::record::NodeType;
use scaler::action::{Action, Kind, Progress, SlotUse, Urgency};
use scaler::journal::Running;
use scaler::provision::{Backend, Provisioner, Spec};
use serde_json::{Value, json};

use super::common::Server;
use super::common::cluster::cli;
use super::common::server::free_port;

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(60);
pub const TREE: &str = "tree-1";

/// All that is there besides scalers.
pub struct Stage {
    pub redis: Server,
    pub folder: tempfile::TempDir,
    pub backend: Backend,
    injection: Child,
}

/// A running scaler.
pub struct Scaler {
    process: Child,
    pub api: u16,
    log: PathBuf,
}

impl Stage {
    /// Variables for tiny nodes besides those that they need.
    pub async fn set(environment: &[(&str, &str)]) -> Stage {
        let redis = Server::start("").await;
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(200);
        let state = folder.path().join("state");
        let more: String = environment.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
        let of = |role: &str| {
            format!(
                "[process.{role}]\ncommand = ['{}']\n[process.{role}.environment]\nROLE = '{role}'\nPORT = '{{port}}'\nREDIS_PORT = '{}'\n{more}",
                tiny_node().display(),
                redis.port
            )
        };
        let provision = format!(
            "backend = 'process'\n[process]\nstate = '{}'\nports = '{ports}-{}'\nports-each = 6\nend-within = 10.0\n{}{}",
            state.display(),
            ports + 199,
            of("relay"),
            of("egress")
        );
        std::fs::write(folder.path().join("provision.toml"), &provision).unwrap();
        let injection = Command::new(tiny_node())
            .env("NODE_ID", "injection-1")
            .env("TREE_ID", TREE)
            .env("ROLE", "injection")
            .env("PORT", free_ports(6).to_string())
            .env("REDIS_PORT", redis.port.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let backend = Backend::read(&provision).unwrap();
        let stage = Stage { redis, folder, backend, injection };
        stage.until("the injection is there", || stage.say("EXISTS node:injection-1") == "1").await;
        stage
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is wanted of trees, by the file.
    pub fn policy(&self, text: &str) {
        std::fs::write(self.path("policy.toml"), text).unwrap();
    }

    /// A scaler that makes nodes by the stage's back end.
    pub fn scaler(&self, name: &str, more: &[(&str, &str)]) -> Scaler {
        let api = free_port();
        let log = self.path(&format!("{name}-{api}.log"));
        let policy = self.path("policy.toml");
        let process = Command::new(env!("CARGO_BIN_EXE_scaler"))
            .arg("run")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NODE_ID", name)
            .env("REDIS_URL", format!("redis://127.0.0.1:{}", self.redis.port))
            .env("API", format!("127.0.0.1:{api}"))
            .env("TREES", TREE)
            .env("LEASE", "1")
            .env("LOG", "debug")
            .env("PROVISION", self.path("provision.toml"))
            .env("POLICY", if policy.exists() { policy.display().to_string() } else { String::new() })
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Scaler { process, api, log }
    }

    /// What `redis-cli` says.
    pub fn say(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        cli(self.redis.port, &words)
    }

    /// The members of a set, sorted.
    pub fn members(&self, key: &str) -> Vec<String> {
        let said = self.say(&format!("SMEMBERS {key}"));
        let members: BTreeSet<String> = said.split_whitespace().map(str::to_owned).collect();
        members.into_iter().collect()
    }

    /// Records an action, as a scaler does that then dies.
    pub fn record(&self, action: &Action) {
        let running = Running { action: action.clone(), progress: Progress::begun(now()) };
        let key = format!("scaler:running:{{{TREE}}}");
        let text = serde_json::to_string(&running).unwrap();
        let said = cli(self.redis.port, &["HSET", &key, &action.id, &text]);
        assert_eq!(said, "1");
    }

    pub fn is_running(&self) -> bool {
        self.say(&format!("EXISTS scaler:running:{{{TREE}}}")) == "1"
    }

    /// What the stream says of an action.
    pub fn history(&self) -> String {
        self.say(&format!("XRANGE scaler:actions:{{{TREE}}} - +"))
    }

    /// What the back end has, and whether it runs.
    pub async fn machines(&self) -> BTreeMap<String, bool> {
        let list = self.backend.list(TREE).await.unwrap();
        list.into_iter().map(|(name, machine)| (name, machine.running)).collect()
    }

    /// Waits for it.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < LONG, "not within {LONG:?}: {what}\n{}", self.history());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Makes nodes as a scaler would have, and waits until they are in the tree.
    pub async fn have(&self, nodes: &[(&str, NodeType, &str)]) {
        self.put(nodes, true).await;
        for (name, ..) in nodes {
            self.until(&format!("{name} is there"), || self.say(&format!("EXISTS node:{name}")) == "1").await;
        }
    }

    /// The same of nodes that do not run.
    pub async fn have_dead(&self, nodes: &[(&str, NodeType, &str)]) {
        self.put(nodes, false).await;
    }

    async fn put(&self, nodes: &[(&str, NodeType, &str)], run: bool) {
        for (name, role, parent) in nodes {
            self.backend.make(&spec(name, *role, parent), run).await.unwrap();
            self.say(&format!("SADD children:{parent} {name}"));
            self.say(&format!("SET parent:{name} {parent}"));
            if *role == NodeType::Egress {
                self.say(&format!("SADD nodes:{TREE}:egress {name}"));
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.injection.kill();
        let _ = self.injection.wait();
        // Nothing that was made outlives its test. In a thread, since a runtime cannot begin within another.
        let provision = std::fs::read_to_string(self.path("provision.toml")).unwrap();
        let clean = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let backend = Backend::read(&provision).unwrap();
                for name in backend.list(TREE).await.unwrap_or_default().keys() {
                    while backend.destroy(TREE, name).await.is_err_and(|trouble| trouble.again) {}
                }
            });
        };
        let _ = std::thread::spawn(clean).join();
    }
}

impl Scaler {
    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// SIGSTOP, or SIGCONT.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    /// It has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// What it says by HTTP; `Null` while it does not answer.
    pub fn get(&self, path: &str) -> Value {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let answer = agent.get(format!("http://127.0.0.1:{}{path}", self.api)).call();
        answer.ok().and_then(|mut answer| answer.body_mut().read_json().ok()).unwrap_or(Value::Null)
    }

    /// What it shows of the tree.
    pub fn tree(&self) -> Value {
        self.get("/status")["trees"][0].clone()
    }

    /// A command of its own program, and whether it ended well.
    pub fn command(&self, words: &[&str]) -> (bool, String) {
        let (code, said) = self.coded(words);
        (code == Some(0), said)
    }

    /// The same with its exit code.
    pub fn coded(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_scaler"))
            .args(words)
            .args(["--api", &format!("127.0.0.1:{}", self.api)])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

pub fn spec(name: &str, role: NodeType, parent: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        role,
        tree: TREE.to_owned(),
        parent: parent.to_owned(),
        zone: String::new(),
    }
}

pub fn action(kind: Kind) -> Action {
    Action { id: "a1".to_owned(), kind, reason: "a test".to_owned(), urgency: Urgency::High, created: now() }
}

/// Two egresses below a relay that is started first.
pub fn grow_cold() -> Kind {
    let egress = |name| spec(name, NodeType::Egress, "r1");
    Kind::Grow {
        slot: SlotUse { relay: "r1".to_owned(), start: Some(spec("r1", NodeType::Relay, "injection-1")) },
        egresses: vec![egress("e1"), egress("e2")],
    }
}

pub fn slot(warm: bool) -> Kind {
    Kind::Slot { relay: spec("r1", NodeType::Relay, "injection-1"), warm }
}

pub fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// The first of so many ports that nobody has, below those that the kernel gives to others.
fn free_ports(count: u16) -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let room = 12_000;
    let begin = (std::process::id() % 50) as u16 * 200;
    loop {
        let first = 20_000 + (begin + NEXT.fetch_add(count, Ordering::SeqCst)) % room;
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(free) {
            return first;
        }
    }
}

fn tiny_node() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_scaler")).with_file_name("examples").join("tiny_node");
    assert!(path.exists(), "{} is not built: cargo build -p scaler --examples", path.display());
    path
}

/// A webhook, or a Prometheus, that answers everything alike.
pub fn answers(status: u16, body: &Value) -> (u16, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = body.to_string();
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut text, mut piece) = (Vec::new(), [0; 4096]);
            let whole = |text: &[u8]| {
                let text = String::from_utf8_lossy(text);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                });
                body.len() >= length.unwrap_or(0)
            };
            while !whole(&text) {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => text.extend_from_slice(&piece[..count]),
                }
            }
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
        }
    });
    (port, heard)
}

pub fn nothing() -> Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": [] } })
}
