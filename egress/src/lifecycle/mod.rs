//! What becomes of sessions, mountpoints, viewers and of the node itself: docs/lifecycle.md has the picture. Pure.
//!
//! - [`node`]: whether media can reach this egress: attached to its tree, cut off from it, or cut off for so long that its
//!   mountpoints have ended.
//! - [`crate::mountpoints`]: which mountpoints there are to be; [`crate::activity`]: whether one has something to show;
//!   [`crate::notices`]: what viewers are told of a session; [`crate::viewers`]: who watches.

pub mod node;

pub use node::{Answers, Cut, Node, Standing};
