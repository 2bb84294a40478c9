//! One encoder's connection: its first byte to its wish to publish, and the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::auth::Asking;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::books::Refusal;
use super::key::{self, Denied, Key};
use super::places::Place;
use super::protocol::{Event, Protocol};
use super::publishing;
use crate::injector::Injector;
use crate::publication::Occupancy;

/// How long an encoder may take to say what it publishes, …
const GREETING: Duration = Duration::from_secs(10);
/// … and how many bytes it may need for that.
const GREETING_BYTES: usize = 16 * 1024;
/// How long it may take to take our few bytes.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a refused one has to read why.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes an encoder in and stays with it. `ahead`: what has been read of it already. `taken` ends when another gets its place, because it keeps silent.
pub async fn serve(
    (socket, ahead): (TcpStream, Vec<u8>),
    from: SocketAddr,
    injector: Arc<Injector>,
    mut place: Place,
    taken: oneshot::Receiver<()>,
) {
    let mut connection = Connection {
        socket,
        ahead,
        from,
        protocol: Protocol::default(),
        answer: Vec::new(),
        buffer: vec![0; 64 * 1024].into_boxed_slice(),
        began: Instant::now(),
    };
    let books = injector.rtmp.books.clone();
    let greeted = tokio::select! {
        greeted = timeout(GREETING, connection.greet(&injector, &mut place)) => greeted,
        _ = taken => Ok(Err((Refusal::Crowded, "another came while it said nothing".to_owned()))),
    };
    let key = match greeted {
        Ok(Ok(key)) => key,
        Ok(Err((refusal, why))) => return books.refuse(refusal, from, &why),
        Err(_) => return books.refuse(Refusal::Silent, from, SILENT),
    };
    let session = &key.session;
    tracing::info!("session {session}: RTMP from {from}");
    match publishing::publish(&mut connection, session, &injector, place).await {
        Ok(()) => tracing::info!("session {session}: RTMP from {from} is over: the encoder ended it"),
        Err(why) => books.warn(&format!("session {session}: RTMP from {from} is over: {why}")),
    }
}

const SILENT: &str = "it has not said what it publishes";

/// A socket, and what is spoken on it.
pub(super) struct Connection {
    socket: TcpStream,
    /// What was read before it was known who it is.
    ahead: Vec<u8>,
    from: SocketAddr,
    protocol: Protocol,
    answer: Vec<u8>,
    buffer: Box<[u8]>,
    /// When it began: times count from here.
    pub began: Instant,
}

impl Connection {
    /// Lets it in or not.
    async fn greet(&mut self, injector: &Injector, place: &mut Place) -> Result<Key, (Refusal, String)> {
        let malformed = |why| (Refusal::Malformed, why);
        let mut taken = 0;
        loop {
            let count = self.read().await.map_err(malformed)?;
            taken += count;
            if count == 0 {
                return Err((Refusal::Silent, SILENT.to_owned()));
            }
            for event in self.events(count).await.map_err(malformed)? {
                let Event::Publish(address) = event else { continue };
                let verdict = match key::parse(&address) {
                    Ok(key) => self.admit(key, injector, place).await,
                    Err(denied) => Err(denied),
                };
                return match verdict {
                    Ok(key) => self.accept().await.map(|()| key).map_err(malformed),
                    Err(denied) => Err((Refusal::Denied, self.refuse(&denied).await)),
                };
            }
            // Some send their media behind the wish at once.
            if taken > GREETING_BYTES {
                return Err((Refusal::Malformed, format!("{SILENT}, in {GREETING_BYTES} bytes")));
            }
        }
    }

    /// May it publish? The token comes first: who has none learns nothing of sessions. Who may claims the session.
    async fn admit(&self, key: Key, injector: &Injector, place: &mut Place) -> Result<Key, Denied> {
        let asking = Asking {
            session: &key.session,
            token: key.token.as_ref().map(|token| token.reveal().as_bytes()),
            client: Some(self.from.ip().to_canonical()),
            protocol: "rtmp",
        };
        injector.admission().admit(asking).await?;
        key::decide(&key, |id| match injector.occupancy(id) {
            Occupancy::Free if !place.claim(id) => Occupancy::Busy,
            occupancy => occupancy,
        })?;
        Ok(key)
    }

    async fn accept(&mut self) -> Result<(), String> {
        self.protocol.accept(&mut self.answer).map_err(|error| error.to_string())?;
        self.flush().await
    }

    /// Says why not, and waits for the encoder to go: were the connection closed with bytes of its unread, it would be
    /// reset, and the answer lost with it.
    async fn refuse(&mut self, denied: &Denied) -> String {
        let said = self.protocol.refuse(denied.code(), &denied.to_string(), &mut self.answer);
        if said.is_ok() && self.flush().await.is_ok() && self.socket.shutdown().await.is_ok() {
            let gone = async { while self.read().await.is_ok_and(|count| count > 0) {} };
            let _ = timeout(FAREWELL, gone).await;
        }
        denied.to_string()
    }

    /// How many bytes have come; none: the encoder has gone. It can be cancelled.
    pub async fn read(&mut self) -> Result<usize, String> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(self.buffer.len());
            self.buffer[..count].copy_from_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
            return Ok(count);
        }
        self.socket.read(&mut self.buffer).await.map_err(|error| error.to_string())
    }

    /// Takes so many bytes as were read, and answers. With none, what has waited for the wish to publish to be granted.
    pub async fn events(&mut self, count: usize) -> Result<Vec<Event>, String> {
        let events =
            self.protocol.take(&self.buffer[..count], &mut self.answer).map_err(|error| error.to_string())?;
        self.flush().await?;
        Ok(events)
    }

    async fn flush(&mut self) -> Result<(), String> {
        if !self.answer.is_empty() {
            let sent = timeout(ANSWER, self.socket.write_all(&self.answer)).await;
            sent.map_err(|_| "it takes no answers".to_owned())?.map_err(|error| error.to_string())?;
            self.answer.clear();
        }
        Ok(())
    }
}
