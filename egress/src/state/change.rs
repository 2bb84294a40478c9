//! Mountpoints begin and end: in the books, in Janus and in the pipelines, or in none of them.

use std::net::SocketAddr;
use std::time::Duration;

use janus::Error;
use node::http::Failed;
use node::media::{Codec, PerKind, Ssrc, VideoCodec};
use serde::Deserialize;

use super::Egress;
use crate::mountpoints::{Asked, Command, Mountpoint, Refusal, Wish};
use crate::streaming::{Streaming, is_clash};

/// What could not be done is tried again so often.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest name of a session.
const LONGEST: usize = 128;

/// `POST /mountpoint/create`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMountpoint {
    /// Session.
    pub session_id: String,
    /// SSRC of its audio.
    pub audio_ssrc: Ssrc,
    /// SSRC of its video.
    pub video_ssrc: Ssrc,
    /// The session's room, for a session that the tree does not know.
    pub room_id: Option<u64>,
    /// `vp8` or `h264`, for a session that the tree does not know.
    pub video_codec: Option<String>,
}

/// What became of it.
pub enum Outcome {
    /// It has been made.
    Made(Mountpoint),
    /// It was there, made by itself.
    WasThere(Mountpoint),
}

impl Egress {
    /// Makes a mountpoint for whoever asks.
    pub async fn create(&self, new: NewMountpoint) -> Result<Outcome, Failed> {
        let wish = wish(new)?;
        // Whoever has just made the session is faster than the event about it.
        if let Some(tree) = self.tree.get()
            && self.books().get(&wish.session).is_none()
        {
            let _ = tree.refresh().await;
        }
        let _changing = self.changing.lock().await;
        let streaming = self.janus().map_err(unavailable)?;
        let mountpoint = match self.books().ask(wish, crate::now_ms())? {
            Asked::Exists(mountpoint) => return Ok(Outcome::WasThere(*mountpoint)),
            Asked::Reserved(mountpoint) => mountpoint,
        };
        let made = self.make(&streaming, &mountpoint).await;
        if made.is_err() {
            self.books().undo(&mountpoint.session);
        }
        self.publish();
        made.map(Outcome::Made).map_err(refused)
    }

    /// Ends a mountpoint for whoever asks. `false`: there is none.
    pub async fn destroy(&self, session: &str) -> bool {
        let _changing = self.changing.lock().await;
        if !self.books().dismiss(session) {
            return false;
        }
        self.end(session, "it was ended").await;
        self.publish();
        true
    }

    /// Makes changes whenever there are some, and tries again what could not be done.
    pub async fn keep_mountpoints(self: std::sync::Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(AGAIN, self.wake.notified()).await;
            self.reconcile().await;
        }
    }

    /// Brings what there is to what is wanted.
    pub async fn reconcile(&self) {
        let _changing = self.changing.lock().await;
        let plan = self.books().plan();
        for command in plan {
            match command {
                Command::End(session) => self.end(&session, "the session has ended").await,
                Command::Make(wish) => {
                    let Ok(streaming) = self.janus() else { continue };
                    let session = wish.session.clone();
                    if let Err(why) = self.make_by_itself(&streaming, &wish).await {
                        let mut books = self.books();
                        if books.refused().get(&session) != Some(&why) {
                            tracing::warn!("session {session} has no mountpoint: {why}");
                        }
                        books.refuse(&session, why);
                    }
                }
            }
        }
        self.publish();
    }

    /// Ends everything: the node stops.
    pub async fn close(&self) {
        let _changing = self.changing.lock().await;
        let sessions: Vec<String> = self.books().all().map(|mountpoint| mountpoint.session.clone()).collect();
        for session in sessions {
            self.end(&session, "this node stops").await;
        }
        // Whoever writes to Redis learns by this that nothing is left.
        super::locked(&self.records).take();
        self.audio.stop();
        self.video.stop();
    }

    async fn make_by_itself(&self, streaming: &Streaming, wish: &Wish) -> Result<(), String> {
        let reserved = self.books().reserve(wish, true, crate::now_ms());
        let mountpoint = reserved.map_err(|refusal| refusal.to_string())?;
        match self.make(streaming, &mountpoint).await {
            Ok(_) => Ok(()),
            // What was reserved is kept for a Janus that comes back.
            Err(Error::Closed | Error::Timeout { .. }) => Ok(()),
            Err(error) => {
                self.books().remove(&mountpoint.session);
                self.unroute(&mountpoint);
                Err(error.to_string())
            }
        }
    }

    /// Has Janus make a mountpoint, and lets its streams through.
    async fn make(&self, streaming: &Streaming, mountpoint: &Mountpoint) -> Result<Mountpoint, Error> {
        streaming.create(mountpoint).await?;
        if let Err(why) = self.route(streaming, mountpoint) {
            self.unroute(mountpoint);
            let _ = streaming.destroy(mountpoint.id).await;
            return Err(Error::Answer { request: "the pipeline".to_owned(), answer: why });
        }
        self.books().made(&mountpoint.session);
        self.keyframes.add(SocketAddr::new(streaming.host, mountpoint.ports.rtcp), mountpoint.ssrcs.video);
        tracing::info!(
            "session {}: mountpoint {} on ports {} and {}",
            mountpoint.session,
            mountpoint.id,
            mountpoint.ports.audio,
            mountpoint.ports.video
        );
        self.say(&mountpoint.session, "started", None);
        Ok(Mountpoint { made: true, ..mountpoint.clone() })
    }

    fn route(&self, streaming: &Streaming, mountpoint: &Mountpoint) -> Result<(), String> {
        let streams =
            [(Codec::Opus, mountpoint.ports.audio), (Codec::Video(mountpoint.codec), mountpoint.ports.video)];
        for (codec, port) in streams {
            let (kind, target) = (codec.kind(), SocketAddr::new(streaming.host, port));
            self.lane(kind).add(mountpoint.ssrcs[kind], target, codec).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn unroute(&self, mountpoint: &Mountpoint) {
        for (kind, ssrc) in mountpoint.ssrcs {
            self.lane(kind).remove(ssrc);
        }
        self.keyframes.remove(mountpoint.ssrcs.video);
    }

    async fn end(&self, session: &str, why: &str) {
        let Some(mountpoint) = self.books().get(session).cloned() else { return };
        // Viewers first: they hear it from us, and not from a picture that stands still.
        self.say(session, "ended", Some(why.to_owned()));
        self.unroute(&mountpoint);
        self.dismiss_viewers(session).await;
        if let Ok(streaming) = self.janus()
            && mountpoint.made
            && let Err(error) = streaming.destroy(mountpoint.id).await
        {
            tracing::warn!("mountpoint {} of session {session} may be left in Janus: {error}", mountpoint.id);
        }
        self.books().remove(session);
        super::locked(&self.activity).remove(session);
        tracing::info!("session {session}: no mountpoint any more, {why}");
    }
}

fn wish(new: NewMountpoint) -> Result<Wish, Failed> {
    let bad = |why: String| Failed(axum::http::StatusCode::BAD_REQUEST, why);
    let NewMountpoint { session_id: session, audio_ssrc, video_ssrc, room_id, video_codec } = new;
    let sound = |c: char| !c.is_whitespace() && !c.is_control() && !"/?#%".contains(c);
    if session.is_empty() || session.len() > LONGEST || !session.chars().all(sound) {
        return Err(bad(format!(
            "sessionId must be 1 to {LONGEST} characters without blanks or any of /?#%"
        )));
    }
    let codec = match video_codec {
        None => VideoCodec::default(),
        Some(name) => {
            VideoCodec::parse(&name).ok_or_else(|| bad("videoCodec must be vp8 or h264".to_owned()))?
        }
    };
    Ok(Wish { session, ssrcs: PerKind { audio: audio_ssrc, video: video_ssrc }, room: room_id, codec })
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Bad(_) => axum::http::StatusCode::BAD_REQUEST,
            Refusal::Taken(_) => axum::http::StatusCode::CONFLICT,
            Refusal::Full(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE,
        };
        Failed(status, refusal.to_string())
    }
}

/// Janus is not there.
pub(super) fn unavailable(why: String) -> Failed {
    Failed(axum::http::StatusCode::SERVICE_UNAVAILABLE, why)
}

/// Janus said no, in its own words.
pub(super) fn refused(error: Error) -> Failed {
    let status = match is_clash(&error) {
        true => axum::http::StatusCode::CONFLICT,
        false => axum::http::StatusCode::SERVICE_UNAVAILABLE,
    };
    Failed(status, error.to_string())
}
