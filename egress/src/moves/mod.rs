//! Who is to go where, and when: viewers whom this node cannot keep are told of another egress that carries their session. Pure.
//!
//! A thousand are not told at once. Each place is sent one every few milliseconds, never more than it has room for; whom
//! it was sent lately counts as being there, because its own count comes late. Who was told and does not go is told again, of
//! another place if there is one. Who cannot be told, or stays all the same, is let go in the end: a player whose connection ends comes again, and is sent on then.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use node::directory::Entry;
use node::directory::choice::{self, Wish};

/// So long a place is left to itself after each viewer that is sent there.
pub const EACH: Duration = Duration::from_millis(5);
/// The same of viewers whose node is gone: they see nothing meanwhile, so that it is worth while to be quick.
const EACH_IN_THE_DARK: Duration = Duration::from_micros(2_500);
/// How far a place may be behind with that: the time between two plans.
const BEHIND: Duration = Duration::from_millis(50);
/// How long it takes until a place counts a viewer that was sent there, and we have read that.
const COUNTED_WITHIN: Duration = Duration::from_secs(4);
/// Who was told has as long to go, and each time twice as long, up to the second.
const PATIENCE: [Duration; 2] = [Duration::from_secs(6), Duration::from_secs(60)];
/// Who has been told so often and stays is treated like one that cannot be told: nobody keeps a node from being emptied.
const MOST_TOLD: u32 = 3;
/// Most places that a viewer is told of beforehand.
const MOST_ELSEWHERE: usize = 3;
/// The longest that viewers of a node that is gone are to wait, ms.
const LONGEST_SPREAD: u64 = 5_000;

/// Somebody who is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// What it watches.
    pub session: String,
    /// Its name.
    pub name: String,
    /// It can be told.
    pub hears: bool,
}

/// By session: the egresses that carry it, as they describe themselves.
pub type Places = BTreeMap<String, BTreeMap<String, Entry>>;

/// What is to be done about a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is told where to go.
    Tell {
        /// Session.
        session: String,
        /// Its name.
        viewer: String,
        /// Name of the egress.
        to: String,
        /// The session's WHEP endpoint there.
        url: String,
    },
    /// Its connection is ended.
    LetGo {
        /// Session.
        session: String,
        /// Its name.
        viewer: String,
    },
}

/// What is to be done now, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done, in this order.
    pub steps: Vec<Step>,
    /// Viewers who are on their way, or have somewhere to go.
    pub hopeful: usize,
    /// Those of them who are still to be told.
    pub waiting: usize,
    /// Viewers for whom there is no room anywhere.
    pub homeless: usize,
}

/// Where the node is, and which time it is.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Its zone, which its viewers are close to.
    pub zone: &'a str,
    /// The time.
    pub now: Duration,
    /// Who cannot be told is let go.
    pub lets_go: bool,
}

/// What viewers have been told.
#[derive(Debug, Default)]
pub struct Moves {
    told: BTreeMap<String, Told>,
    /// By place: when it may be sent another.
    free: BTreeMap<String, Duration>,
    /// Where viewers were sent lately, and when.
    sent: Vec<(String, Duration)>,
}

#[derive(Debug)]
struct Told {
    to: String,
    at: Duration,
    times: u32,
}

impl Told {
    /// Until then it is expected to go.
    fn patience(&self) -> Duration {
        let [first, longest] = PATIENCE;
        self.at + (first * 2_u32.pow(self.times.min(5) - 1)).min(longest)
    }
}

impl Moves {
    /// What to do about these, who are all that are to go.
    pub fn plan(&mut self, viewers: &[Viewer], places: &Places, here: Here<'_>) -> Plan {
        let Here { node, zone, now, lets_go } = here;
        self.forget(viewers, now);
        let mut places = self.others(places, node);
        let mut plan = Plan::default();
        for viewer in viewers {
            let told = self.told.get(&viewer.name);
            if told.is_some_and(|told| now < told.patience()) {
                plan.hopeful += 1;
                continue;
            }
            let Some(carriers) = places.get(&viewer.session) else {
                plan.homeless += usize::from(viewer.hears);
                continue;
            };
            let wish = Wish { zone, viewer: choice::key(viewer.name.as_bytes()), ..Wish::default() };
            // Where it was sent before and is not is asked last.
            let failed = told.map(|told| told.to.as_str());
            let other =
                failed.and_then(|failed| choice::choose(carriers, &Wish { not: Some(failed), ..wish }));
            let Some(to) = other.or_else(|| choice::choose(carriers, &wish)).map(str::to_owned) else {
                plan.homeless += usize::from(viewer.hears);
                continue;
            };
            let url = carriers[&to].endpoint(&viewer.session);
            plan.hopeful += usize::from(viewer.hears);
            // Its seat is nobody else's, whenever it is told.
            places.values_mut().for_each(|carriers| count(carriers, &to));
            let free = self.free.get(&to).copied().unwrap_or_default();
            if !(viewer.hears || lets_go) {
                continue;
            }
            let stays = told.is_some_and(|told| told.times >= MOST_TOLD);
            if free > now {
                plan.waiting += 1;
                continue;
            }
            self.free.insert(to.clone(), free.max(now.saturating_sub(BEHIND)) + EACH);
            self.sent.push((to.clone(), now));
            let (session, name) = (viewer.session.clone(), viewer.name.clone());
            if !viewer.hears || (stays && lets_go) {
                plan.steps.push(Step::LetGo { session, viewer: name });
                continue;
            }
            let times = told.map_or(0, |told| told.times) + 1;
            self.told.insert(name.clone(), Told { to: to.clone(), at: now, times });
            plan.steps.push(Step::Tell { session, viewer: name, to, url });
        }
        plan
    }

    fn forget(&mut self, viewers: &[Viewer], now: Duration) {
        let there: BTreeSet<&str> = viewers.iter().map(|viewer| viewer.name.as_str()).collect();
        self.told.retain(|viewer, _| there.contains(viewer.as_str()));
        self.sent.retain(|(_, at)| *at + COUNTED_WITHIN > now);
        self.free.retain(|_, free| *free + BEHIND > now);
    }

    /// The places but this one, with those who are on their way there.
    fn others(&self, places: &Places, node: &str) -> Places {
        let mut places = places.clone();
        for carriers in places.values_mut() {
            carriers.remove(node);
            for (to, _) in &self.sent {
                count(carriers, to);
            }
        }
        places
    }
}

/// One more is there.
fn count(carriers: &mut BTreeMap<String, Entry>, node: &str) {
    if let Some(entry) = carriers.get_mut(node) {
        entry.particulars.viewers = entry.particulars.viewers.saturating_add(1);
    }
}

/// Where a viewer of a session would go if this node were gone, best first. It is told beforehand, because then there is nobody to
/// tell it.
pub fn elsewhere(carriers: &BTreeMap<String, Entry>, viewer: &str, here: Here<'_>) -> Vec<Entry> {
    let mut others = carriers.clone();
    others.remove(here.node);
    let wish = Wish { zone: here.zone, viewer: choice::key(viewer.as_bytes()), ..Wish::default() };
    let best = move || {
        let best = choice::choose(&others, &wish)?.to_owned();
        others.remove(&best)
    };
    std::iter::from_fn(best).take(MOST_ELSEWHERE).collect()
}

/// Over how long so many, who are at this node, are to spread, should it be gone, in ms.
pub fn spread(carriers: &BTreeMap<String, Entry>, here: Here<'_>, viewers: usize) -> u64 {
    let serves = |entry: &Entry| entry.has_room() && !entry.particulars.doubtful;
    let others = carriers.iter().filter(|(id, entry)| *id != here.node && serves(entry)).count();
    let at_each = viewers.div_ceil(others.max(1)) as u64;
    (EACH_IN_THE_DARK.as_micros() as u64 * at_each / 1000).min(LONGEST_SPREAD)
}
