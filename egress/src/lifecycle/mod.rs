//! What becomes of sessions, mountpoints, viewers and of the node itself: docs/lifecycle.md has the picture. Pure.
//!
//! - [`standing`]: whether media can reach this egress: attached to its tree, cut off from it, or cut off for so long that its
//!   mountpoints have ended.
//! - [`asking`]: how often Redis is asked why nothing comes.
//! - [`acts`]: what is done, and in which order, when a mountpoint ends.
//! - [`crate::mountpoints`]: which mountpoints there are to be; [`crate::activity`]: whether one has something to show;
//!   [`crate::notices`]: what viewers are told of a session; [`crate::viewers`]: who watches.

pub mod acts;
pub mod asking;
#[cfg(test)]
mod explorer;
pub mod standing;

pub use acts::Act;
pub use asking::Question;
pub use standing::{Answer, Cut, Node, Standing};

use node::media::PerKind;

use crate::activity::{self, Activity, Served, StreamAge};

/// Whether a mountpoint has something to show. `server`: its name.
pub fn activity(standing: &Standing, streams: PerKind<StreamAge>, served: &Served, server: &str) -> Activity {
    match standing.dark() {
        Some(cut) => {
            Activity { active: false, cut_off: true, reason: Some(format!("this node is cut off: {cut}")) }
        }
        None => activity::judge(streams, served, server),
    }
}

/// The same of a session whose mountpoint was released.
pub fn waiting(standing: &Standing) -> Activity {
    let reason = Some("it has no mountpoint at present".to_owned());
    Activity { active: false, cut_off: standing.dark().is_some(), reason }
}
