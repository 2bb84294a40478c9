//! A Redis server (or sentinel) as a child process, on a free port of loopback and in a directory of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::LONG;

pub struct Server {
    pub port: u16,
    child: Option<Child>,
    dir: tempfile::TempDir,
    sentinel: bool,
    /// How the test itself talks to it.
    url: String,
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// With these lines in its configuration.
    pub async fn start(lines: &str) -> Server {
        let server = Server::prepare(lines, false);
        server.up().await
    }

    /// As a sentinel.
    pub async fn sentinel(lines: &str) -> Server {
        let server = Server::prepare(lines, true);
        server.up().await
    }

    /// Ready to be started, and not started.
    pub fn prepare(lines: &str, sentinel: bool) -> Server {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let path = dir.path().display();
        let save = if sentinel { "" } else { "save \"\"\nrepl-diskless-sync-delay 0\n" };
        let port_line = if lines.contains("tls-port PORT") { "port 0" } else { "port PORT" };
        let text = format!("{port_line}\nbind 127.0.0.1\ndir {path}\n{save}{lines}\n");
        let text = text.replace("PORT", &port.to_string());
        std::fs::write(dir.path().join("redis.conf"), text).unwrap();
        Server { port, child: None, dir, sentinel, url: format!("redis://127.0.0.1:{port}/") }
    }

    /// The test logs in as this user.
    pub fn with_user(mut self, user: &str, password: &str) -> Server {
        self.url = format!("redis://{user}:{password}@127.0.0.1:{}/", self.port);
        self
    }

    /// Starts it without waiting for it.
    pub fn launch(&mut self) {
        let mut command = Command::new("redis-server");
        command.arg(self.dir.path().join("redis.conf")).args(self.sentinel.then_some("--sentinel"));
        let log = std::fs::File::create(self.dir.path().join("out")).unwrap();
        let child = command.stdout(log).stdin(Stdio::null()).spawn();
        self.child = Some(child.expect("redis-server is not installed: run `cargo xtask setup`"));
    }

    /// Starts it and waits until it takes commands.
    pub async fn up(mut self) -> Server {
        self.launch();
        self.ready().await;
        self
    }

    pub async fn ready(&self) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("out")).unwrap_or_default();
            assert!(started.elapsed() < LONG, "redis-server does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while self.is_loading().await {
            assert!(started.elapsed() < LONG, "redis-server does not load its data");
        }
    }

    /// Any other refusal (TLS, a password) is one of a server that is ready.
    async fn is_loading(&self) -> bool {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let Ok(mut client) = client.get_multiplexed_async_connection().await else { return false };
        let pong = redis::cmd("PING").query_async::<Value>(&mut client).await;
        pong.is_err_and(|error| error.code() == Some("LOADING"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// It was not killed.
    pub fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// A command, its words parted by spaces.
    pub async fn run(&self, line: &str) -> Value {
        let mut words = line.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        match command.query_async(&mut self.client().await).await {
            Ok(answer) => answer,
            Err(error) => panic!("{line}: {error}"),
        }
    }

    pub async fn number(&self, line: &str) -> i64 {
        redis::from_redis_value(self.run(line).await).unwrap()
    }

    pub async fn text(&self, line: &str) -> Option<String> {
        redis::from_redis_value(self.run(line).await).unwrap()
    }

    /// A child registers.
    pub async fn child(&self, id: &str, host: &str) {
        self.run(&format!("HSET node:{id} id {id} host {host} audioPort 5002 videoPort 5004")).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
