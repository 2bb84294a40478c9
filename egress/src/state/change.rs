//! Mountpoints begin and end: in the books, in Janus and in the pipelines, or in none of them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use janus::Error;
use node::addresses;
use node::media::{PerKind, Ssrc, VideoCodec};
use node::port::Transport;
use serde::Deserialize;

use super::error::LONGEST_NAME;
use super::{Egress, EgressError};
use crate::mountpoints::{Asked, Fault, Mountpoint, Refused, Spec, Step};
use crate::portpool::Pair;
use crate::streaming::{Streaming, is_clash, is_port_taken};

/// How often what could not be done is tried again.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

/// How long a node that stops waits for Janus.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);

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
    /// It was there already, made for a session of the tree.
    WasThere(Mountpoint),
}

impl Egress {
    /// Makes a mountpoint for whoever asks.
    pub async fn create(&self, new: NewMountpoint) -> Result<Outcome, EgressError> {
        let spec = spec(new)?;
        // Whoever has just made the session is faster than the event about it.
        if let Some(tree) = self.tree.get()
            && self.books().get(&spec.session).is_none()
        {
            let _ = tree.refresh().await;
        }
        let _changing = self.changing.lock().await;
        let streaming = self.janus.get()?;
        let mountpoint = match self.books().ask(spec, crate::now_ms())? {
            Asked::Exists(mountpoint) => return Ok(Outcome::WasThere(*mountpoint)),
            Asked::Reserved(mountpoint) => mountpoint,
        };
        let made = self.make(&streaming, &mountpoint).await;
        if made.is_err() {
            self.books().undo(&mountpoint.session);
        }
        self.publish();
        Ok(Outcome::Made(made?))
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
            let _ = tokio::time::timeout(RECONCILE_EVERY, self.wake.notified()).await;
            self.reconcile().await;
        }
    }

    /// Brings what there is to what is wanted.
    pub async fn reconcile(&self) {
        let _changing = self.changing.lock().await;
        let plan = self.books().plan();
        for step in plan {
            match step {
                Step::End(session) => self.end(&session, "the session has ended").await,
                Step::Make(spec) => {
                    let Ok(streaming) = self.janus.get() else { continue };
                    let session = spec.session.clone();
                    if let Err(refused) = self.make_for_the_tree(&streaming, &spec).await {
                        let mut books = self.books();
                        if books.refused().get(&session) != Some(&refused) {
                            tracing::warn!("session {session} has no mountpoint: {}", refused.why);
                        }
                        books.refuse(&session, refused);
                    }
                }
            }
        }
        self.publish();
    }

    /// Ends everything: the node stops. Janus is not waited for longer than a moment, and ends with the connection what it
    /// has not ended by then.
    pub async fn close(&self) {
        let ending = async {
            let _changing = self.changing.lock().await;
            let all: Vec<Mountpoint> = self.books().all().cloned().collect();
            join_all(all.iter().map(|mountpoint| self.end(&mountpoint.session, "this node stops"))).await;
        };
        if tokio::time::timeout(CLOSED_WITHIN, ending).await.is_err() {
            tracing::warn!("Janus is slow; what it still has of this node is taken out at the next start");
        }
        // Whoever writes to Redis learns by this that nothing is left.
        super::locked(&self.records).take();
        self.media.stop();
    }

    async fn make_for_the_tree(&self, streaming: &Streaming, spec: &Spec) -> Result<(), Refused> {
        let reserved = self.books().reserve(spec, true, crate::now_ms());
        let mountpoint =
            reserved.map_err(|refusal| Refused { fault: refusal.fault(), why: refusal.to_string() })?;
        match self.make(streaming, &mountpoint).await {
            Ok(_) => Ok(()),
            // What was reserved is kept for a Janus that comes back.
            Err(EgressError::Janus(Error::Closed | Error::Timeout { .. })) => Ok(()),
            Err(error) => {
                self.books().remove(&mountpoint.session);
                let fault = match &error {
                    EgressError::Janus(error) if is_clash(error) => Fault::Session,
                    _ => Fault::Node,
                };
                Err(Refused { why: error.to_string(), fault })
            }
        }
    }

    /// Has Janus make a mountpoint, and lets its streams through.
    async fn make(&self, streaming: &Streaming, mountpoint: &Mountpoint) -> Result<Mountpoint, EgressError> {
        let mountpoint = self.make_in_janus(streaming, mountpoint).await?;
        if let Err(error) = self.media.route(streaming, &mountpoint) {
            let _ = streaming.destroy(mountpoint.id).await;
            return Err(EgressError::Pipeline(error));
        }
        self.books().made(&mountpoint.session);
        tracing::info!(
            "session {}: mountpoint {} on ports {} and {}",
            mountpoint.session,
            mountpoint.id,
            mountpoint.ports.audio,
            mountpoint.ports.video
        );
        self.notices.start(&mountpoint.session);
        Ok(Mountpoint { made: true, ..mountpoint })
    }

    /// Has Janus make a mountpoint, if need be on other ports: whoever has one of them must not keep the session back.
    async fn make_in_janus(
        &self,
        streaming: &Streaming,
        mountpoint: &Mountpoint,
    ) -> Result<Mountpoint, EgressError> {
        streaming.settle().await?;
        let (mut mountpoint, now) = (mountpoint.clone(), crate::now_ms());
        loop {
            let why = match taken(streaming.host, mountpoint.ports) {
                Some(why) => why,
                None => match streaming.create(&mountpoint).await {
                    Ok(()) => return Ok(mountpoint),
                    Err(error) if is_port_taken(&error) => error.to_string(),
                    Err(error) => return Err(error.into()),
                },
            };
            tracing::warn!(
                "session {}: Janus cannot take the ports {:?}: {why}",
                mountpoint.session,
                mountpoint.ports
            );
            let other = self.books().other_ports(&mountpoint.session, why, now);
            mountpoint = other?;
        }
    }

    async fn end(&self, session: &str, why: &str) {
        let Some(mountpoint) = self.books().get(session).cloned() else { return };
        // Viewers first: they hear it from us, and not from a picture that stands still.
        self.notices.end(session);
        self.media.unroute(&mountpoint);
        self.audience.dismiss(session).await;
        if let Ok(streaming) = self.janus.get()
            && mountpoint.made
            && let Err(error) = streaming.destroy(mountpoint.id).await
        {
            tracing::warn!("mountpoint {} of session {session} may be left in Janus: {error}", mountpoint.id);
        }
        self.books().remove(session);
        tracing::info!("session {session}: no mountpoint any more, {why}");
    }
}

/// Who has a port of a pair, if Janus is on this machine. It is not asked for such a pair: of one that it cannot have whole it
/// keeps what it has got, until it ends.
fn taken(janus: IpAddr, pair: Pair) -> Option<String> {
    let address = match janus.is_loopback() {
        true => janus,
        false if addresses::own().contains(&janus) => Ipv4Addr::UNSPECIFIED.into(),
        false => return None,
    };
    let in_use = |port: &u16| {
        UdpSocket::bind((address, *port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let port = [pair.audio, pair.video, pair.rtcp].into_iter().find(in_use)?;
    Some(format!("port {port} is {}", node::port::in_use_by(Transport::Udp, port)))
}

/// What is asked for, if it makes sense.
fn spec(new: NewMountpoint) -> Result<Spec, EgressError> {
    let NewMountpoint { session_id: session, audio_ssrc, video_ssrc, room_id, video_codec } = new;
    let sound = |c: char| !c.is_whitespace() && !c.is_control() && !"/?#%".contains(c);
    if session.is_empty() || session.len() > LONGEST_NAME || !session.chars().all(sound) {
        return Err(EgressError::BadName);
    }
    let codec = match video_codec {
        None => VideoCodec::default(),
        Some(name) => VideoCodec::parse(&name).ok_or(EgressError::BadCodec(name))?,
    };
    if room_id.is_some_and(|room| !node::contract::is_room(room)) {
        return Err(EgressError::BadRoom);
    }
    Ok(Spec { session, ssrcs: PerKind { audio: audio_ssrc, video: video_ssrc }, room: room_id, codec })
}
