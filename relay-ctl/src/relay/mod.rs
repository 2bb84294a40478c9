//! The relay as a whole: its children, how each is reached, the routes of streams, and the data plane that has them. Every
//! change goes through [`Relay`], one at a time.
//!
//! | file | job |
//! |---|---|
//! | `state.rs` | what changes, behind the one lock |
//! | `error.rs` | why something cannot be |
//! | `start/` | from a configuration, and what a predecessor left, to a relay that runs |
//! | `children.rs` | children and routes, as the API changes them |
//! | `tree.rs`, `tree_change.rs` | many children at once, as Redis says |
//! | `drain.rs` | it gives its children away before it goes |
//! | `membership.rs` | what Redis told, and what is registered there |
//! | `reach.rs` | a child's route, MAC address and headers |
//! | `names.rs` | host names of children and parent |
//! | `family.rs`, `families.rs` | IP versions of media and children: what follows, and doing it |
//! | `sources.rs` | where media is taken from |
//! | `interface.rs` | the interface attached to, its addresses and ports |
//! | `watch.rs` | changes in the kernel's tables |
//! | `egress.rs`, `probes.rs` | interfaces that copies leave by as XDP frames: what is done, and what is known |
//! | `plane.rs` | kernel or sockets, whichever it is |
//! | `stock.rs` | devmaps made ready beforehand |
//! | `streams.rs` | the table of streams: read, and kept from filling up |
//! | `uplink.rs` | RTCP that goes up the tree: requests for keyframes; what is missing is asked for (`uplink/ask.rs`) |
//! | `uplink/answer.rs` | what children ask for is sent again |
//! | `repairs.rs` | what is missing and what is asked for, and what is counted of it |
//! | `sample.rs`, `status.rs`, `counters.rs` | what is shown |
//! | `capture.rs` | packets as pcap |
//! | `program_log.rs` | what the eBPF programs log |

pub mod capture;
mod children;
mod counters;
mod drain;
mod egress;
mod error;
mod families;
mod family;
mod interface;
#[cfg(test)]
mod loopback;
mod membership;
mod names;
mod plane;
mod probes;
mod program_log;
mod reach;
mod repairs;
mod sample;
mod sources;
mod start;
mod state;
mod status;
mod stock;
mod streams;
mod tree;
mod tree_change;
mod uplink;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use node::drain::Drain;
use node::http::Limits;
use node::metrics::Parents;
use node::tasks::Tasks;
use node::udp::Overflow;
use node::watch::Redirector;
use tokio::sync::{Mutex, Notify, watch as version};

use crate::config::Config;
use crate::fanout::FanoutError;
use crate::kernel::KernelError;
use crate::net::Netlink;

pub use counters::Counters;
use egress::Egress;
pub use error::{ChildError, RelayError, StartError};
pub use families::FamilyKeeper;
pub use membership::Membership;
pub use names::NameKeeper;
pub use repairs::{Repaired, Repairs};
pub use sample::{Forwarder, Sample};
use state::{Member, State};
pub use stock::StockKeeper;
use streams::StreamTable;
pub use uplink::Uplink;

/// How long `child add` waits for the next hop's MAC before it answers "still resolving".
const RESOLVE_WAIT: Duration = Duration::from_secs(1);

/// How often a change is tried again that finds no room because earlier ones are still in their grace.
const BUSY_TRIES: u32 = 20;

/// A relay that runs.
pub struct Relay {
    config: Config,
    /// What may be taken of it by HTTP.
    limits: Arc<Limits>,
    netlink: Netlink,
    state: Mutex<State>,
    /// Counts applied changes, for those who wait for one.
    applied: version::Sender<u64>,
    /// Some child's host name is to be resolved now.
    names_due: Notify,
    /// The interfaces that copies leave by as XDP frames.
    egress: Egress,
    /// The streams, apart from the lock of `state`.
    streams: StreamTable,
    /// Its place in the tree.
    membership: Membership,
    /// What has happened since the daemon started, for the metrics.
    counters: Counters,
    /// Where viewers are sent to.
    redirector: Arc<Redirector>,
    /// Whether it is to be emptied, and how far it is.
    drain: Drain,
    /// What has come from each parent.
    parents: std::sync::Mutex<Parents>,
    /// What the sockets of userspace mode have dropped.
    overflow: std::sync::Mutex<Overflow>,
    /// What is missing, and what children ask for.
    repairs: std::sync::Mutex<Repairs>,
    /// Those of its parents that nothing came from when it was looked last, while it did from another.
    unheard: std::sync::Mutex<Vec<String>>,
    /// It has a new parent, and takes media from the former one, too.
    between: version::Sender<bool>,
    /// What is to go on by itself, and what of that has failed.
    tasks: Tasks,
}

impl Relay {
    /// What it was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What may be taken of it by HTTP.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Where viewers are sent to.
    pub fn redirector(&self) -> &Arc<Redirector> {
        &self.redirector
    }

    /// What has happened since the daemon started.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its place in the tree.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Makes the data plane have what the state says.
    async fn apply(&self, state: &mut State) -> Result<(), RelayError> {
        self.egress.check(state, &self.netlink).await;
        let mut tries = BUSY_TRIES;
        loop {
            match state.write() {
                Err(KernelError::Fanout(FanoutError::Busy)) if tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(Duration::from_millis(crate::fanout::GRACE_MS)).await;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
        }
        self.applied.send_modify(|version| *version += 1);
        Ok(())
    }

    async fn wait_for_reach(&self, name: &str) {
        let mut applied = self.applied.subscribe();
        let deadline = tokio::time::Instant::now() + RESOLVE_WAIT;
        loop {
            let waiting = {
                let state = self.state.lock().await;
                state.children.get(name).is_some_and(|member| member.reach.is_resolving())
            };
            if !waiting || tokio::time::timeout_at(deadline, applied.changed()).await.is_err() {
                return;
            }
        }
    }
}
