//! The WebSocket: one task reads and writes, the others ask it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::message::{self, Event, Incoming};
use crate::{Error, Reply};

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A server that says nothing for so long is asked whether it is there.
const PING: Duration = Duration::from_secs(5);
/// Pings without any sign of life after which the connection counts as broken.
const MISSED: u32 = 2;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Waiting = HashMap<String, oneshot::Sender<Result<Reply, Error>>>;

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    secret: Option<String>,
    next: AtomicU64,
    out: mpsc::UnboundedSender<String>,
    shared: std::sync::Arc<Shared>,
    alive: watch::Receiver<bool>,
}

/// What the task and those who ask have in common.
#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    listening: Mutex<HashMap<u64, mpsc::UnboundedSender<Event>>>,
}

impl Link {
    /// Connects.
    pub async fn open(url: &str, secret: Option<&str>) -> Result<Link, Error> {
        let refused = |why: String| Error::Connect { url: url.to_owned(), why };
        let mut request = url.into_client_request().map_err(|error| refused(error.to_string()))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("janus-protocol"));
        let (socket, _) = tokio::time::timeout(CONNECT, connect_async(request))
            .await
            .map_err(|_| refused(format!("no connection within {} s", CONNECT.as_secs())))?
            .map_err(|error| refused(error.to_string()))?;
        let (out, outbox) = mpsc::unbounded_channel();
        let (living, alive) = watch::channel(true);
        let shared = std::sync::Arc::new(Shared::default());
        tokio::spawn(run(socket, outbox, shared.clone(), living));
        Ok(Link { secret: secret.map(str::to_owned), next: AtomicU64::new(1), out, shared, alive })
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(
        &self,
        what: &str,
        fields: Map<String, Value>,
        patience: Duration,
    ) -> Result<Reply, Error> {
        let transaction = self.transaction();
        let (answer, answered) = oneshot::channel();
        lock(&self.shared.waiting).insert(transaction.clone(), answer);
        if let Err(error) = self.send(what, &transaction, fields) {
            lock(&self.shared.waiting).remove(&transaction);
            return Err(error);
        }
        match tokio::time::timeout(patience, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Closed)),
            Err(_) => {
                lock(&self.shared.waiting).remove(&transaction);
                Err(Error::Timeout { request: what.to_owned(), seconds: patience.as_secs() })
            }
        }
    }

    /// Sends a request that has no answer of its own.
    pub async fn tell(&self, what: &str, fields: Map<String, Value>) -> Result<(), Error> {
        self.send(what, &self.transaction(), fields)
    }

    /// The events of a handle.
    pub fn listen(&self, handle: u64) -> mpsc::UnboundedReceiver<Event> {
        let (events, receiver) = mpsc::unbounded_channel();
        lock(&self.shared.listening).insert(handle, events);
        receiver
    }

    /// No more events of a handle.
    pub fn forget(&self, handle: u64) {
        lock(&self.shared.listening).remove(&handle);
    }

    /// False once the connection is gone.
    pub fn alive(&self) -> watch::Receiver<bool> {
        self.alive.clone()
    }

    fn transaction(&self) -> String {
        format!("t{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn send(&self, what: &str, transaction: &str, fields: Map<String, Value>) -> Result<(), Error> {
        let request = message::request(what, transaction, self.secret.as_deref(), fields);
        if !*self.alive.borrow() {
            return Err(Error::Closed);
        }
        self.out.send(request.to_string()).map_err(|_| Error::Closed)
    }
}

/// Runs until the connection breaks, or until nobody can ask any more.
async fn run(
    mut socket: Socket,
    mut outbox: mpsc::UnboundedReceiver<String>,
    shared: std::sync::Arc<Shared>,
    living: watch::Sender<bool>,
) {
    let why = talk(&mut socket, &mut outbox, &shared).await;
    tracing::debug!("the connection to Janus ended: {why}");
    living.send_replace(false);
    let _ = socket.close(None).await;
    // Dropped senders tell everybody who waits.
    lock(&shared.waiting).clear();
    lock(&shared.listening).clear();
}

async fn talk(socket: &mut Socket, outbox: &mut mpsc::UnboundedReceiver<String>, shared: &Shared) -> String {
    let mut ping = tokio::time::interval(PING);
    let mut silent = 0;
    loop {
        tokio::select! {
            request = outbox.recv() => match request {
                Some(request) => if let Err(error) = socket.send(Message::text(request)).await {
                    return error.to_string();
                },
                None => return "no longer needed".to_owned(),
            },
            text = socket.next() => {
                silent = 0;
                match text {
                    Some(Ok(Message::Text(text))) => if let Some(why) = shared.take(&text) {
                        return why;
                    },
                    Some(Ok(Message::Close(_))) | None => return "closed by Janus".to_owned(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error.to_string(),
                }
            }
            _ = ping.tick() => {
                if silent >= MISSED {
                    return format!("no sign of life for {} s", PING.as_secs() * u64::from(MISSED));
                }
                silent += 1;
                if let Err(error) = socket.send(Message::Ping(Vec::new().into())).await {
                    return error.to_string();
                }
            }
        }
    }
}

impl Shared {
    /// Gives an answer or an event to whom it is for. `Some`: the session is over, and why.
    fn take(&self, text: &str) -> Option<String> {
        match message::read(text) {
            Ok(Incoming::Answer { transaction, result }) => {
                if let Some(waiting) = lock(&self.waiting).remove(&transaction) {
                    // Nobody waits any more: timed out this moment.
                    let _ = waiting.send(result);
                }
            }
            Ok(Incoming::Event { handle, event }) => {
                if let Some(listener) = lock(&self.listening).get(&handle) {
                    let _ = listener.send(event);
                }
            }
            Ok(Incoming::Timeout) => return Some("Janus timed the session out".to_owned()),
            Ok(Incoming::Nothing) => {}
            Err(why) => tracing::warn!("Janus sent what cannot be read: {why}"),
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
