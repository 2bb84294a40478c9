//! A server in a namespace that nodes post to: a hook that decides, or a receiver of webhooks. It keeps what came, and answers as it
//! is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Lab;

/// A request.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where it went.
    pub path: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: String,
}

impl Post {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    status: u16,
}

/// A server that is there until the program ends.
#[derive(Clone)]
pub struct Receiver {
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Listens, and answers 200.
    pub fn start(lab: &Lab, ns: &str, address: SocketAddr) -> Result<Receiver> {
        let listener = lab.in_namespace(ns, || TcpListener::bind(address))?.context("listening")?;
        let receiver = Receiver { state: Arc::new(Mutex::new(State { posts: Vec::new(), status: 200 })) };
        let serving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        Ok(receiver)
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16) {
        self.state().status = status;
    }

    /// What came to this path.
    pub fn posts(&self, path: &str) -> Vec<Post> {
        self.state().posts.iter().filter(|post| post.path == path).cloned().collect()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(post) = read(&mut reader) {
            let status = {
                let mut state = self.state();
                state.posts.push(post);
                state.status
            };
            if write!(reader.get_mut(), "HTTP/1.1 {status} .\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut line = || {
        let mut line = String::new();
        let count = reader.read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim_end().to_owned())
    };
    let path = line()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut post = Post { path, headers, body: String::new() };
    let mut body = vec![0; post.header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    post.body = String::from_utf8(body).ok()?;
    Some(post)
}
