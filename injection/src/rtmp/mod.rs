//! RTMP, for encoders that do not speak WHIP: `rtmp://HOST:1935/live/SESSION?token=TOKEN`.
//!
//! ```text
//! encoder --RTMP--> H264 as it is, or decoded and encoded anew --+
//!                   AAC --> Opus --------------------------------+--> webrtcbin --> Janus, as any WHIP publisher
//! ```
//!
//! An RTMP publisher becomes a publication like any other, at the session's Janus: its place, numbering, forwarding and
//! end are the same. All of it runs in this process; with the connection everything that it began is over.
//!
//! Without I/O: [`chunks`] and [`protocol`] (bytes to messages to events), [`key`] (who may publish where), [`flv`] (what is in a message),
//! [`clock`] (timestamps), [`intake`] (what an encoder sends, and when enough of it is known). Around these: [`bridge`]
//! (GStreamer), [`offer`] (what it asks Janus for), [`gate`] (frames wait until Janus takes them), [`connection`] (a socket and its deadlines).

pub mod amf;
mod bridge;
pub mod chunks;
mod clock;
mod connection;
pub mod flv;
mod gate;
mod intake;
mod key;
mod offer;
pub mod protocol;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::injector::Injector;

pub use bridge::init;

/// Connections at once. Those that publish nothing end after seconds; an injection has far fewer publishers.
const CONNECTIONS: usize = 64;

/// Takes encoders in until the program ends.
pub async fn serve(listener: TcpListener, injector: Arc<Injector>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("RTMP: a connection could not be taken: {error}");
                // Out of file descriptors, most likely: there is nothing to wait for that would tell.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!("RTMP from {from}: refused: {CONNECTIONS} encoders are connected already");
            continue;
        };
        let injector = injector.clone();
        tokio::spawn(async move {
            connection::serve(socket, from, injector).await;
            drop(place);
        });
    }
}
