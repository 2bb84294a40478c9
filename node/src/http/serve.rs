//! Answers requests until it is told to stop.
//!
//! A connection costs a file descriptor, and opening one costs a peer next to nothing: there are so many at most. When one
//! more comes, the one that has been idle for longest gives way; one whose request is being answered, and be it an endless
//! stream of events, never does.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::slots::Slots;

/// How long requests under way may take to finish; a capture would go on for ever.
const DRAIN: Duration = Duration::from_secs(1);
/// More connections than this are not wanted, whatever the system allows.
const MOST: u64 = 16_384;
/// How long the head of a request may take to come, and a connection may wait for its next request.
const HEAD: Duration = Duration::from_secs(10);
/// Pause when the system has no file descriptor left.
const RETRY_ACCEPT_AFTER: Duration = Duration::from_secs(1);

/// What peers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take to come, from the connection's beginning or the last answer's end.
    pub head: Duration,
}

impl Bounds {
    /// Half of the files that this process may open; the rest is for everything else. Shells and systemd allow 1024, for
    /// the sake of programs that use `select`, but let a program raise that.
    pub fn of_process() -> io::Result<Bounds> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let wanted = hard.min(2 * MOST);
        let raised = soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
        let files = if raised { wanted } else { soft };
        Ok(Bounds { connections: (files / 2).min(MOST) as usize, head: HEAD })
    }
}

/// Serves until `shutdown`, and then what is under way, for a moment. Handlers learn who asks
/// (`ConnectInfo<SocketAddr>`), which [`super::guard`] needs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(Bounds::of_process()?, listener, router, shutdown).await;
    Ok(())
}

/// The same with other bounds.
pub async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let door = Arc::new(Door { slots: Mutex::new(Slots::new(bounds.connections)), epoch: Instant::now() });
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head);
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut shutdown => break,
        };
        let Some((id, gives_way)) = door.enter() else {
            tracing::warn!("{peer}: all {} connections are in use", bounds.connections);
            continue;
        };
        let service = service(router.clone(), door.clone(), id, peer);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        let door = door.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Whatever is wrong with a connection is its peer's business.
                _ = connection => {}
                _ = gives_way => tracing::debug!("{peer}: its idle connection gave way to another"),
            }
            door.slots().leave(id);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// Answers one connection's requests, each of which is under way until the last of its answer is sent.
fn service(
    router: Router,
    door: Arc<Door>,
    id: u64,
    peer: SocketAddr,
) -> impl Service<
    hyper::Request<hyper::body::Incoming>,
    Response = hyper::Response<impl hyper::body::Body<Data = hyper::body::Bytes, Error = axum::Error>>,
    Error = std::convert::Infallible,
    Future: Send,
> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let under_way = UnderWay::new(door.clone(), id);
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            Ok(response.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &under_way;
                    frame
                })
            }))
        }
    })
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer has gone again.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!("no connection can be taken: {error}");
                tokio::time::sleep(RETRY_ACCEPT_AFTER).await;
            }
        }
    }
}

/// Who is connected. A connection whose sender is dropped ends.
struct Door {
    slots: Mutex<Slots<oneshot::Sender<()>>>,
    epoch: Instant,
}

impl Door {
    fn enter(&self) -> Option<(u64, oneshot::Receiver<()>)> {
        let (sender, gives_way) = oneshot::channel();
        let (id, _gone) = self.slots().enter(sender, self.epoch.elapsed()).ok()?;
        Some((id, gives_way))
    }

    fn slots(&self) -> MutexGuard<'_, Slots<oneshot::Sender<()>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
struct UnderWay {
    door: Arc<Door>,
    id: u64,
}

impl UnderWay {
    fn new(door: Arc<Door>, id: u64) -> UnderWay {
        door.slots().begins(id);
        UnderWay { door, id }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = self.door.epoch.elapsed();
        self.door.slots().ends(self.id, now);
    }
}
