//! Mountpoints begin and end: in the books, in the server and in the pipelines, or in none of them.

use std::time::Duration;

use futures_util::future::join_all;
use node::media::{PerKind, Ssrc, VideoCodec};
use serde::Deserialize;

use super::error::LONGEST_NAME;
use super::{Egress, EgressError};
use crate::lifecycle::acts::{self, Act};
use crate::mountpoints::{Asked, Fault, Mountpoint, Refused, Spec, Step};
use crate::server::{Outlet, ServerError};

/// How often what could not be done is tried again.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

/// How long a node that stops waits for its server.
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
        self.link.check()?;
        if let Some(why) = self.released_for() {
            return Err(EgressError::CutOff(why));
        }
        let mountpoint = match self.books().ask(spec, crate::now_ms())? {
            Asked::Exists(mountpoint) => return Ok(Outcome::WasThere(*mountpoint)),
            Asked::Reserved(mountpoint) => mountpoint,
        };
        let made = self.make(&mountpoint).await;
        if made.is_err() {
            let seen = self.shut_out(&mountpoint);
            self.books().undo(&mountpoint.session, seen);
            self.wake.notify_one();
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
                Step::Release(session) => {
                    self.carry_out(&session, acts::RELEASING, "until this node is attached to its tree")
                        .await;
                }
                Step::Make(spec) => {
                    if self.link.problem().is_some() {
                        continue;
                    }
                    let session = spec.session.clone();
                    if let Err(refused) = self.make_for_the_tree(&spec).await {
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

    /// Ends everything: the node stops. The server is not waited for longer than a moment, and ends with the connection what it
    /// has not ended by then.
    pub async fn close(&self) {
        let ending = async {
            let _changing = self.changing.lock().await;
            let all: Vec<Mountpoint> = self.books().all().cloned().collect();
            join_all(all.iter().map(|mountpoint| self.end(&mountpoint.session, "this node stops"))).await;
        };
        if tokio::time::timeout(CLOSED_WITHIN, ending).await.is_err() {
            let name = self.server.name();
            tracing::warn!("{name} is slow; what it still has of this node is taken out at the next start");
        }
        // Whoever writes to Redis learns by this that nothing is left.
        super::locked(&self.records).take();
        self.media.stop();
    }

    async fn make_for_the_tree(&self, spec: &Spec) -> Result<(), Refused> {
        let reserved = self.books().reserve(spec, true, crate::now_ms());
        let mountpoint =
            reserved.map_err(|refusal| Refused { fault: refusal.fault(), why: refusal.to_string() })?;
        match self.make(&mountpoint).await {
            Ok(_) => Ok(()),
            // What was reserved is kept for a server that comes back.
            Err(EgressError::Server(error)) if error.is_away() => Ok(()),
            Err(error) => {
                let seen = self.shut_out(&mountpoint);
                self.books().failed(&mountpoint.session, seen);
                let fault = match &error {
                    EgressError::Server(error) => error.fault(),
                    _ => Fault::Node,
                };
                Err(Refused { why: error.to_string(), fault })
            }
        }
    }

    /// A mountpoint could not be made, perhaps again: what was let through to it before goes nowhere. Gives whether viewers have seen
    /// it, and wait.
    fn shut_out(&self, mountpoint: &Mountpoint) -> bool {
        let seen = self.notices.is_on(&mountpoint.session);
        self.give_up(&mountpoint.session);
        match seen {
            true => self.media.shut(mountpoint),
            false => self.media.unroute(mountpoint),
        }
        seen
    }

    /// Has the server open a mountpoint, and lets its streams through.
    async fn make(&self, mountpoint: &Mountpoint) -> Result<Mountpoint, EgressError> {
        let (mountpoint, outlets) = self.open(mountpoint).await?;
        let mountpoint = Mountpoint { made: true, ..mountpoint };
        self.give_up(&mountpoint.session);
        if let Err(error) = self.media.route(outlets, &mountpoint) {
            let _ = self.server.close(&mountpoint).await;
            return Err(EgressError::Pipeline(error));
        }
        self.books().made(&mountpoint.session);
        let ports = mountpoint.ports.map(|ports| format!(" on ports {} and {}", ports.audio, ports.video));
        let (session, id) = (&mountpoint.session, mountpoint.id);
        tracing::info!("session {session}: mountpoint {id}{}", ports.unwrap_or_default());
        self.notices.start(&mountpoint.session);
        Ok(mountpoint)
    }

    /// Has the server open a mountpoint, if need be on other ports: whoever has one of them must not keep the session back.
    async fn open(&self, mountpoint: &Mountpoint) -> Result<(Mountpoint, PerKind<Outlet>), EgressError> {
        let (mut mountpoint, now) = (mountpoint.clone(), crate::now_ms());
        loop {
            let why = match self.server.open(&mountpoint).await {
                Ok(outlets) => return Ok((mountpoint, outlets)),
                Err(ServerError::PortTaken(why)) => why,
                Err(error) => return Err(error.into()),
            };
            let (session, name) = (&mountpoint.session, self.server.name());
            tracing::warn!("session {session}: {name} cannot take the ports {:?}: {why}", mountpoint.ports);
            let other = self.books().other_ports(&mountpoint.session, why, now);
            mountpoint = other?;
        }
    }

    /// A session ends here, whether it has a mountpoint or waits for one.
    async fn end(&self, session: &str, why: &str) {
        let acts = self.books().ending(session);
        self.carry_out(session, acts, why).await;
    }

    async fn carry_out(&self, session: &str, acts: &[Act], why: &str) {
        let mountpoint = self.books().get(session).cloned();
        for act in acts {
            match (act, &mountpoint) {
                (Act::TellEnd, _) => self.notices.end(session),
                (Act::Unroute, Some(mountpoint)) => self.media.unroute(mountpoint),
                (Act::Shut, Some(mountpoint)) => self.media.shut(mountpoint),
                (Act::GiveUp, _) => self.give_up(session),
                (Act::Dismiss, _) => self.audience.dismiss(session).await,
                (Act::Close, Some(mountpoint)) => self.close_at_server(mountpoint).await,
                (Act::Forget, _) => self.books().forget(session),
                (Act::Keep, _) => self.books().keep(session),
                (_, None) => {}
            }
        }
        if mountpoint.is_some() {
            tracing::info!("session {session}: no mountpoint any more, {why}");
        }
    }

    async fn close_at_server(&self, mountpoint: &Mountpoint) {
        if let Err(error) = self.server.close(mountpoint).await {
            let (id, session, name) = (mountpoint.id, &mountpoint.session, self.server.name());
            tracing::warn!("mountpoint {id} of session {session} may be left in {name}: {error}");
        }
    }

    /// The streams of a session whose mountpoint was released are waited for no more.
    fn give_up(&self, session: &str) {
        let released = self.books().released(session);
        if let Some(ssrcs) = released {
            self.media.give_up(ssrcs);
        }
    }
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
