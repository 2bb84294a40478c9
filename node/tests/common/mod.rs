//! A node that does nothing, served over a real socket as a daemon would.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(dead_code, reason = "every test uses some of it")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{delete, get, post};
use node::drain::{Drain, Drains};
use node::http::{Access, Base, Bounds, Failed, Limits, guard, router, serve, serve_within};
use node::record::NodeType;
use node::secret::Secret;
use node::view::Topology;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The token of a node that has one.
pub const TOKEN: &str = "hunter2-hunter2";

/// A node that counts what it is told to do.
pub struct Idle {
    /// Whether it is to be emptied.
    pub drain: Drain,
    /// What it says is wrong with it.
    pub problems: Vec<String>,
    /// Refreshes and changes carried out.
    pub done: AtomicU32,
}

impl Default for Idle {
    fn default() -> Idle {
        Idle { drain: Drain::new(Duration::ZERO, "viewers"), problems: Vec::new(), done: AtomicU32::new(0) }
    }
}

impl Drains for Idle {
    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn count(&self) -> u64 {
        16
    }
}

impl Base for Idle {
    type Status = Value;

    async fn status(&self) -> Value {
        json!({ "healthy": self.problems.is_empty() })
    }

    async fn topology(&self) -> Topology {
        let done = format!("done-{}", self.done.load(Ordering::SeqCst));
        Topology {
            node_id: "idle-1".to_owned(),
            node_type: NodeType::Relay,
            parent: None,
            children: vec![done, "egress-1".to_owned()],
        }
    }

    async fn refresh(&self) -> Result<(), Failed> {
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn metrics(&self) -> Result<String, Failed> {
        Ok("# TYPE up gauge\nup 1\n".to_owned())
    }

    async fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }
}

/// A token, and a private route.
pub fn with_token() -> Access {
    Access { token: Some(Secret::new(TOKEN)), private: &["/capture"], ..Access::default() }
}

/// The node's routes, guarded, with some of its own: one that takes JSON, one that streams for ever.
pub fn routes(node: Arc<Idle>, access: Access) -> Router {
    let changed = node.clone();
    let children = async move |body: Result<Json<Vec<String>>, JsonRejection>| -> Result<StatusCode, Failed> {
        let Json(_) = body?;
        changed.done.fetch_add(1, Ordering::SeqCst);
        Ok(StatusCode::CREATED)
    };
    let capture = async || {
        let piece = futures_util::stream::once(async { Ok::<_, io::Error>("piece") });
        Body::from_stream(futures_util::StreamExt::chain(piece, futures_util::stream::pending()))
    };
    let own = Router::new()
        .route("/children", post(children))
        .route("/children/{name}", delete(async || StatusCode::NO_CONTENT))
        .route("/panic", post(async || -> () { panic!("on purpose") }))
        .route("/capture", get(capture));
    guard(router(node).merge(own), access)
}

/// Serves on a port of its own until `stop`.
pub async fn listen(
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, tokio::task::JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, router, Arc::default(), stop)))
}

/// A node that is served as long as this is there.
pub struct Served {
    pub node: Arc<Idle>,
    pub address: SocketAddr,
    pub limits: Arc<Limits>,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    pub fn start(node: Idle, access: Access) -> Served {
        Served::start_within(node, access, Bounds::of_process().unwrap())
    }

    pub fn start_within(node: Idle, access: Access, bounds: Bounds) -> Served {
        let node = Arc::new(node);
        let limits = access.limits.clone();
        let routes = routes(node.clone(), access);
        Served::routes(node, routes, limits, bounds)
    }

    /// Other routes than the node's.
    pub fn router(routes: Router) -> Served {
        Served::routes(Arc::default(), routes, Arc::default(), Bounds::of_process().unwrap())
    }

    fn routes(node: Arc<Idle>, routes: Router, limits: Arc<Limits>, bounds: Bounds) -> Served {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve_within(bounds, listener, routes, limits.clone(), std::future::pending()));
            address
        });
        Served { node, address, limits, _runtime: runtime }
    }

    /// Refreshes and changes carried out.
    pub fn done(&self) -> u32 {
        self.node.done.load(Ordering::SeqCst)
    }

    pub fn ask(&self, method: &str, path: &str, authorization: Option<&str>, body: &str) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("Content-Type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = match body {
            "" => agent.run(request.body(()).unwrap()),
            body => agent.run(request.body(body.to_owned()).unwrap()),
        }
        .unwrap();
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        let endless = path == "/capture" && status == 200;
        let body = if endless { String::new() } else { response.body_mut().read_to_string().unwrap() };
        Answer { status, headers, body }
    }
}

/// Connects from an address of this machine.
pub fn connect(from: &str, to: SocketAddr) -> std::net::TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    stream
}

/// The status of the next answer on a connection; 0 if it was closed instead.
pub fn next_status(stream: &mut std::net::TcpStream) -> u16 {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match std::io::Read::read(stream, &mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return 0,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    std::io::Read::read_exact(stream, &mut body).unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What the error says; fails if the answer is not an error as in docs/contract.md, *HTTP*.
    pub fn error(&self) -> String {
        assert!(self.status >= 400, "{}: {}", self.status, self.body);
        assert_eq!(self.header("content-type"), "application/json", "{}: {}", self.status, self.body);
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let fields = body.as_object().unwrap();
        assert_eq!(fields.len(), 1, "{body}");
        fields["error"].as_str().unwrap().to_owned()
    }
}
