//! [`Line`]: relays one after the other, with a link before each.

use anyhow::Result;

use super::{Delay, Link};
use crate::netns::Lab;
use crate::topology::{Child, Endpoint, FIRST_CHILD, endpoint};

const INJECTION: &str = "injection-1";
const EGRESS: &str = "egress";

/// A relay's two interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `eth0`: where media comes to.
    pub above: Endpoint,
    /// `eth1`: where copies leave by.
    pub below: Endpoint,
}

/// Relays in a row, and children of the last.
///
/// ```text
/// injection-1 eth0 ══ eth0 relay-1 eth1 ══ eth0 relay-2 eth1 ══ eth0 relay-3 eth1 ── eth0 egress (10.0.4.11, .12, …)
/// ```
///
/// `══` is a [`Link`]. All is dual stack; the upper end of the n-th link is 10.0.n.1, the lower one 10.0.n.2.
pub struct Line {
    /// Where sources run.
    pub injection: Endpoint,
    /// relay-1 …
    pub relays: Vec<Place>,
    /// All behind one interface, as addresses of one namespace.
    pub children: Vec<Child>,
    /// The first is before relay-1.
    pub links: Vec<Link>,
}

impl Line {
    /// Builds it; every link takes so long.
    ///
    /// # Errors
    /// What [`Link::join`] says.
    pub fn new(lab: &Lab, relays: usize, children: usize, delay: Option<Delay>) -> Result<Self> {
        lab.add_namespace(INJECTION)?;
        let (mut links, mut aboves, mut belows) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=relays {
            let (upper, relay) = (name(number - 1), name(number));
            let out = if number == 1 { "eth0" } else { "eth1" };
            lab.add_namespace(&relay)?;
            links.push(Link::join(lab, &number.to_string(), (&upper, out), (&relay, "eth0"), delay)?);
            belows.push(endpoint(lab, &upper, out, number, 1)?);
            aboves.push(endpoint(lab, &relay, "eth0", number, 2)?);
        }
        let last = name(relays);
        lab.add_namespace(EGRESS)?;
        lab.link(&last, "eth1", EGRESS, "eth0")?;
        lab.enable_gro(EGRESS, "eth0")?;
        // A relay may answer out of the interface that it received on.
        lab.enable_gro(INJECTION, "eth0")?;
        let relay = endpoint(lab, &last, "eth1", relays + 1, 1)?;
        belows.push(relay.clone());
        let child = |host| {
            Ok(Child { endpoint: endpoint(lab, EGRESS, "eth0", relays + 1, host)?, relay: relay.clone() })
        };
        let children = (FIRST_CHILD..FIRST_CHILD + children).map(child).collect::<Result<_>>()?;
        let injection = belows.remove(0);
        let relays = aboves.into_iter().zip(belows).map(|(above, below)| Place { above, below }).collect();
        Ok(Self { injection, relays, children, links })
    }
}

/// 0 is the injection.
fn name(number: usize) -> String {
    if number == 0 { INJECTION.to_owned() } else { format!("relay-{number}") }
}
