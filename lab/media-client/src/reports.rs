//! [`Reports`]: is there anybody at the other end? A receiver reports every few seconds (RFC 3550 section 6); a server that
//! is gone does not, and `webrtcbin` does not mind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use gst::prelude::*;

/// RTCP that has come in.
pub struct Reports {
    pipeline: gst::Pipeline,
    /// When the last came, by the clock of [`crate::now_ms`]; 0 before the first.
    last: Arc<AtomicU32>,
    watched: Vec<gst::Pad>,
}

impl Reports {
    /// Of the connections in this pipeline, once there are any.
    pub fn of(pipeline: &gst::Pipeline) -> Self {
        Self { pipeline: pipeline.clone(), last: Arc::default(), watched: Vec::new() }
    }

    /// How long nobody has reported; `None` before the first report.
    pub fn silent_for(&mut self) -> Option<Duration> {
        self.watch();
        let last = self.last.load(Relaxed);
        (last != 0).then(|| Duration::from_millis(crate::now_ms().wrapping_sub(last).into()))
    }

    /// The pads come with the negotiation.
    fn watch(&mut self) {
        let elements = self.pipeline.iterate_recurse().into_iter().flatten();
        let rtp =
            elements.filter(|element| element.factory().is_some_and(|factory| factory.name() == "rtpbin"));
        for pad in rtp.flat_map(|element| element.sink_pads()) {
            if !pad.name().starts_with("recv_rtcp_sink") || self.watched.contains(&pad) {
                continue;
            }
            let last = self.last.clone();
            pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
                last.store(crate::now_ms().max(1), Relaxed);
                gst::PadProbeReturn::Ok
            });
            self.watched.push(pad);
        }
    }
}
