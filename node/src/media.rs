//! What media is in a tree: of two kinds, in few codecs, as streams of RTP that are told apart by their SSRC. Without I/O.
//!
//! - [`Kind`], [`PerKind`]: audio and video; what there is of each, never by number.
//! - [`Codec`], [`VideoCodec`]: what it is encoded with, and the payload type of that everywhere in the tree.
//! - [`Ssrc`]: the name of a stream.
//! - [`rtp`]: headers of packets; [`sequence`]: what follows what; [`continuity`]: streams that begin anew;
//!   [`gaps`]: what is missing; [`picture`]: keyframes.
//!
//! What the kernel must know as well is in `relay-common`, and this builds on it.

mod codec;
pub mod continuity;
pub mod gaps;
mod kind;
pub mod picture;
pub mod rtp;
pub mod sequence;
mod ssrc;

pub use codec::{Codec, VideoCodec};
pub use kind::{Kind, PerKind};
pub use ssrc::Ssrc;
