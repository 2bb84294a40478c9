//! What nodes that died left in Redis is taken out of it: sessions, mountpoints, entries of the directory.
//!
//! One node of the tree does it, whoever has the lease ([`script::TAKE`]); it has a number, the *fence*, which is higher than that
//! of whoever had it before. Nothing is taken out whose node lives, and the order of things sees to it, as in a Cluster
//! what belongs together is on several servers, and a sweeper may be slow, or die in the middle:
//!
//! 1. The sweeper writes beside a thing that it is *doomed*, with its fence (in the same slot, `sweeper:{KEY}`).
//! 2. Then it looks whether its node is there after all.
//! 3. It takes the thing out only if it is doomed still, and by itself.
//!
//! Whoever writes a thing takes its doom back with it, and is registered before. So a node that comes back is seen in
//! the second step, or ends the third. What a dead sweeper began another does again, from the beginning.
//!
//! - [`gone`]: what has been missing for long; [`plan`]: what is left over; [`work`]: which step follows which. Pure.
//! - [`look`]: what is read; [`script`]: what Redis does at once; [`carry`]: a step, carried out; [`sweeper`]: one turn after
//!   the other.

pub mod carry;
pub mod gone;
pub mod look;
pub mod plan;
pub mod script;
pub mod sweeper;
pub mod work;

pub use sweeper::{Report, Sweeper};
