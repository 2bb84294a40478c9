//! A whole tree at one look: `GET /tree`, its page, and `relay-ctl tree`.
//!
//! | file | job |
//! |---|---|
//! | `facts.rs` | what Redis says: the directory, registrations, who is whose child, sessions |
//! | `read.rs` | reads it; bounded in what is asked and kept |
//! | `make.rs` | from facts to what is shown, and what is wrong; without I/O |
//! | `view.rs` | what is shown, as JSON |
//! | `keep.rs` | one reading for however many ask |
//! | `http.rs` | `GET /tree`: JSON, or for a browser the page (`page/`) |
//!
//! Nodes are not asked: each says in its entry of the directory how it is and what comes to it ([`crate::flow`]). So a look
//! costs the tree nothing but a read of Redis, needs no tokens of others, leads nobody to addresses that somebody wrote into
//! Redis, and shows a node that hangs as well.

pub mod facts;
mod http;
mod keep;
mod make;
mod page;
mod read;
pub mod view;

pub use http::router;
pub use keep::{Overviews, PATIENCE};
pub use make::make;
pub use read::{MOST_NODES, read, read_nodes};
pub use view::{Edge, EdgeState, NodeView, Overview, SessionView, State};
