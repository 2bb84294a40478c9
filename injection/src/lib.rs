//! The injection: takes a broadcaster's WHIP publication and feeds the tree.
//!
//! ```text
//! WHIP --> Janus VideoRoom --rtp_forward--> udpsrc ! probe ! multiudpsink --RTP--> children, or a session's recipients
//! PLI  <-- local_rtcp_port <-- at most one a second per SSRC <--------------RTCP---
//!                                      lost packets, again <------NACK---RTCP---
//! ```
//!
//! Without I/O, time and chance being arguments:
//! - [`session`]: what is asked for and what there is, to a session or a refusal; [`publication`]: a publisher's life.
//! - [`numbering`]: RTP numbers that go on when a publication follows another; [`sdp`]: offers.
//!
//! Around these:
//! - [`videoroom`]: Janus; [`pipeline`]: GStreamer; [`store`]: Redis; [`feedback`]: RTCP sockets; [`answers`]: what
//!   was lost is sent again.
//! - [`rtmp`]: encoders that do not speak WHIP become publications like any other.
//! - [`injector`]: the one thing that holds the state and brings these together.
//! - [`api`], [`whip`], [`page`], [`view`], [`metrics`]: HTTP; [`config`], [`cli`], [`daemon`]: the program.

pub mod answers;
pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod feedback;
pub mod injector;
pub mod metrics;
pub mod numbering;
pub mod page;
pub mod pipeline;
pub mod publication;
pub mod rtmp;
pub mod sdp;
pub mod session;
pub mod store;
pub mod videoroom;
pub mod view;
pub mod whip;
