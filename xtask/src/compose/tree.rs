//! The whole tree: up, ready, down.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::compose;
use crate::sh;

/// Service, port on this machine, and what answers 200 when it is ready.
const NODES: [(&str, u16, &str); 8] = [
    ("janus-videoroom", 8088, "/janus/info"),
    ("janus-streaming-1", 8089, "/janus/info"),
    ("janus-streaming-2", 8090, "/janus/info"),
    ("injection-1", 7070, "/readyz"),
    ("relay-1", 7071, "/readyz"),
    ("relay-2", 7072, "/readyz"),
    ("egress-1", 7073, "/readyz"),
    ("egress-2", 7074, "/readyz"),
];
const PROFILES: [&str; 6] =
    ["broadcaster", "test-chain", "test-scale", "scale", "monitoring", "monitoring-all"];
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Starts all but the broadcasters, and waits until every node says that it can do its job.
pub fn up() -> Result<()> {
    let began = Instant::now();
    let mut command = compose();
    sh::run("tree", command.args(["up", "-d", "redis"]).args(NODES.map(|(name, ..)| name)))?;
    let mut waiting = NODES.to_vec();
    while !waiting.is_empty() {
        waiting.retain(|(name, port, path)| {
            let ready = answers(*port, path);
            if ready {
                sh::say(format!(
                    "{name} is ready: http://localhost:{port} ({:.1} s)",
                    began.elapsed().as_secs_f64()
                ));
            }
            !ready
        });
        if began.elapsed() > TIMEOUT {
            let names: Vec<&str> = waiting.iter().map(|(name, ..)| *name).collect();
            bail!("not ready within {TIMEOUT:?}: {}; see `docker logs {}`", names.join(", "), names[0]);
        }
        std::thread::sleep(POLL);
    }
    sh::say(format!("the whole tree is up and ready after {:.1} s", began.elapsed().as_secs_f64()));
    sh::say("now for instance: docker exec redis redis-cli SADD children:relay-1 egress-1");
    sh::say("`cargo xtask compose down` removes everything");
    Ok(())
}

/// Removes all containers of the tree, of whatever profile, and its network.
pub fn down() -> Result<()> {
    let mut command = compose();
    for profile in PROFILES {
        command.args(["--profile", profile]);
    }
    sh::run("tree", command.args(["down", "--volumes", "--remove-orphans", "--timeout", "3"]))
}

fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}
