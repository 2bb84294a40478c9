//! What is told of viewers' joins: each in a line of the log, once, and all in the books ([`crate::joins`]).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Audience, locked, name};
use crate::joins::{self, Join, Outcome, PageStages, Stage};
use crate::state::EgressError;

/// Our own page says how its join went when it has a picture; who has said nothing for so long is told of without.
pub(super) const TOLD_AFTER: Duration = Duration::from_secs(15);

/// What is known of a viewer whose seat may be free again.
pub(super) struct Following {
    /// What it plays with, in its own words.
    pub player: Arc<str>,
    /// How its join goes.
    pub join: Arc<Mutex<Join>>,
}

impl Audience {
    /// Our own page says how its join went.
    pub fn page_joined(&self, session: &str, viewer: &str, page: PageStages) -> Result<(), EgressError> {
        let seat = self.seat(session, viewer)?;
        if locked(&seat.join).report(page) {
            self.joins.reported(&page);
            if seat.up.is_some() {
                let following = Following { player: seat.player, join: seat.join };
                self.tell(session, viewer, &following, Outcome::Connected);
            }
        }
        Ok(())
    }

    /// How joins went.
    pub fn joins(&self) -> joins::View {
        self.joins.view()
    }

    pub(super) fn reached(&self, join: &Mutex<Join>, stage: Stage) {
        if let Some(after) = locked(join).reach(stage, Instant::now()) {
            self.joins.reached(stage, after);
        }
    }

    /// Says in the log how a join went, once.
    pub(super) fn tell(&self, session: &str, viewer: &str, following: &Following, outcome: Outcome) {
        let mut join = locked(&following.join);
        if join.is_to_be_told() {
            join.tell(session, name(viewer), &following.player, self.server, outcome);
        }
    }
}
