//! An egress that is to go gives away its viewers first (`moving`), and says how far it is.

use std::time::Duration;

use axum::http::StatusCode;
use node::drain::{Drain, Drains, Order};
use node::http::Busy;

use super::Egress;
use crate::moves::{Plan, Viewer};

/// So long after the order a player may still say that it can be told.
const SAYS_WITHIN: Duration = Duration::from_secs(1);
/// When who wanted to watch here makes sense to come again.
const COME_AGAIN: Duration = Duration::from_secs(2);

impl Drains for Egress {
    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn count(&self) -> u64 {
        self.audience.count().0 as u64
    }
}

impl Egress {
    /// The answer to whoever wants to watch here, while nobody is taken.
    pub fn takes_nobody(&self) -> Option<Busy> {
        let why = "this node is about to go and takes nobody any more; another one may";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        self.drain.is_on().then_some(Busy { status, why, wait: COME_AGAIN, closes: false })
    }

    /// How far it is. `going`: who is still here; `unknown`: why nobody knows where else their sessions are.
    pub(super) fn report_drain(&self, order: &Order, going: &[Viewer], plan: &Plan, unknown: Option<&str>) {
        if going.is_empty() {
            return self.drain.done();
        }
        let problem = match (unknown, plan.homeless) {
            (Some(why), _) => Some(format!("where else their sessions are is not known: {why}")),
            (None, 0) => None,
            (None, count) => {
                Some(format!("no other egress has both the session and room for {count} of them"))
            }
        };
        self.drain.left(going.len() as u64, problem);
        // Whoever cannot be told, or has nowhere to go, gains nothing by it that the node ends later.
        let all_have_said = going.iter().all(|viewer| viewer.hears) || order.since.elapsed() > SAYS_WITHIN;
        self.drain.stuck(plan.hopeful == 0 && all_have_said && unknown.is_none());
    }
}
