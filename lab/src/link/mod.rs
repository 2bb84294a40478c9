//! [`Link`]: a way between two nodes that loses, delays and reorders, as the public Internet does; the kernel of a test machine
//! may have no netem.
//!
//! ```text
//! upper node eth1 ── upper LOSES lower ── upper DELAYS lower ── eth0 lower node
//! ```
//!
//! Two namespaces in a row, of which the second is there only if it is asked for. What is lost is decided by a program in the
//! kernel, at both interfaces of a namespace between the nodes and not on their cards: so it serves relays of every mode, those too
//! whose copies leave by a devmap. What is delayed goes through a thread of ours that loses nothing by itself.
//!
//! The same packets have the same fate with the same seed, whenever they come: it is a hash of the seed, SSRC, sequence number, RTP
//! time stamp and how often this packet has come by (a packet that is sent again has another chance). All of it can be changed
//! while packets flow; what goes *down* is RTP, what goes *up* are the requests about it.
//!
//! | module | holds |
//! |---|---|
//! | `loss` | [`Loss`] and [`Lost`]; the program in the kernel is `relay-ebpf/src/link` |
//! | `delay` | [`Delay`] and [`Reorder`]; which packet is due when, without I/O |
//! | `hop` | the thread that carries packets across a namespace |
//! | `frames` | its sockets (AF_PACKET) |
//! | `line` | [`Line`]: relays one after the other, with a link before each |

mod delay;
mod frames;
mod hop;
mod line;
mod loss;

use anyhow::Result;

use crate::netns::Lab;

pub use delay::{Delay, Reorder};
pub use hop::Carried;
use hop::Hop;
pub use line::{Line, Place};
use loss::Dropper;
pub use loss::{Loss, Lost};

const UPPER: &str = "upper";
const LOWER: &str = "lower";

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the upper node to the lower one.
    Down,
    /// From the lower node to the upper one.
    Up,
}

/// A link between two nodes. Dropping it cuts it.
pub struct Link {
    dropper: Dropper,
    hop: Option<Hop>,
}

impl Link {
    /// Joins two namespaces; `upper` and `lower` are (namespace, interface that is made there), `name` is told apart from other
    /// links of the lab. It loses nothing yet. `delay`: none, and there is no hop in user space on it.
    ///
    /// # Errors
    /// What the lab says; and that the program is not built.
    pub fn join(
        lab: &Lab,
        name: &str,
        upper: (&str, &str),
        lower: (&str, &str),
        delay: Option<Delay>,
    ) -> Result<Self> {
        let (loses, delays) = add_namespaces(lab, name, delay)?;
        lab.link(upper.0, upper.1, &loses, UPPER)?;
        lab.link(delays.as_deref().unwrap_or(&loses), LOWER, lower.0, lower.1)?;
        // What a node hands over as one would be lost as one; on a wire it is many.
        for (ns, interface) in [upper, lower] {
            lab.set_feature(ns, interface, "tx-udp-segmentation", false)?;
        }
        Self::start(lab, loses, delays, delay)
    }

    /// Puts a link into the wire between a port of a bridge and a node's `eth0`, which is without a carrier for a moment; what goes
    /// down goes to the node. `port`: (namespace, interface there, bridge).
    ///
    /// # Errors
    /// As [`Link::join`].
    pub fn insert(
        lab: &Lab,
        (switch, port, bridge): (&str, &str, &str),
        node: &str,
        delay: Option<Delay>,
    ) -> Result<Self> {
        let (loses, delays) = add_namespaces(lab, node, delay)?;
        let last = delays.as_deref().unwrap_or(&loses);
        lab.run(switch, &["ip", "link", "set", port, "netns", &lab.full_name(last)])?;
        lab.run(last, &["ip", "link", "set", port, "name", LOWER])?;
        lab.set_link(last, LOWER, true)?;
        lab.link(switch, port, &loses, UPPER)?;
        lab.run(switch, &["ip", "link", "set", port, "master", bridge])?;
        lab.set_feature(node, "eth0", "tx-udp-segmentation", false)?;
        Self::start(lab, loses, delays, delay)
    }

    fn start(lab: &Lab, loses: String, delays: Option<String>, delay: Option<Delay>) -> Result<Self> {
        if let Some(delays) = &delays {
            lab.link(&loses, LOWER, delays, UPPER)?;
            be_only_a_wire(lab, delays)?;
        }
        be_only_a_wire(lab, &loses)?;
        let hop = delays.zip(delay).map(|(delays, delay)| Hop::start(lab, &delays, delay)).transpose()?;
        Ok(Self { dropper: Dropper::attach(lab, &loses)?, hop })
    }

    /// From now on this is lost on that way.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn lose(&mut self, way: Way, loss: Loss) -> Result<()> {
        self.dropper.lose(way, loss)
    }

    /// What has come by that way, and what of it was lost.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn lost(&self, way: Way) -> Result<Lost> {
        self.dropper.lost(way)
    }

    /// Delays so from now on, if the link was made with a delay; else it says so.
    ///
    /// # Errors
    /// There is no hop in user space on it.
    pub fn delay(&self, delay: Delay) -> Result<()> {
        self.hop()?.delay(delay);
        Ok(())
    }

    /// What the hop in user space has carried.
    ///
    /// # Errors
    /// There is none.
    pub fn carried(&self) -> Result<Carried> {
        Ok(self.hop()?.carried())
    }

    fn hop(&self) -> Result<&Hop> {
        self.hop.as_ref().ok_or_else(|| anyhow::anyhow!("this link was made without a delay"))
    }
}

/// The namespace that loses, and the one that delays, if there is to be one.
fn add_namespaces(lab: &Lab, name: &str, delay: Option<Delay>) -> Result<(String, Option<String>)> {
    let loses = format!("loses-{name}");
    lab.add_namespace(&loses)?;
    let delays = delay.map(|_| format!("delays-{name}"));
    delays.iter().try_for_each(|delays| lab.add_namespace(delays))?;
    Ok((loses, delays))
}

/// Both its interfaces take XDP frames, and nobody in it has anything to say by itself.
fn be_only_a_wire(lab: &Lab, ns: &str) -> Result<()> {
    for interface in [UPPER, LOWER] {
        lab.sysctl(ns, &format!("ipv6/conf/{interface}/disable_ipv6"), "1")?;
        lab.enable_gro(ns, interface)?;
    }
    Ok(())
}
