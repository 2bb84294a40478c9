//! From the RTP inputs to the mountpoints: GStreamer.
//!
//! ```text
//! udpsrc -> (probe: is it routed?) -> rtpssrcdemux -> src_<ssrc> -> udpsink, one per routed stream
//! ```
//!
//! To a server in this process ([`Outlet::Inlet`](crate::server::Outlet)) a packet goes from the probe: neither demux nor socket is
//! between the two.
//!
//! One [`Lane`] per kind. The probe ([`probe`]) lets nothing through that has no route: an SSRC without a sink behind the
//! demux would stop all others, and nothing that comes from elsewhere than media is taken from ([`Senders`]). Routes come and go while media flows; only an error of GStreamer's own makes a lane
//! start again, with the routes it had.

mod lacks;
mod lane;
mod probe;
mod route;
mod senders;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use node::udp::Versions;

pub use lane::Lane;
pub use probe::Counters;
pub use route::{Route, Routes};
pub use senders::Senders;

/// A pipeline cannot run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PipelineError {
    /// An element is not installed.
    #[error(
        "GStreamer has no element '{0}'; install gstreamer1.0-plugins-base and gstreamer1.0-plugins-good"
    )]
    Missing(&'static str),
    /// The port cannot be had.
    #[error("cannot take {kind} RTP on port {port}: {why}")]
    Port {
        /// `audio` or `video`.
        kind: &'static str,
        /// The port.
        port: u16,
        /// What the system says.
        why: String,
    },
    /// Anything else.
    #[error("GStreamer: {0}")]
    Other(String),
}

impl From<gst::glib::Error> for PipelineError {
    fn from(error: gst::glib::Error) -> Self {
        PipelineError::Other(error.to_string())
    }
}

impl From<gst::glib::BoolError> for PipelineError {
    fn from(error: gst::glib::BoolError) -> Self {
        PipelineError::Other(error.to_string())
    }
}

/// Fails with what is not installed.
pub fn installed() -> Result<(), PipelineError> {
    gst::init()?;
    let missing = ["udpsrc", "rtpssrcdemux", "udpsink"]
        .into_iter()
        .find(|name| gst::ElementFactory::find(name).is_none());
    missing.map_or(Ok(()), |name| Err(PipelineError::Missing(name)))
}

/// What GLib and GStreamer say by themselves goes into the log, and not past it.
pub fn hear_libraries() {
    gst::glib::log_set_default_handler(|library, level, text| {
        use gst::glib::LogLevel::{Critical, Error, Warning};
        node::log::library_says(library, matches!(level, Error | Critical | Warning), text);
    });
}

/// Where a lane listens.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Address, most often unspecified.
    pub address: IpAddr,
    /// RTP port.
    pub port: u16,
    /// Where times count from.
    pub epoch: Instant,
}

impl Input {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn bind(&self, kind: &'static str) -> Result<UdpSocket, PipelineError> {
        let bound = node::udp::bind(SocketAddr::new(self.address, self.port), Versions::Both);
        bound.map_err(|error| PipelineError::Port { kind, port: self.port, why: error.to_string() })
    }
}
