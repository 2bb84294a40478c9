//! A server that others post to: it keeps what came, and answers as it is told.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(dead_code, reason = "every test uses some of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

#[derive(Clone, Debug)]
pub struct Post {
    pub headers: HeaderMap,
    pub body: String,
    pub at: Instant,
}

#[derive(Default)]
struct Inner {
    posts: Mutex<Vec<Post>>,
    /// What is answered to the next ones; after that `always`.
    next: Mutex<VecDeque<u16>>,
    always: Mutex<(u16, Duration)>,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Receiver {
    /// Answers all with this status. Needs a runtime.
    pub async fn start(status: u16) -> Receiver {
        let inner = Arc::new(Inner { always: Mutex::new((status, Duration::ZERO)), ..Inner::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(inner.clone());
        let limits = node::http::Limits::new(node::config::HttpConfig::default());
        tokio::spawn(node::http::serve(listener, router, limits, std::future::pending()));
        Receiver { address, inner }
    }

    pub fn url(&self) -> axum::http::Uri {
        format!("http://{}/hook", self.address).parse().unwrap()
    }

    /// The next ones are answered with these.
    pub fn next(&self, statuses: &[u16]) {
        self.inner.next.lock().unwrap().extend(statuses);
    }

    /// All further ones are answered so, after so long.
    pub fn always(&self, status: u16, after: Duration) {
        *self.inner.always.lock().unwrap() = (status, after);
    }

    pub fn posts(&self) -> Vec<Post> {
        self.inner.posts.lock().unwrap().clone()
    }

    /// Waits until so many have come.
    pub async fn until(&self, count: usize) -> Vec<Post> {
        let began = Instant::now();
        loop {
            let posts = self.posts();
            if posts.len() >= count {
                return posts;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{} of {count} came", posts.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> StatusCode {
    inner.posts.lock().unwrap().push(Post { headers, body, at: Instant::now() });
    let next = inner.next.lock().unwrap().pop_front();
    let (status, after) =
        next.map_or_else(|| *inner.always.lock().unwrap(), |status| (status, Duration::ZERO));
    tokio::time::sleep(after).await;
    StatusCode::from_u16(status).unwrap()
}
