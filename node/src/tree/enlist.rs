//! The node's own registration: written, kept alive, and taken back.

use std::time::Instant;

use futures_util::FutureExt;

use super::Follows;
use super::keeper::Keeper;
use crate::addresses;
use crate::directory::{Entry, MOST_NEW, Particulars};
use crate::flow::Flow;
use crate::record::{Place, Registration};
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::name::{self, Claim, Refused};
use crate::redis::script;

impl<F: Follows> Keeper<F> {
    /// Writes the registration. Being refused is a problem, but reading goes on.
    pub(super) async fn register(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.inbox.is_stale = false;
        if let Some(registration) = self.inbox.registration.take() {
            // The name is in every key and channel: it stays.
            let id = std::mem::take(&mut self.registration.id);
            self.registration = Registration { id, ..registration };
        }
        if let Some(problem) = self.refused(link).await? {
            if self.view.redis.taken.as_ref() != Some(&problem) {
                tracing::error!("{problem}");
            }
            self.view.redis.registered = false;
            self.view.redis.problem = Some(problem.clone());
            self.view.redis.taken = Some(problem);
            self.rewrite_at = Instant::now() + self.timing.pulse.min(self.timing.rewrite);
            self.show();
            return Ok(());
        }
        self.view.redis.taken = None;
        let status = self.inbox.during(self.node.health()).await;
        let addresses = addresses::own();
        let fields = self.registration.fields(&status, &addresses);
        let (id, ttl) = (self.registration.id.clone(), self.timing.ttl);
        let (tree, entry) = (self.registration.tree_id.clone(), self.entry(&status));
        let passing = self.passing();
        let written = with_passing(entry.clone(), &passing).text();
        let writing = async {
            let existed = script::register(&mut link.commands, &id, &fields, ttl).await?;
            name::keep(&mut link.commands, &id, &self.instance, ttl).await?;
            // Others do without, as they do with an older node.
            let entered = script::enter(&mut link.commands, &tree, &id, &written).await;
            Ok((existed, entered.err()))
        };
        match self.inbox.during(writing).await.map_err(|error| Failure::of(&link.address, error)) {
            Ok((existed, left_out)) => {
                self.left_out(left_out.map(|error| Failure::of(&link.address, error).to_string()));
                if self.believed && !existed {
                    self.lost = true;
                    let now = self.inbox.now();
                    self.inbox.topology.ask(now);
                }
                self.believed = true;
                self.place = Some(self.own_place());
                self.view.redis.named = true;
                self.status = status;
                self.addresses = addresses;
                self.entry = entry.text();
                self.told_passing = passing;
                self.follower.registered();
                self.view.redis.registered = true;
                self.view.redis.problem = None;
                self.written_at = Instant::now();
                self.rewrite_at = self.written_at + self.timing.rewrite;
            }
            // With sentinels there is a master, and it is not this one.
            Err(failure @ Failure::ReadOnly { .. }) if self.connector.sentinels.is_some() => {
                return Err(failure);
            }
            Err(failure) if failure.is_refusal() => {
                let problem = failure.to_string();
                if self.view.redis.problem.as_ref() != Some(&problem) {
                    tracing::warn!("{problem}");
                }
                self.view.redis.registered = false;
                self.view.redis.problem = Some(problem);
                self.view.redis.named = true;
                self.rewrite_at = Instant::now() + self.timing.pulse.min(self.timing.rewrite);
            }
            Err(failure) => return Err(failure),
        }
        self.show();
        Ok(())
    }

    /// Looks whose the name is. Gives why it is not ours, if it is not.
    async fn refused(&mut self, link: &mut Link) -> Result<Option<String>, Failure> {
        let (id, own) = (self.registration.id.clone(), self.own_place());
        let looking = name::holder(&mut link.commands, &id, &self.instance);
        let holder = match self.inbox.during(looking).await.map_err(|error| Failure::of(&link.address, error))
        {
            Ok(holder) => holder,
            // What may not be read, or is no hash, may not be written either, and that is said.
            Err(failure) if failure.is_refusal() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let times = [self.timing.ttl, self.timing.rewrite];
        let refused =
            self.refused_by.as_ref().map(|(by, seen)| Refused { by: by.clone(), unseen: seen.elapsed() });
        let written = self.place.as_ref();
        let by = match name::claim(&holder, &self.instance, &own, written, refused.as_ref(), times) {
            Claim::Ours(rival) => {
                self.refused_by = None;
                self.heard_of(rival);
                return Ok(None);
            }
            Claim::Taken(by) => by,
        };
        if holder.place.is_some() {
            self.refused_by = Some((by.clone(), Instant::now()));
            let telling = name::announce(&mut link.commands, &id, &own, self.timing.ttl);
            // That the other learns of us is a courtesy.
            if let Err(error) = self.inbox.during(telling).await {
                tracing::debug!("the node that has our name is not told: {error}");
            }
        }
        let kind = self.registration.node_type.name();
        Ok(Some(format!(
            "the name {id} is taken: a node called so lives at {by}; give this {kind} another (--node-id, NODE_ID)"
        )))
    }

    /// Another node wants our name.
    fn heard_of(&mut self, rival: Option<String>) {
        let now = Instant::now();
        if let Some(rival) = rival {
            if self.rival.as_ref().is_none_or(|(known, _)| *known != rival) {
                tracing::error!("{}", sentence(&self.registration.id, &rival));
            }
            self.rival = Some((rival, now + self.timing.rewrite + self.timing.rewrite / 2));
        }
        self.rival = self.rival.take().filter(|(_, until)| now < *until);
        self.view.redis.rival = self.rival.as_ref().map(|(rival, _)| sentence(&self.registration.id, rival));
    }

    /// The node may not be in the directory, and why; said once.
    fn left_out(&mut self, why: Option<String>) {
        if let Some(why) = why.as_ref().filter(|why| self.left_out.as_ref() != Some(why)) {
            tracing::warn!("this node is not in the tree's directory, and no viewer is sent to it: {why}");
        }
        self.left_out = why;
    }

    /// What the whole tree is to know of the node, but for what flows.
    pub(super) fn entry(&self, status: &str) -> Entry {
        let standby = self.follower.view().standby.clone();
        let particulars = Particulars { standby, ..self.node.particulars() };
        Entry::new(&self.registration, status, self.parent.clone(), particulars)
    }

    /// Children that are sent to since a moment ago.
    fn new_children(&self) -> Vec<String> {
        let now = self.inbox.now();
        let new = self.begun.iter().filter(|(_, since)| now.saturating_sub(**since) < self.timing.new);
        new.map(|(id, _)| id.clone()).take(MOST_NEW).collect()
    }

    /// What the directory alone is told.
    fn passing(&self) -> (Option<Flow>, Vec<String>) {
        (self.flow, self.new_children())
    }

    /// Looks at what comes to the node. Others change what they do by its registration, and nothing by this: so the directory alone
    /// is told, and that nobody may write there is said with the next registration. Counting may take a while where streams are
    /// many, and no change of the tree waits for it: what was counted is taken up the next time.
    pub(super) async fn measure(&mut self, link: &mut Link, status: &str) -> Result<(), Failure> {
        let (node, epoch) = (self.node.clone(), self.inbox.epoch);
        let counting = async move { (node.received().await, epoch.elapsed()) };
        match self.counting.take() {
            Some(still) if !still.is_finished() => {
                self.counting = Some(still);
                return Ok(());
            }
            counted => {
                self.counting = Some(tokio::spawn(counting));
                let Some(Ok((received, at))) = counted.and_then(FutureExt::now_or_never) else {
                    return Ok(());
                };
                self.flow = received.and_then(|received| self.meter.read(received, at));
            }
        }
        let passing = self.passing();
        if passing == self.told_passing || !self.view.redis.registered || self.left_out.is_some() {
            return Ok(());
        }
        let entry = with_passing(self.entry(status), &passing).text();
        let (tree, id) = (self.registration.tree_id.clone(), self.registration.id.clone());
        let entering = script::enter(&mut link.commands, &tree, &id, &entry);
        match self.inbox.during(entering).await.map_err(|error| Failure::of(&link.address, error)) {
            Ok(()) => self.told_passing = passing,
            Err(failure) if failure.is_refusal() => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn own_place(&self) -> Place {
        Place { host: self.registration.host.clone(), ports: self.registration.media }
    }

    /// The node is to end. A registration that is another's stays.
    pub(super) async fn farewell(&mut self, link: &mut Link) -> Result<(), Failure> {
        if self.view.redis.taken.is_some() {
            return Ok(());
        }
        let leaving =
            script::unregister(&mut link.commands, &self.registration.tree_id, &self.registration.id);
        match leaving.await {
            Ok(()) => tracing::info!("registration taken back"),
            Err(error) => tracing::warn!("{}", Failure::of(&link.address, error)),
        }
        self.view.redis.registered = false;
        self.view.redis.connected = false;
        self.show();
        Ok(())
    }
}

fn with_passing(mut entry: Entry, (flow, new_children): &(Option<Flow>, Vec<String>)) -> Entry {
    entry.particulars.flow = *flow;
    entry.particulars.new_children.clone_from(new_children);
    entry
}

fn sentence(id: &str, rival: &str) -> String {
    format!(
        "another node, at {rival}, is called {id} as well, and refused; give it another name (--node-id, NODE_ID)"
    )
}
