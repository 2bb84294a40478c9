//! A viewer's handle in Janus.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use janus::{Event, Handle};
use sdp_types::Session;
use seats::Credentials;
use serde_json::json;
use tokio::sync::mpsc;

use super::streaming;
use crate::sdp;
use crate::server::{Seat, SeatEvent, ServerError};

/// A handle.
pub struct JanusSeat {
    handle: Handle,
    /// What Janus calls the first of its media.
    mid: String,
}

impl JanusSeat {
    /// Of a handle whose offer names its first medium so.
    pub fn new(handle: Handle, mid: String) -> JanusSeat {
        JanusSeat { handle, mid }
    }
}

impl Seat for JanusSeat {
    fn number(&self) -> u64 {
        self.handle.id()
    }

    fn start(&self, answer: Session) -> BoxFuture<'_, Result<(), ServerError>> {
        async move { Ok(streaming::start(&self.handle, sdp::text(&answer)).await?) }.boxed()
    }

    fn trickle(&self, candidate: Option<String>) -> BoxFuture<'_, Result<(), ServerError>> {
        // As the media are bundled, all belong to the first.
        let said = match candidate {
            Some(text) => json!({ "candidate": text, "sdpMid": self.mid, "sdpMLineIndex": 0 }),
            None => json!({ "completed": true }),
        };
        async move { Ok(self.handle.trickle(said).await?) }.boxed()
    }

    fn restart(&self, _theirs: Credentials) -> BoxFuture<'_, Result<String, ServerError>> {
        async { Err(ServerError::NoRestart) }.boxed()
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        async { drop(self.handle.detach().await) }.boxed()
    }
}

/// What Janus says of a handle. `up`: called before it is told that the connection is up.
pub fn events(
    events: mpsc::UnboundedReceiver<Event>,
    up: impl Fn() + Send + 'static,
) -> BoxStream<'static, SeatEvent> {
    let events = stream::unfold(events, async |mut events| Some((events.recv().await?, events)));
    let told = events.filter_map(move |event| {
        let told = told(event);
        if told == Some(SeatEvent::Up) {
            up();
        }
        async { told }
    });
    told.boxed()
}

fn told(event: Event) -> Option<SeatEvent> {
    match event {
        Event::WebrtcUp => Some(SeatEvent::Up),
        Event::Hangup { reason } => Some(SeatEvent::Gone(format!("Janus has hung up: {reason}"))),
        Event::Detached => Some(SeatEvent::Gone("Janus has ended its handle".to_owned())),
        Event::Plugin { data, .. } if data["result"]["status"] == json!("stopped") => {
            Some(SeatEvent::Gone("its mountpoint has stopped".to_owned()))
        }
        _ => None,
    }
}
