//! Who is measured: each in a file of its own, all at the same place between the same generator and receivers.

mod floor;
mod gstreamer;
mod loops;
mod netfilter;
mod relay;
mod rtpengine;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Process;

pub use gstreamer::{PLAYING, multiudpsink};
pub use netfilter::ruleset;
pub use rtpengine::{Publication, command as rtpengine};

use crate::copier::Kind;
use crate::stage::Stage;
use crate::tester::Drops;

/// What a contestant may take to get ready.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What somebody could use to copy packets, or the least that it can cost.
pub trait Contestant {
    /// For people.
    fn name(&self) -> &'static str;
    /// For JSON and plots.
    fn short(&self) -> &'static str;
    /// What kind of receivers suit it.
    fn drops(&self) -> Drops {
        Drops::Tc
    }
    /// Whether each child's copies are addressed to it.
    fn addressed(&self) -> bool {
        true
    }
    /// What it is to the others.
    fn role(&self) -> Role {
        Role::Peer
    }
    /// Whether it copies no more once it has been offered too much, and has to be started again.
    fn stays_down(&self) -> bool {
        false
    }
    /// Begins to copy to the first so many children of the stage.
    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>>;
}

/// What a contestant is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of the relay's data planes.
    Ours,
    /// What somebody could use instead.
    Peer,
    /// Does less than is needed: nothing can be faster.
    Floor,
}

/// A contestant that copies.
pub trait Running {
    /// The process that does it; none: the kernel does, where the packet comes in.
    fn process(&self) -> Option<u32> {
        None
    }
    /// Ends it and leaves nothing behind.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// All of them, in the order of the tables.
pub fn all() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(floor::Broadcast),
        Box::new(relay::Relay::Xdp),
        Box::new(floor::Clones),
        Box::new(relay::Relay::Tc),
        Box::new(netfilter::Nftables),
        Box::new(relay::Relay::Userspace),
        Box::new(loops::Loop(Kind::Gso)),
        Box::new(loops::Loop(Kind::Sendmmsg)),
        Box::new(loops::Loop(Kind::Uring)),
        Box::new(loops::Loop(Kind::Sendto)),
        Box::new(rtpengine::Rtpengine),
        Box::new(gstreamer::Multiudpsink),
    ]
}

/// The relay without something that it has, which shows what that costs. Measured where they are asked for by name.
pub fn variants() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(relay::Relay::XdpUncounted),
        Box::new(relay::Relay::TcUncounted),
        Box::new(relay::Relay::XdpForgetful),
        Box::new(relay::Relay::TcForgetful),
    ]
}

/// One of all of these by its short name.
pub fn named(short: &str) -> Option<Box<dyn Contestant>> {
    all().into_iter().chain(variants()).find(|contestant| contestant.short() == short)
}

/// A process that copies, and can be ended at any moment.
struct Copying(Process);

impl Copying {
    /// Waits until its log says that it is ready.
    fn ready(process: Process, word: &str) -> Result<Self> {
        let deadline = Instant::now() + TIMEOUT;
        while !process.log().contains(word) {
            ensure!(
                process.status()?.is_none() && Instant::now() < deadline,
                "{word:?} does not come: {}",
                process.tail()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self(process))
    }
}

impl Running for Copying {
    fn process(&self) -> Option<u32> {
        Some(self.0.pid())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.0.kill9().map(drop)
    }
}
