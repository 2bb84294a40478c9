//! [`Stage`]: a pipeline on which an encoder's media go through, until they take another.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::bridge::{self, Bridge, Said};
use super::flv;
use super::intake::{Tracks, Unit};
use crate::injector::Via;

/// From one warning that a pipeline does not keep up to the next.
const BEHIND: Duration = Duration::from_secs(10);

/// A bridge, and whether it keeps up.
pub(super) struct Stage<'a> {
    /// Its pipeline.
    pub bridge: Bridge,
    /// Until it is published.
    pub offer: Option<oneshot::Receiver<Result<String, String>>>,
    /// Told when it breaks.
    pub broken: mpsc::UnboundedReceiver<String>,
    /// How its media come.
    pub via: Via,
    /// When it was said last that it does not.
    said_behind: Option<Duration>,
    session: &'a str,
}

impl<'a> Stage<'a> {
    /// A pipeline for these tracks.
    pub fn start(tracks: &Tracks, began: Instant, session: &'a str) -> Result<Stage<'a>, String> {
        let (bridge, Said { offer, broken }) =
            Bridge::start(tracks, began).map_err(|error| error.to_string())?;
        let via = match bridge::is_encoded_anew(tracks) {
            true => Via::RtmpEncodedAnew,
            false => Via::Rtmp,
        };
        let video =
            tracks.video.as_ref().map(|config| format!("H264 of the {} profile", flv::profile(config)));
        tracing::info!(
            "session {session}: by RTMP come {}{} and {}",
            video.as_deref().unwrap_or("no video"),
            if via == Via::RtmpEncodedAnew { ", encoded anew as baseline," } else { "" },
            if tracks.audio.is_some() { "AAC" } else { "no audio" },
        );
        Ok(Stage { bridge, offer: Some(offer), broken, via, said_behind: None, session })
    }

    /// A frame for it.
    pub fn push(&mut self, unit: Unit, now: Duration) {
        let fits = self.bridge.push(unit, now);
        if !fits && self.said_behind.is_none_or(|said| now >= said + BEHIND) {
            self.said_behind = Some(now);
            tracing::warn!(
                "session {}: frames that came by RTMP are left out: this machine does not keep up, or Janus does not \
                 connect",
                self.session
            );
        }
    }
}

/// A bridge waits for its threads.
pub(super) async fn dismiss(bridge: Bridge) {
    let _ = tokio::task::spawn_blocking(move || drop(bridge)).await;
}
