//! Answers requests until it is told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

/// How long requests under way may take to finish; a capture would go on for ever.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, and then what is under way, for a moment. Handlers learn who asks
/// (`ConnectInfo<SocketAddr>`), which [`super::guard`] needs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (told, stopping) = tokio::sync::oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = told.send(());
    });
    let drained = async {
        match stopping.await {
            Ok(()) => tokio::time::sleep(DRAIN).await,
            // The server has ended by itself, and is what to wait for.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = drained => Ok(()),
    }
}
