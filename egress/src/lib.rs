//! The node at the end of the tree: takes RTP in, and serves viewers over WHEP.
//!
//! Without I/O:
//! - [`config`]: what was asked for, checked before anything is bound.
//! - [`lifecycle`]: whether media can reach this node, and what becomes of everything in the order in which it happens.
//! - [`mountpoints`]: what is wanted and what there is become steps; [`portpool`]: their ports.
//! - [`activity`]: whether media really arrives; [`viewers`]: who really watches; [`notices`]: what they are told.
//! - [`capacity`], [`turns`]: how many may watch, join and listen, and who is answered when; [`joins`], [`quality`]: how their joins go,
//!   and how they fare, as [`distribution`]s.
//! - [`view`]: what HTTP shows; [`rtp`], [`sdp`]: formats.
//!
//! Shells:
//! - [`pipeline`]: GStreamer; [`server`]: what serves viewers, Janus; [`records`]: Redis; [`keyframes`], [`repair`]: RTCP, which goes
//!   up by [`uplink`].
//! - [`state`]: the one thing that holds the state and brings these together.
//! - [`api`], [`whep`], [`page`], [`metrics`]: HTTP; [`daemon`], [`cli`]: the program.

pub mod activity;
pub mod api;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod distribution;
pub mod doctor;
pub mod joins;
pub mod keyframes;
pub mod lifecycle;
pub mod metrics;
pub mod mountpoints;
pub mod moves;
pub mod notices;
pub mod page;
pub mod pipeline;
pub mod portpool;
pub mod quality;
pub mod records;
pub mod repair;
pub mod reports;
pub mod rtp;
pub mod sdp;
pub mod server;
pub mod state;
pub mod turns;
pub mod uplink;
pub mod view;
pub mod viewers;
pub mod whep;

/// ms since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
