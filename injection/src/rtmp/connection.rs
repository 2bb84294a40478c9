//! One encoder's connection, from its first byte to the end of its publication.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use node::auth::Asking;

use super::bridge::{self, Bridge, Said};
use super::flv;
use super::intake::{Intake, Tracks, Unit};
use super::key::{self, Denied, Key};
use super::protocol::{Event, Protocol};
use crate::injector::{Injector, Published, Via};

/// How long an encoder may take to say what it publishes, …
const GREETING: Duration = Duration::from_secs(10);
/// … how many bytes it may need for that, …
const GREETING_BYTES: usize = 16 * 1024;
/// … and how long it may take to configure its media.
const FIRST_MEDIA: Duration = Duration::from_secs(10);
/// How long it may take to take our few bytes.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a refused one has to read why.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long an offer may take to come about.
const OFFER: Duration = Duration::from_secs(10);

/// Takes an encoder in and stays with it.
pub async fn serve(socket: TcpStream, from: SocketAddr, injector: Arc<Injector>) {
    let mut connection = Connection {
        socket,
        from,
        protocol: Protocol::default(),
        answer: Vec::new(),
        buffer: vec![0; 64 * 1024].into_boxed_slice(),
        began: Instant::now(),
    };
    let key = match timeout(GREETING, connection.greet(&injector)).await {
        Ok(Ok(key)) => key,
        Ok(Err(why)) => return tracing::warn!("RTMP from {from}: refused: {why}"),
        Err(_) => {
            return tracing::warn!("RTMP from {from}: refused: it has not said what it publishes");
        }
    };
    let session = &key.session;
    tracing::info!("session {session}: RTMP from {from}");
    match connection.publish(session, &injector).await {
        Ok(()) => tracing::info!("session {session}: RTMP from {from} is over: the encoder ended it"),
        Err(why) => tracing::warn!("session {session}: RTMP from {from} is over: {why}"),
    }
}

struct Connection {
    socket: TcpStream,
    from: SocketAddr,
    protocol: Protocol,
    answer: Vec<u8>,
    buffer: Box<[u8]>,
    began: Instant,
}

impl Connection {
    /// Lets it in or not.
    async fn greet(&mut self, injector: &Injector) -> Result<Key, String> {
        let mut taken = 0;
        loop {
            let count = self.read().await?;
            taken += count;
            if count == 0 || taken > GREETING_BYTES {
                return Err("it has not said what it publishes".to_owned());
            }
            for event in self.events(count).await? {
                let Event::Publish { application, name } = event else { continue };
                let verdict = match key::parse(&application, &name) {
                    Ok(key) => self.admit(key, injector).await,
                    Err(denied) => Err(denied),
                };
                match verdict {
                    Ok(key) => {
                        self.protocol.accept(&mut self.answer).map_err(|error| error.to_string())?;
                        self.flush().await?;
                        return Ok(key);
                    }
                    Err(denied) => return Err(self.refuse(&denied).await),
                }
            }
        }
    }

    /// May it publish? The token comes first: who has none learns nothing of sessions.
    async fn admit(&self, key: Key, injector: &Injector) -> Result<Key, Denied> {
        let asking = Asking {
            session: &key.session,
            token: key.token.as_ref().map(|token| token.reveal().as_bytes()),
            client: Some(self.from.ip().to_canonical()),
            protocol: "rtmp",
        };
        injector.admission().admit(asking).await?;
        key::decide(&key, injector.occupancy(&key.session)).map(|()| key)
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

    /// Brings its media to the session until it ends.
    async fn publish(&mut self, session: &str, injector: &Arc<Injector>) -> Result<(), String> {
        let mut intake = Intake::default();
        let mut held = Vec::new();
        let begin = timeout(FIRST_MEDIA, self.begin(&mut intake, &mut held)).await;
        let tracks = begin.map_err(|_| "neither H264 nor AAC came".to_owned())??;
        let Some(tracks) = tracks else { return Ok(()) };
        let (bridge, said) = Bridge::start(&tracks, self.began).map_err(|error| error.to_string())?;
        let what = tracks.video.as_ref().map(|config| flv::profile(config));
        let via = match bridge::is_encoded_anew(&tracks) {
            true => Via::RtmpEncodedAnew,
            false => Via::Rtmp,
        };
        tracing::info!(
            "session {session}: by RTMP come {}{}",
            what.map_or("no video".to_owned(), |profile| format!("H264 of the {profile} profile")),
            match via {
                Via::RtmpEncodedAnew => ", encoded anew as baseline",
                _ => "",
            }
        );
        let mut stage = Stage { bridge, behind: false, session };
        held.into_iter().for_each(|(unit, now)| stage.push(unit, now));
        let mut published = None;
        let result = self.carry(&mut intake, &mut stage, said, &mut published, via, injector).await;
        if let Some(Published { key, .. }) = published {
            // Whoever ended it before us has ended it.
            if let Ok(live) = injector.entry(session) {
                let _ = live.unpublish(Some(&key)).await;
            }
        }
        // It waits for its threads.
        let bridge = stage.bridge;
        let _ = tokio::task::spawn_blocking(move || drop(bridge)).await;
        result
    }

    /// Reads until enough is known. `None`: the encoder has gone.
    async fn begin(&mut self, intake: &mut Intake, held: &mut Held) -> Result<Option<Tracks>, String> {
        // What came together with the wish to publish has been taken already: nobody sends media before the answer.
        loop {
            if let Some(tracks) = intake.tracks(self.began.elapsed()) {
                return Ok(Some(tracks));
            }
            let due = intake.due().map(|due| self.began + due);
            let count = tokio::select! {
                count = self.socket.read(&mut self.buffer) => count.map_err(|error| error.to_string())?,
                () = until(due) => continue,
            };
            if count == 0 {
                return Ok(None);
            }
            for event in self.events(count).await? {
                match self.unit(intake, event)? {
                    Took::Unit(unit) => held.push((unit, self.began.elapsed())),
                    Took::Nothing => {}
                    Took::End => return Ok(None),
                }
            }
        }
    }

    /// Carries frames until one side ends it, and has them published meanwhile.
    async fn carry(
        &mut self,
        intake: &mut Intake,
        stage: &mut Stage<'_>,
        said: Said,
        published: &mut Option<Published>,
        via: Via,
        injector: &Arc<Injector>,
    ) -> Result<(), String> {
        let Said { offer, mut broken } = said;
        let mut publishing = pin!(negotiate(offer, stage.session, via, injector));
        let mut takes = None;
        loop {
            tokio::select! {
                result = &mut publishing, if published.is_none() => {
                    let answered = published.insert(result?);
                    takes = Some(answered.connected.clone());
                    stage.bridge.answer(&answered.answer).map_err(|error| error.to_string())?;
                }
                why = over(published) => return Err(why),
                () = connected(&mut takes) => stage.bridge.open(),
                Some(why) = broken.recv() => return Err(why),
                count = self.socket.read(&mut self.buffer) => {
                    let count = count.map_err(|error| error.to_string())?;
                    if count == 0 {
                        return Ok(());
                    }
                    for event in self.events(count).await? {
                        match self.unit(intake, event)? {
                            Took::Unit(unit) => stage.push(unit, self.began.elapsed()),
                            Took::Nothing => {}
                            Took::End => return Ok(()),
                        }
                    }
                }
            }
        }
    }

    fn unit(&self, intake: &mut Intake, event: Event) -> Result<Took, String> {
        let now = self.began.elapsed();
        let unit = match event {
            Event::Audio { timestamp, body } => intake.audio(timestamp, &body, now)?,
            Event::Video { timestamp, body } => intake.video(timestamp, &body, now)?,
            Event::Bitrate(kbits) => {
                intake.bitrate(kbits);
                None
            }
            Event::Finished => return Ok(Took::End),
            Event::Publish { .. } => None,
        };
        Ok(unit.map_or(Took::Nothing, Took::Unit))
    }

    async fn read(&mut self) -> Result<usize, String> {
        self.socket.read(&mut self.buffer).await.map_err(|error| error.to_string())
    }

    /// Takes what was read, and answers.
    async fn events(&mut self, count: usize) -> Result<Vec<Event>, String> {
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

/// Frames of before the bridge, and when they came.
type Held = Vec<(Unit, Duration)>;

/// What an event was.
enum Took {
    Unit(Unit),
    Nothing,
    End,
}

/// A bridge, and whether it keeps up.
struct Stage<'a> {
    bridge: Bridge,
    behind: bool,
    session: &'a str,
}

impl Stage<'_> {
    fn push(&mut self, unit: Unit, now: Duration) {
        let fits = self.bridge.push(unit, now);
        if !fits && !self.behind {
            tracing::warn!(
                "session {}: frames that came by RTMP are left out: this machine does not keep up, or Janus does not \
                 connect",
                self.session
            );
        }
        self.behind = !fits;
    }
}

/// From the bridge's offer to a publication.
async fn negotiate(
    offer: oneshot::Receiver<Result<String, String>>,
    session: &str,
    via: Via,
    injector: &Arc<Injector>,
) -> Result<Published, String> {
    let offer = timeout(OFFER, offer).await.map_err(|_| "GStreamer makes no offer".to_owned())?;
    let offer = offer.map_err(|_| "GStreamer makes no offer".to_owned())??;
    injector.publish(session, offer, via).await.map_err(|error| error.to_string())
}

/// Ends when Janus takes media, once.
async fn connected(takes: &mut Option<watch::Receiver<bool>>) {
    let Some(connected) = takes else { return std::future::pending().await };
    // If it is over before that, `over` says so.
    let is = connected.wait_for(|connected| *connected).await.is_ok();
    *takes = None;
    if !is {
        std::future::pending::<()>().await;
    }
}

/// Ends when the publication does, and says why.
async fn over(published: &mut Option<Published>) -> String {
    let Some(published) = published else { return std::future::pending().await };
    match published.over.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or_default(),
        Err(_) => "the publication is gone".to_owned(),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
