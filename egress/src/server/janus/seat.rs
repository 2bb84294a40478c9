//! A viewer's handle in Janus, and what becomes of it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use janus::{Event, Handle};
use sdp_types::Session;
use seats::Credentials;
use serde_json::json;
use tokio::sync::mpsc;

use super::observer::Visit;
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

/// What becomes of a handle: as Janus says, and as is seen of it (`begun`, while there is a `visit`). `up`: called before it is told
/// that the connection is up.
pub fn events(
    events: mpsc::UnboundedReceiver<Event>,
    (visit, begun): (Visit, mpsc::Receiver<()>),
    up: impl Fn() + Send + 'static,
) -> BoxStream<'static, SeatEvent> {
    let all = Events { events, visit, begun, up };
    stream::unfold(all, async |mut all| Some((all.next().await?, all))).boxed()
}

struct Events<F> {
    events: mpsc::UnboundedReceiver<Event>,
    visit: Visit,
    begun: mpsc::Receiver<()>,
    up: F,
}

impl<F: Fn()> Events<F> {
    async fn next(&mut self) -> Option<SeatEvent> {
        loop {
            tokio::select! {
                event = self.events.recv() => match told(event?) {
                    Some(SeatEvent::Up) => {
                        (self.up)();
                        self.visit.is_up();
                        return Some(SeatEvent::Up);
                    }
                    Some(told) => return Some(told),
                    None => {}
                },
                Some(()) = self.begun.recv() => return Some(SeatEvent::Shown),
            }
        }
    }
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
