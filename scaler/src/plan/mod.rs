//! From a decision to actions: where new egresses go, which ones go away, which slots are filled, what is cleared away. Pure.
//!
//! | file | job |
//! |---|---|
//! | `grow.rs` | new egresses are put under slots |
//! | `slots.rs` | which relays have room for how many, and who is the parent of a new one |
//! | `pools.rs` | warm and cold slots are kept at the template's numbers |
//! | `leaving.rs` | which egresses go |
//! | `recall.rs` | which of those that are going are called back |
//! | `ids.rs` | names for what is new |
//!
//! A slot is a relay of the template's depth that is in `relay-slots:{tree}:available`: a warm one runs, is in the tree and has room; a cold one
//! is made by the back end and does not run. The warm pool is measured in room: so much as `warm` empty relays have.

mod grow;
mod ids;
mod leaving;
mod pools;
mod recall;
mod slots;

use std::collections::{BTreeMap, BTreeSet};

use node::record::NodeType;

use crate::action::{Action, Kind, Urgency};
use crate::books::Books;
use crate::decide::{Decision, Verdict, names};
use crate::model::{Ms, Observation};
use crate::provision::Spec;
use crate::settings::Settings;
pub use ids::Ids;
pub(crate) use leaving::{beyond_maximum, is_carried_by_others, leaving};
pub use recall::{Recall, recall};

/// What is to be done that no running action does, the most urgent first.
pub fn plan(
    settings: &Settings,
    seen: &Observation,
    decision: &Decision,
    running: &[Action],
    ids: &mut Ids,
    now: Ms,
) -> Vec<Action> {
    if !decision.known {
        return Vec::new();
    }
    let books = Books::new(seen, running);
    let mut planner = Planner {
        settings,
        books: &books,
        decision,
        ids,
        now,
        used: BTreeSet::new(),
        children: BTreeMap::new(),
        plan: Vec::new(),
    };
    planner.grow();
    planner.clear();
    planner.shrink();
    if seen.machines.is_some() {
        planner.pools();
    }
    planner.plan
}

/// A plan in the making.
struct Planner<'a, 'b> {
    settings: &'b Settings,
    books: &'b Books<'a>,
    decision: &'b Decision,
    ids: &'b mut Ids,
    now: Ms,
    /// Names that this plan has to do with already.
    used: BTreeSet<String>,
    /// Children that this plan gives to nodes.
    children: BTreeMap<String, u32>,
    plan: Vec<Action>,
}

impl Planner<'_, '_> {
    /// What has been dead for so long that it does not come back.
    fn clear(&mut self) {
        let free = |name: &&String| !self.books.is_busy(name) && !self.used.contains(*name);
        let nodes: Vec<String> = self.decision.dead.iter().filter(free).cloned().collect();
        if nodes.is_empty() {
            return;
        }
        let reason = format!("dead: {}", listed(&nodes));
        self.push(Kind::Clear { nodes }, reason, Urgency::Low);
    }

    /// Egresses that are not needed, or of no use.
    fn shrink(&mut self) {
        if self.decision.verdict == Verdict::ScaleOut || self.books.is_changing() {
            return;
        }
        let free = |name: &&String| !self.books.is_busy(name) && !self.used.contains(*name);
        let carried = |name: &&String| leaving::is_carried_by_others(self.books, name);
        let useless = self.decision.useless.iter().filter(free).filter(carried);
        let useless: Vec<String> = useless.cloned().collect();
        if !useless.is_empty() {
            let reason = format!("of no use: {}", listed(&useless));
            self.push(Kind::Shrink { nodes: useless }, reason, Urgency::Low);
        }
        if self.decision.verdict != Verdict::ScaleIn {
            return;
        }
        let going = leaving(self.settings, self.books, self.books.viewers(), self.decision.count);
        let nodes: Vec<String> = going.into_iter().map(|node| node.id.clone()).collect();
        if !nodes.is_empty() {
            self.push(Kind::Shrink { nodes }, self.decision.reason.clone(), self.decision.urgency);
        }
    }

    /// One more action.
    fn push(&mut self, kind: Kind, reason: String, urgency: Urgency) {
        match &kind {
            Kind::Slot { relay, .. } => self.used.extend([relay.name.clone()]),
            Kind::Grow { slot, egresses } => {
                self.used.insert(slot.relay.clone());
                self.used.extend(egresses.iter().map(|egress| egress.name.clone()));
            }
            Kind::Shrink { nodes } | Kind::Clear { nodes } => self.used.extend(nodes.iter().cloned()),
        }
        let id = self.ids.take();
        self.plan.push(Action { id, kind, reason, urgency, created: self.now });
    }

    /// A new node's particulars.
    fn spec(&mut self, role: NodeType, parent: &str, zone: &str) -> Spec {
        let name = format!("{}-{}-{}", self.books.seen().tree, role.name(), self.ids.take());
        self.spec_of(role, &name, parent, zone)
    }

    /// The particulars of one that there is.
    fn spec_of(&self, role: NodeType, name: &str, parent: &str, zone: &str) -> Spec {
        let (name, tree) = (name.to_owned(), self.books.seen().tree.clone());
        Spec { name, role, tree, parent: parent.to_owned(), zone: zone.to_owned() }
    }

    /// Children of a node, those that this plan gives it among them.
    fn children(&self, name: &str) -> u32 {
        self.books.children(name) + self.children.get(name).copied().unwrap_or(0)
    }

    fn give_child(&mut self, name: &str) {
        *self.children.entry(name.to_owned()).or_default() += 1;
    }
}

fn listed(all: &[String]) -> String {
    names(&all.iter().map(String::as_str).collect::<Vec<_>>())
}
