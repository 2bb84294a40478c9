//! The kernel data plane: attach or take over, carry out changes, read counters, detach.
//!
//! What it does not do: decide which children there are ([`crate::fanout`]) or where they are ([`crate::net`]).
//!
//! | file | job |
//! |---|---|
//! | `plane/` | the data plane that a daemon manages |
//! | `maps.rs` | typed handles on the pinned maps |
//! | `read.rs`, `upgrade.rs` | what the maps say, to people and to the next daemon; also those of an older layout |
//! | `history.rs`, `gaps.rs` | the last packets, to be sent again; what streams have jumped over, to be asked for |
//! | `pins.rs`, `lock.rs`, `bpffs.rs` | where all of it lives while no daemon does, and who manages it |
//! | `programs.rs`, `links.rs`, `verifier.rs` | loading the programs, the links that outlive the daemon, why the kernel refuses |
//! | `link.rs`, `known.rs` | what a link is attached to, and other people's programs |
//! | `probe.rs` | whether XDP frames really leave an interface |
//! | `error.rs`, `text.rs` | what can go wrong; text in fixed fields |

mod bpffs;
mod error;
mod gaps;
mod history;
mod known;
mod link;
mod links;
mod lock;
mod maps;
pub mod pins;
mod plane;
pub mod probe;
pub mod programs;
mod read;
mod text;
mod upgrade;
mod verifier;

pub use bpffs::{ends_with_us, ensure_bpffs, is_bpffs};
pub use error::KernelError;
pub use gaps::{GapRing, Gaps};
pub use history::History;
pub use known::{Known, program};
pub use link::Attached;
pub use maps::{CaptureRing, Maps, StockOrder, map};
pub use pins::{Found, Pins};
pub use plane::DataPlane;
pub use programs::{Constants, Programs};
pub use read::{
    Inherited, copies_not_made, copies_not_made_pinned, drops, has_more_streams, routes, streams,
    streams_pinned,
};
pub use text::{padded, unpadded};

pub use crate::mode::Mode;
