//! The WebSocket: one task reads and writes, the others ask it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::message::{self, Event, Incoming, Secret};
use crate::{Error, Reply};

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A server that says nothing for so long is asked whether it is there.
const PING: Duration = Duration::from_secs(5);
/// Pings without any sign of life after which the connection counts as broken.
const MISSED: u32 = 2;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Waiting = HashMap<String, Asked>;

/// A request under way.
#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Result<Reply, Error>>,
    /// The answer is a handle of this session: it is given back when nobody waits for it any more.
    attaches: Option<u64>,
}

/// A request that is no longer waited for, however that comes about, is forgotten. One that attaches is not: Janus may still
/// do it.
struct Wait<'a> {
    waiting: &'a Mutex<Waiting>,
    transaction: &'a str,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(self.waiting);
        if waiting.get(self.transaction).is_some_and(|asked| asked.attaches.is_none()) {
            waiting.remove(self.transaction);
        }
    }
}

/// Which of Janus' two APIs is spoken: each has a WebSocket and a secret of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Sessions, handles and their messages.
    Janus,
    /// What there is, for operators.
    Admin,
}

impl Api {
    /// The WebSocket's subprotocol.
    fn protocol(self) -> &'static str {
        match self {
            Api::Janus => "janus-protocol",
            Api::Admin => "janus-admin-protocol",
        }
    }

    /// What the secret is called in a request.
    fn secret(self) -> &'static str {
        match self {
            Api::Janus => "apisecret",
            Api::Admin => "admin_secret",
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    secret: Secret,
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
    pub async fn open(url: &str, api: Api, secret: Option<&str>) -> Result<Link, Error> {
        let refused = |why: String| Error::Connect { url: url.to_owned(), why };
        let mut request = url.into_client_request().map_err(|error| refused(error.to_string()))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(api.protocol()));
        let (socket, _) = tokio::time::timeout(CONNECT, connect_async(request))
            .await
            .map_err(|_| refused(format!("no connection within {} s", CONNECT.as_secs())))?
            .map_err(|error| refused(error.to_string()))?;
        let (out, outbox) = mpsc::unbounded_channel();
        let (living, alive) = watch::channel(true);
        let shared = std::sync::Arc::new(Shared::default());
        let secret = secret.map(|secret| (api.secret(), secret.to_owned()));
        tokio::spawn(run(socket, outbox, secret.clone(), shared.clone(), living));
        Ok(Link { secret, next: AtomicU64::new(1), out, shared, alive })
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
        let attaches = (what == "attach").then(|| fields.get("session_id").and_then(Value::as_u64)).flatten();
        lock(&self.shared.waiting).insert(transaction.clone(), Asked { answer, attaches });
        let _wait = Wait { waiting: &self.shared.waiting, transaction: &transaction };
        if let Err(error) = self.send(what, &transaction, fields) {
            lock(&self.shared.waiting).remove(&transaction);
            return Err(error);
        }
        match tokio::time::timeout(patience, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Closed)),
            Err(_) => Err(Error::Timeout { request: what.to_owned(), seconds: patience.as_secs() }),
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
        let request = message::request(what, transaction, &self.secret, fields);
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
    secret: Secret,
    shared: std::sync::Arc<Shared>,
    living: watch::Sender<bool>,
) {
    let why = talk(&mut socket, &mut outbox, &secret, &shared).await;
    tracing::debug!("the connection to Janus ended: {why}");
    living.send_replace(false);
    let _ = socket.close(None).await;
    // Dropped senders tell everybody who waits.
    lock(&shared.waiting).clear();
    lock(&shared.listening).clear();
}

async fn talk(
    socket: &mut Socket,
    outbox: &mut mpsc::UnboundedReceiver<String>,
    secret: &Secret,
    shared: &Shared,
) -> String {
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
                    Some(Ok(Message::Text(text))) => match shared.take(&text) {
                        Took::It => {}
                        Took::Orphan { session, handle } => {
                            let fields = json!({ "session_id": session, "handle_id": handle });
                            let Value::Object(fields) = fields else { continue };
                            let detach = message::request("detach", "late", secret, fields);
                            if let Err(error) = socket.send(Message::text(detach.to_string())).await {
                                return error.to_string();
                            }
                        }
                        Took::End(why) => return why,
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

/// What became of a text.
enum Took {
    /// It is where it belongs.
    It,
    /// A handle that nobody waits for any more.
    Orphan { session: u64, handle: u64 },
    /// The session is over, and why.
    End(String),
}

impl Shared {
    /// Gives an answer or an event to whom it is for.
    fn take(&self, text: &str) -> Took {
        match message::read(text) {
            Ok(Incoming::Answer { transaction, result }) => {
                let asked = lock(&self.waiting).remove(&transaction);
                let Some(Asked { answer, attaches }) = asked else { return Took::It };
                // Timed out, or given up.
                if let (Err(Ok(Reply { id: Some(handle), .. })), Some(session)) =
                    (answer.send(result), attaches)
                {
                    return Took::Orphan { session, handle };
                }
            }
            Ok(Incoming::Event { handle, event }) => {
                if let Some(listener) = lock(&self.listening).get(&handle) {
                    let _ = listener.send(event);
                }
            }
            Ok(Incoming::Timeout) => return Took::End("Janus timed the session out".to_owned()),
            Ok(Incoming::Nothing) => {}
            Err(why) => tracing::warn!("Janus sent what cannot be read: {why}"),
        }
        Took::It
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    use super::*;

    /// The other end of a connection.
    #[allow(clippy::result_large_err, reason = "the error is tungstenite's")]
    async fn accepted(listener: TcpListener) -> WebSocketStream<TcpStream> {
        let answer = |_: &Request, mut response: Response| {
            let protocol = HeaderValue::from_static("janus-protocol");
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        accept_hdr_async(listener.accept().await.unwrap().0, answer).await.unwrap()
    }

    /// The next request, as Janus reads it.
    async fn request(socket: &mut WebSocketStream<TcpStream>) -> Value {
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Janus was busy for longer than anybody waited: what it makes then is nobody's, and would be there for ever.
    #[tokio::test]
    async fn a_handle_that_comes_too_late_is_given_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let janus = tokio::spawn(async move {
            let mut socket = accepted(listener).await;
            let attach = request(&mut socket).await;
            // The next request says that the first is no longer waited for.
            let other = request(&mut socket).await;
            assert_eq!((&attach["janus"], &other["janus"]), (&json!("attach"), &json!("keepalive")));
            let late =
                json!({ "janus": "success", "transaction": attach["transaction"], "data": { "id": 77 } });
            socket.send(Message::text(late.to_string())).await.unwrap();
            request(&mut socket).await
        });
        let link = Link::open(&url, Api::Janus, Some("hunter2")).await.unwrap();
        let fields = |value: Value| value.as_object().unwrap().clone();
        let attaching = link.ask("attach", fields(json!({ "session_id": 5 })), Duration::from_millis(50));
        assert!(matches!(attaching.await, Err(Error::Timeout { .. })));
        link.tell("keepalive", fields(json!({ "session_id": 5 }))).await.unwrap();
        let detach = janus.await.unwrap();
        assert_eq!(
            (&detach["janus"], &detach["session_id"], &detach["handle_id"], &detach["apisecret"]),
            (&json!("detach"), &json!(5), &json!(77), &json!("hunter2"))
        );
    }

    #[tokio::test]
    async fn what_is_given_up_is_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut socket = accepted(listener).await;
            while socket.next().await.is_some() {}
        });
        let link = Link::open(&url, Api::Janus, None).await.unwrap();
        let asking = link.ask("message", Map::new(), Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::from_millis(50), asking).await.is_err());
        assert!(lock(&link.shared.waiting).is_empty());
    }
}
