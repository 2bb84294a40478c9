//! A Redis on loopback. Ended when dropped.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::until;

pub struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    /// An empty one, once it takes commands.
    pub fn start() -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: run `cargo xtask setup`");
        let redis = Redis { port, process };
        until("Redis listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// It goes, in good order, while those who ask it are connected.
    pub fn end(&self) {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap().write_all(b"SHUTDOWN NOSAVE\r\n").unwrap();
    }

    /// A command, its words parted by spaces; the first line of what it says.
    pub fn say(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(connection, "{command}\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).unwrap();
        assert!(!line.starts_with('-'), "{command}: {line}");
        line.trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
