//! A Redis that is slow, or hangs, while a node is drained: a real one behind a gate that counts what it is asked, and may stop.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use node::config::RedisConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const SESSIONS: usize = 100;

/// A tree with one other egress, which carries all sessions.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    async fn start() -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let child = command.stdout(Stdio::null()).spawn();
        let child = child.expect("redis-server is not installed: run `cargo xtask setup`");
        let server = Server { child, port };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        let entry = r#"'{"type":"egress","url":"http://e","status":"active","maxViewers":300}'"#;
        let mut lines = format!("HSET directory:tree-1 egress-2 {entry}\nSET node:egress-2 there\n");
        for session in sessions() {
            lines += &format!("HSET session:{session} treeId tree-1\n");
            lines += &format!("SADD mountpoints:active egress-2:{session}\n");
        }
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut cli = cli.spawn().unwrap();
        cli.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(cli.wait().unwrap().success());
        server
    }

    /// Opens a gate to it, by which it answers who has which session so often.
    async fn gate(&self, answers: usize) -> (Directory, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = RedisConfig::single("127.0.0.1", listener.local_addr().unwrap().port());
        let (asked, port) = (Arc::new(AtomicUsize::new(0)), self.port);
        let counted = asked.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
                let counted = counted.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        let asks = buffer[..length].windows(9).any(|word| word == b"SISMEMBER");
                        if asks && counted.fetch_add(1, SeqCst) >= answers {
                            return std::future::pending().await;
                        }
                        to_server.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        (Directory::new(config, "tree-1"), asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sessions() -> Vec<String> {
    (0..SESSIONS).map(|n| format!("s{n}")).collect()
}

#[tokio::test]
async fn many_sessions_are_asked_about_at_a_time() {
    let server = Server::start().await;
    let (directory, asked) = server.gate(usize::MAX).await;
    let elsewhere = Elsewhere::default();
    while elsewhere.unread(&sessions()) > 0 {
        let _ = elsewhere.read(Some(&directory), sessions()).await;
    }
    let asked = asked.load(SeqCst);
    assert!(asked < SESSIONS / 2, "{asked} times, of {SESSIONS} sessions");
}

#[tokio::test]
async fn what_was_read_before_redis_hung_is_known() {
    let server = Server::start().await;
    let (directory, _) = server.gate(1).await;
    let elsewhere = Elsewhere::default();
    assert!(elsewhere.read(Some(&directory), sessions()).await.is_err(), "it is said that it is not all");
    let places = elsewhere.places.borrow().clone();
    assert!((1..SESSIONS).contains(&places.len()), "{}", places.len());
    assert!(places.values().all(|carriers| carriers.contains_key("egress-2")));
}
