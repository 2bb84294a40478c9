//! The last hop: RTP of a mountpoint to thousands of viewers over WebRTC, each in its own payload types, extension numbers
//! and sequence numbers. Neither SDP nor HTTP: whoever asks for a seat has agreed on these before.
//!
//! A viewer's way:
//! ```text
//! Server::invite -> Invitation (ICE credentials)   the egress puts them into its description
//! Server::admit  -> the player's side is known     ICE (lite) and DTLS: `door`, on threads of their own
//! Notice::Up                                       keys are there: the viewer sits with a worker, and media flows
//! Notice::Shown                                    the first packet of the picture has been sent
//! Notice::Gone                                     it left, was silent, or was told to
//! ```
//! A packet's way:
//! ```text
//! Inlet::push -> worker (`worker`): `stream` numbers and keeps it -> for each viewer (`viewer`): own numbers, SRTP
//!             -> `send`: one system call for many viewers, one buffer for the packets of a frame
//! ```
//! Without I/O: [`srtp`], [`rtcp`], [`stream`], [`viewer`], [`pace`]. Shells: [`send`], [`worker`], [`door`], [`server`].

pub mod door;
mod hmac;
pub mod pace;
pub mod peer;
pub mod rtcp;
pub mod send;
pub mod server;
pub mod srtp;
pub mod stream;
pub mod viewer;
mod vital;
pub mod worker;

pub use door::SEND_BUFFER;
pub use peer::{Credentials, Extensions, Fingerprint, Peer, Seat, Taken};
pub use server::{Config, Figures, Invitation, Notice, Refusal, Server, StreamSpec};
pub use worker::Inlet;
