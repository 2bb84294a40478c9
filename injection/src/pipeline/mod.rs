//! The GStreamer part: what Janus forwards comes in, and goes out to every recipient.
//!
//! Each session has two branches, audio and video, of three links each: `udpsrc` on a port of its own, on which Janus
//! sends; a pad probe that counts, drops what Janus did not send (`passage`), and renumbers ([`crate::numbering`]); and a `multiudpsink`,
//! whose clients come and go while it runs. All of them send from the node's two RTP ports ([`Outlets`]), because it is
//! there that receivers send their RTCP back to (RFC 4961). What leaves is kept for a while, for those who lose it ([`crate::answers`]). Nothing is ever linked anew: an unlinked pad would stop
//! everything.

mod branch;
mod feed;
mod passage;
mod sockets;

pub use branch::Count;
pub use feed::Feed;
pub use sockets::{Inlet, Outlets, Ways};

/// Makes GStreamer ready; an error says what is not installed.
pub fn init() -> Result<(), String> {
    gst::init().map_err(|error| format!("GStreamer does not start: {error}"))?;
    for element in ["udpsrc", "multiudpsink"] {
        if gst::ElementFactory::find(element).is_none() {
            return Err(format!(
                "GStreamer has no '{element}'; install its good plugins (apt install gstreamer1.0-plugins-good)"
            ));
        }
    }
    Ok(())
}

/// What GLib and GStreamer say by themselves goes into the log, and not past it.
pub fn hear_libraries() {
    gst::glib::log_set_default_handler(|library, level, text| {
        use gst::glib::LogLevel::{Critical, Error, Warning};
        node::log::library_says(library, matches!(level, Error | Critical | Warning), text);
    });
}

/// Why there is no pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GStreamer: {0}")]
pub struct PipelineError(pub String);

impl From<gst::glib::BoolError> for PipelineError {
    fn from(error: gst::glib::BoolError) -> Self {
        PipelineError(error.to_string())
    }
}

impl From<gst::StateChangeError> for PipelineError {
    fn from(error: gst::StateChangeError) -> Self {
        PipelineError(error.to_string())
    }
}

impl From<std::io::Error> for PipelineError {
    fn from(error: std::io::Error) -> Self {
        PipelineError(error.to_string())
    }
}
