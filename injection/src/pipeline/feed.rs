//! [`Feed`]: a session's pipeline.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gst::prelude::*;
use node::media::{PerKind, Ssrc};
use node::muffled::Muffled;
use tokio::sync::mpsc;

use crate::answers::Answers;

use super::branch::{Branch, Count};
use super::{Inlet, Outlets, PipelineError};

/// Two branches that run from the session's beginning to its end, whoever publishes.
pub struct Feed {
    pipeline: gst::Pipeline,
    branches: PerKind<Branch>,
}

impl Feed {
    /// Starts. `inlet`: the address on which Janus reaches us; `answers`: keeps what is sent; `broken` is told the session's name when the pipeline has
    /// failed and wants a [`restart`](Self::restart).
    pub fn start(
        session: &str,
        ssrcs: PerKind<Ssrc>,
        inlet: IpAddr,
        outlets: &Outlets,
        answers: &Arc<Answers>,
        broken: mpsc::UnboundedSender<String>,
    ) -> Result<Feed, PipelineError> {
        let pipeline = gst::Pipeline::with_name(session);
        let branches = PerKind::try_from_fn(|kind| {
            Branch::add(&pipeline, kind, ssrcs[kind], Inlet::bind(inlet)?, outlets, answers)
        })?;
        let feed = Feed { branches, pipeline: pipeline.clone() };
        let bus = pipeline.bus().ok_or(PipelineError("a pipeline without a bus".to_owned()))?;
        let session = session.to_owned();
        let (warned, started) = (Mutex::new(Muffled::default()), Instant::now());
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Error(error) => {
                    tracing::error!("session {session}: GStreamer: {}", error.error());
                    let _ = broken.send(session.clone());
                }
                // One a packet, while a recipient cannot be sent to.
                gst::MessageView::Warning(warning) => {
                    let mut warned = warned.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(swallowed) = warned.may(started.elapsed()) {
                        let why = warning.debug().unwrap_or_else(|| warning.error().to_string().into());
                        tracing::warn!(swallowed, "session {session}: GStreamer: {}", why.replace('\n', " "));
                    }
                }
                _ => {}
            }
            // Nobody reads the bus besides.
            gst::BusSyncReply::Drop
        });
        feed.pipeline.set_state(gst::State::Playing)?;
        Ok(feed)
    }

    /// Stops and starts again, with the same ports, recipients and numbers.
    pub fn restart(&self) -> Result<(), PipelineError> {
        self.pipeline.set_state(gst::State::Null)?;
        self.pipeline.set_state(gst::State::Playing)?;
        Ok(())
    }

    /// Runs.
    pub fn is_running(&self) -> bool {
        self.pipeline.current_state() == gst::State::Playing
    }

    /// Another publication begins. Gives the SSRCs that Janus is to forward it with, which nobody else knows.
    pub fn begin(&self) -> PerKind<Ssrc> {
        // 0 is no SSRC to Janus but "any".
        let ssrcs = PerKind::from_fn(|_| Ssrc(rand::random_range(1..=u32::MAX)));
        self.branches.iter().for_each(|(kind, branch)| branch.begin(ssrcs[kind]));
        ssrcs
    }

    /// Where Janus is to send audio and video.
    pub fn ports(&self) -> PerKind<u16> {
        self.branches.as_ref().map(|branch| branch.port)
    }

    /// Sends to these from now on, and to nobody else.
    pub fn send_to(&self, wanted: &PerKind<BTreeSet<SocketAddr>>) {
        for (kind, branch) in self.branches.iter() {
            branch.send_to(&wanted[kind]);
        }
    }

    /// Whom it sends to.
    pub fn clients(&self) -> PerKind<BTreeSet<SocketAddr>> {
        self.branches.as_ref().map(Branch::clients)
    }

    /// What each recipient was sent since this was asked last: packets, bytes.
    pub fn take_sent(&self) -> PerKind<Vec<(SocketAddr, [u64; 2])>> {
        self.branches.as_ref().map(Branch::take_sent)
    }

    /// Bytes of the smallest receive buffer.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.branches.iter().filter_map(|(_, branch)| branch.receive_buffer()).min()
    }

    /// What went through.
    pub fn counts(&self) -> PerKind<Count> {
        self.branches.as_ref().map(Branch::count)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!("a session's pipeline does not stop: {error}");
        }
    }
}
