//! From what Redis says to what is written there next when a node gives its children to another. Pure.
//!
//! Make before break, each child by itself:
//!
//! 1. *Give*: the successor has it among its children, too. It sends; the child does not take that yet.
//! 2. *Point*: `parent:` of the child names the successor, unless somebody has written another meanwhile. From now on the child
//!    takes media from both, until it comes from the new one.
//! 3. *Leave*: it is taken from our children, once it says that it takes media from the new parent alone.
//!
//! A child that the node only stands by for, beside the child's parent, is another's to stand by for: that one is given the child and
//! stands by as well, and a moment later the node does no more. A child whose standby becomes its parent has no standby any more, so
//! that others are chosen first; and where nobody else can stand by, the child goes on without.
//!
//! Whoever was to take a child before and does not any more, because it drains itself or is gone, has it no more, nor has anybody
//! when the drain is undone: [`Handover::next_undone`].
//!
//! With no child left, the node is taken from its parent's children: *retire*. What to do follows from what Redis says and not from
//! what was done before, so that a node that is started again, or an operator who lends a hand, goes on where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::directory::{Entry, Nodes};
use crate::parentage::{Write, unstand};
use crate::record::NodeType;
use crate::topology::MOST_STANDBY;

/// A node without keyspace notifications looks at its children once a second: by then the successor sends.
pub const SETTLED: Duration = Duration::from_millis(1200);
/// A child that says nothing of itself follows its parent within this time.
pub const LINGER: Duration = Duration::from_secs(3);
/// A child that is longer about it is worth a word.
const SLOW: Duration = Duration::from_secs(2);
/// No tree is that deep: a ring.
const DEEPEST: usize = 64;

/// What was read that concerns a node whose children go elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Our parent.
    pub parent: Option<String>,
    /// Our children.
    pub children: BTreeSet<String>,
    /// Whom each of them has as parent, if anybody.
    pub parents: BTreeMap<String, String>,
    /// Who stands by for each of them, and for us.
    pub standby: BTreeMap<String, BTreeSet<String>>,
    /// Our parent's children, and how many those have.
    pub siblings: BTreeMap<String, u64>,
    /// The children of those whom ours were given to ([`Handover::receivers`]).
    pub given: BTreeMap<String, BTreeSet<String>>,
    /// Who there is.
    pub nodes: Arc<Nodes>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this, and look again.
    Write(Vec<Write>),
    /// Look again in a while; perhaps with what is worth a word.
    Wait(Option<String>),
    /// There is nothing left to give.
    Done,
}

/// How far one node is.
#[derive(Debug)]
pub struct Handover {
    id: String,
    zone: String,
    /// Who was named.
    to: Option<String>,
    /// Who takes the children.
    successor: Option<String>,
    /// By node: whom we have given to it, or it stood by for and was made the parent of.
    offered: BTreeMap<String, BTreeSet<String>>,
    /// Since when a child has been seen among the successor's.
    given: BTreeMap<String, Duration>,
    /// Since when it has been seen to have another parent.
    pointed: BTreeMap<String, Duration>,
}

impl Handover {
    /// Of this node, which stands in a zone.
    pub fn new(id: &str, zone: &str) -> Handover {
        Handover {
            id: id.to_owned(),
            zone: zone.to_owned(),
            to: None,
            successor: None,
            offered: BTreeMap::new(),
            given: BTreeMap::new(),
            pointed: BTreeMap::new(),
        }
    }

    /// An order. `to`: who is to take the children, if somebody is named.
    pub fn begin(&mut self, to: Option<String>) {
        self.to = to;
        self.successor = None;
    }

    /// Those whose children are to be read: who takes them, and who was to before.
    pub fn receivers(&self) -> impl Iterator<Item = &String> {
        let chosen = self.successor.iter().filter(|id| !self.offered.contains_key(*id));
        self.offered.keys().chain(chosen)
    }

    /// Who takes the children: the one before, for as long as it can; `None`: there are none. An error says why nobody does.
    pub fn successor(&mut self, sight: &Sight) -> Result<Option<String>, String> {
        if sight.children.is_empty() {
            return Ok(None);
        }
        let stays = self.successor.clone().filter(|id| unfit(&self.id, id, sight).is_none());
        let before = self.successor.take();
        let chosen = match (stays, &self.to) {
            (Some(successor), _) => successor,
            (None, Some(to)) => match unfit(&self.id, to, sight) {
                None => to.clone(),
                Some(why) => return Err(format!("{to} cannot take the children: {why}")),
            },
            (None, None) => choose(&self.id, &self.zone, sight)?,
        };
        if before.as_ref() != Some(&chosen) {
            tracing::info!("draining: children go to {chosen}");
            self.given.clear();
        }
        self.successor = Some(chosen.clone());
        Ok(Some(chosen))
    }

    /// What comes next, with what was read after the successor was chosen, if one could be.
    pub fn next(&mut self, sight: &Sight, now: Duration) -> Next {
        if sight.children.is_empty() {
            let retire = |parent: &String| Write::Retire { node: self.id.clone(), parent: parent.clone() };
            let standby = sight.standby_of(&self.id).flat_map(|parent| unstand(&self.id, parent));
            let writes: Vec<Write> = sight.parent.iter().map(retire).chain(standby).collect();
            return if writes.is_empty() { Next::Done } else { Next::Write(writes) };
        }
        let to = self.successor.clone();
        let taken = to.as_ref().and_then(|to| sight.given.get(to)).cloned().unwrap_or_default();
        self.given.retain(|child, _| taken.contains(child));
        self.pointed.retain(|child, _| sight.children.contains(child));
        let (mut give, mut writes, mut leave, mut slow) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for child in &sight.children {
            let named = sight.parents.get(child);
            // Whom an earlier successor's death has left without one is still ours.
            let parent = named.filter(|parent| **parent != self.id && !has_died(parent, &sight.nodes));
            if parent.is_some() && sight.stands_by(&self.id, child) {
                writes.extend(self.stand_over(child, sight, to.as_ref(), taken.contains(child), now));
                continue;
            }
            if parent.is_none_or(|parent| Some(parent) == to.as_ref()) && !taken.contains(child) {
                give.push(child.clone());
                continue;
            }
            let given = *self.given.entry(child.clone()).or_insert(now);
            if let Some(parent) = parent {
                let pointed = *self.pointed.entry(child.clone()).or_insert(now);
                match follows(child, parent, &sight.nodes, now.saturating_sub(pointed)) {
                    true => leave.push(child.clone()),
                    false if now.saturating_sub(pointed) > SLOW => {
                        slow.push(format!("{child} from {parent}"))
                    }
                    false => {}
                }
            } else if let Some(to) = &to {
                let since = now.saturating_sub(given);
                match named {
                    Some(from) if since >= SETTLED => {
                        let stood = sight
                            .stands_by(to, child)
                            .then(|| Write::Unstand { child: child.clone(), parent: to.clone() });
                        let (child, from, to) = (child.clone(), Some(from.clone()), to.clone());
                        self.offered.entry(to.clone()).or_default().insert(child.clone());
                        // Never both, be it for a moment: nobody stands by for itself.
                        writes.extend(stood);
                        writes.push(Write::Point { child, from, to });
                    }
                    // It takes media from anybody, and has it twice until this. Not before it would be known that the successor
                    // is drained itself: no key says who of two that drain has it, and both would let it go.
                    None if since >= LINGER => leave.push(child.clone()),
                    _ => {}
                }
            }
        }
        let mut writes = [self.take_back(sight, to.as_ref()), writes].concat();
        if let Some(to) = to.filter(|_| !give.is_empty()) {
            self.offered.entry(to.clone()).or_default().extend(give.iter().cloned());
            writes.insert(0, Write::Give { to, children: give });
        }
        writes.extend(self.leave(leave));
        match writes.is_empty() {
            false => Next::Write(writes),
            true => Next::Wait(
                (!slow.is_empty()).then(|| format!("no media has come yet to {}", slow.join(", "))),
            ),
        }
    }
}

impl Handover {
    /// Another is to stand by for a child in place of this node, if one can.
    fn stand_over(
        &mut self,
        child: &str,
        sight: &Sight,
        to: Option<&String>,
        is_given: bool,
        now: Duration,
    ) -> Vec<Write> {
        let parent = sight.parents.get(child);
        let pointed = *self.pointed.entry(child.to_owned()).or_insert(now);
        // Its parent may be one of a moment ago.
        if !parent.is_some_and(|parent| follows(child, parent, &sight.nodes, now.saturating_sub(pointed))) {
            return Vec::new();
        }
        let is_free = |to: &&String| parent != Some(*to);
        // In this order: should only the first be written, it is a child of another's that is left here.
        let done = || Vec::from_iter(unstand(child, &self.id).into_iter().rev());
        let Some(to) = to.filter(is_free) else { return done() };
        let parent = to.clone();
        if !sight.stands_by(to, child) {
            if sight.standby_of(child).count() >= MOST_STANDBY {
                return done();
            }
            let children = vec![child.to_owned()];
            if !is_given {
                self.offered.entry(to.clone()).or_default().insert(child.to_owned());
            }
            let give = (!is_given).then(|| Write::Give { to: to.clone(), children });
            return give.into_iter().chain([Write::Stand { child: child.to_owned(), parent }]).collect();
        }
        let since = *self.given.entry(child.to_owned()).or_insert(now);
        if now.saturating_sub(since) >= SETTLED { done() } else { Vec::new() }
    }

    /// What comes next when the node is to keep its children after all. Who has been given a new parent already goes on to that; all
    /// others stay, and those whom they were given to have them no more.
    pub fn next_undone(&mut self, sight: &Sight, now: Duration) -> Next {
        self.pointed.retain(|child, _| sight.children.contains(child));
        let mut writes = self.take_back(sight, None);
        let (mut leave, mut is_waited_for) = (Vec::new(), false);
        for (child, parent) in &sight.parents {
            let is_offered = self.offered.get(parent).is_some_and(|children| children.contains(child));
            if !is_offered || !sight.children.contains(child) {
                continue;
            }
            if has_died(parent, &sight.nodes) {
                let (child, from, to) = (child.clone(), Some(parent.clone()), self.id.clone());
                writes.push(Write::Point { child, from, to });
                continue;
            }
            let pointed = *self.pointed.entry(child.clone()).or_insert(now);
            match follows(child, parent, &sight.nodes, now.saturating_sub(pointed)) {
                true => leave.push(child.clone()),
                false => is_waited_for = true,
            }
        }
        writes.extend(self.leave(leave));
        match (writes.is_empty(), is_waited_for) {
            (false, _) => Next::Write(writes),
            (true, true) => Next::Wait(None),
            (true, false) => {
                self.offered.clear();
                Next::Done
            }
        }
    }

    /// Our children that somebody has been given who does not take them, being no child's new parent: nobody is to be sent the same
    /// twice for ever. `to`: who does take them.
    fn take_back(&self, sight: &Sight, to: Option<&String>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (node, children) in self.offered.iter().filter(|(node, _)| Some(*node) != to) {
            let Some(has) = sight.given.get(node) else { continue };
            // Who stood by for one of ours before any of this goes on.
            let stood = |child: &&String| sight.stands_by(node, child) && !sight.stands_by(&self.id, child);
            let is_back = |child: &&String| {
                has.contains(*child) && sight.parents.get(*child) != Some(node) && !stood(child)
            };
            let ours = children.intersection(&sight.children);
            let children: Vec<String> = ours.filter(is_back).cloned().collect();
            for child in children.iter().filter(|child| sight.stands_by(node, child)) {
                writes.push(Write::Unstand { child: child.clone(), parent: node.clone() });
            }
            if !children.is_empty() {
                writes.push(Write::Leave { of: node.clone(), children });
            }
        }
        writes
    }

    fn leave(&self, children: Vec<String>) -> Option<Write> {
        (!children.is_empty()).then(|| Write::Leave { of: self.id.clone(), children })
    }
}

impl Sight {
    /// Who stands by for a node.
    fn standby_of<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a String> + use<'a> {
        self.standby.get(node).into_iter().flatten()
    }

    fn stands_by(&self, parent: &str, child: &str) -> bool {
        self.standby.get(child).is_some_and(|standby| standby.contains(parent))
    }
}

/// The child takes media from this parent and from nobody else.
fn follows(child: &str, parent: &str, nodes: &Nodes, since: Duration) -> bool {
    match nodes.entries.get(child).filter(|_| nodes.alive.contains(child)) {
        Some(entry) => entry.parent.as_deref() == Some(parent) && !entry.particulars.between_parents,
        None => since >= LINGER,
    }
}

/// It was in the tree, and is no more. Of a node that is in no directory that cannot be told.
fn has_died(id: &str, nodes: &Nodes) -> bool {
    nodes.entries.contains_key(id) && !nodes.alive.contains(id)
}

/// Why a node cannot take our children.
pub fn unfit(own: &str, id: &str, sight: &Sight) -> Option<String> {
    let text = |why: &str| Some(why.to_owned());
    if id == own {
        return text("it is the node that drains");
    }
    let Some(entry) = sight.nodes.entries.get(id).filter(|_| sight.nodes.alive.contains(id)) else {
        return text("no node of this name is registered in the tree");
    };
    if entry.node_type == NodeType::Egress {
        return text("it is an egress, and has no children");
    }
    if entry.particulars.draining {
        return text("it is draining itself");
    }
    let mut above = Some(id);
    for _ in 0..DEEPEST {
        let Some(node) = above else {
            let is_below = has_above(id, sight, |node| sight.children.contains(node));
            return is_below.then(|| {
                "one of the node's children stands by for it; media would go round in a loop".to_owned()
            });
        };
        if node == own || sight.children.contains(node) {
            return text("it is below the node that drains; media would go round in a loop");
        }
        above = sight.nodes.entries.get(node).and_then(|entry| entry.parent.as_deref());
    }
    text("it is in a ring of parents")
}

/// Whether such a node is above this one, be it by way of one that stands by.
fn has_above(id: &str, sight: &Sight, is_such: impl Fn(&str) -> bool) -> bool {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![id]);
    while let Some(node) = waiting.pop() {
        if is_such(node) {
            return true;
        }
        if let Some(entry) = sight.nodes.entries.get(node).filter(|_| seen.insert(node)) {
            let standby = entry.particulars.standby.iter().map(String::as_str);
            waiting.extend(standby.chain(entry.parent.as_deref()));
        }
    }
    false
}

/// A relay with the same parent, or else the parent: in our zone first, then the one with the fewest children.
fn choose(own: &str, zone: &str, sight: &Sight) -> Result<String, String> {
    let Some(parent) = &sight.parent else {
        return Err(
            "there is no parent that could take the children; name who does: {\"to\": NODE}".to_owned()
        );
    };
    let fits = |id: &String| {
        let entry = sight.nodes.entries.get(id)?;
        let sibling = entry.node_type == NodeType::Relay && entry.parent.as_ref() == Some(parent);
        (sibling && unfit(own, id, sight).is_none()).then_some(entry)
    };
    // Whom it sends to already would have one parent less.
    let sends_to = |id: &String| {
        let has = |child: &&String| sight.stands_by(id, child) || sight.parents.get(*child) == Some(id);
        sight.children.iter().filter(has).count()
    };
    let rank = |id: &String, entry: &Entry, children: u64| {
        let (is_doubtful, is_ill) = (sight.nodes.doubtful.contains(id), entry.status != "active");
        (is_doubtful, is_ill, sends_to(id), entry.zone != zone, children)
    };
    let siblings = sight.siblings.iter();
    let best = siblings.filter_map(|(id, children)| Some((rank(id, fits(id)?, *children), id))).min();
    match best {
        Some((_, sibling)) => Ok(sibling.clone()),
        None => match unfit(own, parent, sight) {
            None => Ok(parent.clone()),
            Some(why) => {
                Err(format!("no relay beside this one can take the children, nor can {parent}: {why}"))
            }
        },
    }
}

#[cfg(test)]
mod tests;
