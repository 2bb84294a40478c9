//! Answers requests until it is told to stop.
//!
//! A connection costs a file descriptor, and opening one costs a peer next to nothing: there are so many at most, and so many of
//! one client. When one more comes, the one that has been idle for longest gives way; one whose request is being answered,
//! and be it an endless stream of events, never does. A request that is still coming is not being answered, and one whose answer is
//! not taken, as by an HTTP/2 peer that gives no window, is so only for [`Bounds::head`].

mod answer;
mod door;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Body as _;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::beginning::{Beginning, Version};
use super::limits::{Limit, Limits, Spare};
use answer::Answer;
pub(super) use answer::Arrival;
use door::{Door, Place};

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
    /// Connections of one client.
    pub client_connections: usize,
    /// How long the head of a request may take to come, from the connection's beginning or the last answer's end; and how long
    /// a peer may take nothing of its answer before it counts as idle.
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
        Ok(Bounds::new((files / 2).min(MOST) as usize))
    }

    fn new(connections: usize) -> Bounds {
        Bounds { connections, client_connections: (connections / 4).max(1), head: HEAD }
    }

    /// What is configured, as far as the process may have it.
    fn configured(limits: &Limits) -> Bounds {
        let config = limits.config();
        let bounds = Bounds::new(config.most_connections());
        let client_connections = config.client_connections.map_or(bounds.client_connections, |one| one.get());
        Bounds { client_connections, ..bounds }
    }
}

/// Serves until `shutdown`, and then what is under way, for a moment. Handlers learn who asks ([`Client`](super::Client)).
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Arc<Limits>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(Bounds::configured(&limits), listener, router, limits, shutdown).await;
    Ok(())
}

/// The same with other bounds.
pub async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    router: Router,
    limits: Arc<Limits>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let door = Arc::new(Door::new(bounds, limits));
    let graceful = GracefulShutdown::new();
    let (open, closing) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut shutdown => break,
        };
        let Some((place, gives_way)) = door.enter(peer) else { continue };
        let (router, watcher, mut closing) = (router.clone(), graceful.watcher(), closing.clone());
        tokio::spawn(async move {
            let door = place.door.clone();
            let connection = async {
                let (stream, version, peer) = tokio::select! {
                    begun = begin(&place, stream, peer) => begun?,
                    _ = closing.changed() => return None,
                };
                let service = service(router, place.clone(), peer);
                // Whatever is wrong with a connection is its peer's business.
                let _ = match version {
                    Version::One => watcher.watch(door.http1.serve_connection(stream, service)).await,
                    Version::Two => watcher.watch(door.http2.serve_connection(stream, service)).await,
                };
                Some(())
            };
            tokio::select! {
                _ = connection => {}
                _ = gives_way => tracing::debug!("{peer}: its idle connection gave way to another"),
            }
            door.leave(place.id);
        });
    }
    drop((listener, open));
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// From a connection's first byte to what it speaks, and for whom.
async fn begin(
    place: &Place,
    stream: TcpStream,
    mut peer: SocketAddr,
) -> Option<(
    TokioIo<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static>,
    Version,
    SocketAddr,
)> {
    let door = &place.door;
    let mut beginning = Beginning::new(stream);
    let begun = async {
        if door.limits.config().has_header(peer.ip()) {
            let source = beginning.proxied().await.inspect_err(|error| {
                door.limits.met(Limit::ProxyProtocol);
                tracing::debug!("{peer}: {error}");
            })?;
            if let Some(source) = source {
                door.turns_out(place.id, source)?;
                peer = source;
            }
        }
        beginning.version().await
    };
    let version = tokio::time::timeout(door.bounds.head, begun).await.ok()?.ok()?;
    Some((TokioIo::new(beginning.into_stream()), version, peer))
}

/// Answers one connection's requests, each of which is under way until the last of its answer is sent.
fn service(
    router: Router,
    place: Place,
    peer: SocketAddr,
) -> impl Service<
    hyper::Request<hyper::body::Incoming>,
    Response = hyper::Response<Answer>,
    Error = std::convert::Infallible,
    Future: Send,
> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let arrival = Arrival::new(place.clone());
        if request.body().is_end_stream() {
            arrival.is_whole();
        }
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(peer));
        extensions.insert(arrival.clone());
        if place.spare {
            extensions.insert(Spare);
        }
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            arrival.is_whole();
            arrival.waits();
            Ok(response.map(|body| Answer { body, arrival }))
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
