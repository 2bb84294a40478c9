//! While connected: looks, registers and listens.
//!
//! From a message to the look that answers it nothing else is waited for: that is what an operator feels.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Follows;
use super::keeper::Keeper;
use super::sweeping;
use crate::addresses;
use crate::contract::key;
use crate::record::Place;
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::pulse::{self, Beat};
use crate::redis::script::{self, Hash};
use crate::sessions::SessionChange;
use crate::sessions::follow::Look;
use crate::topology::{ChildChange, Heard, Snapshot};

impl<F: Follows> Keeper<F> {
    /// Until the connection breaks. `Ok`: the node is to end.
    pub(super) async fn serve(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.heard.clear();
        self.unheard = None;
        self.standby_unread = None;
        self.inbox.written.clear();
        self.inbox.news.clear();
        // What was missed meanwhile is read at once.
        self.sessions.hurry();
        self.rewrite_at = Instant::now();
        self.listen(link).await?;
        self.look(link).await?;
        // Not before the look, which has to see what was there; and unless that has found nothing and done it.
        if self.rewrite_at <= Instant::now() {
            self.register(link).await?;
        }
        self.look_at_sessions(link).await?;
        let sentinels = self.connector.sentinels.clone().map(|sentinels| (sentinels, self.timing.sentinel));
        let times = [self.timing.pulse, self.timing.ttl];
        let mut beats = pulse::feel(link, [&self.registration.id, &self.instance], times, sentinels);
        let mut swept = sweeping::begin(link, self.sweeper.clone(), self.shown());
        loop {
            if self.inbox.is_over() {
                return self.farewell(link).await;
            }
            if self.inbox.deaf {
                let why = "it was closed at the other end".to_owned();
                return Err(Failure::Lost { address: link.address.clone(), why });
            }
            if self.next_step(link).await? {
                continue;
            }
            let wake = tokio::time::Instant::from_std(self.wake_at());
            tokio::select! {
                () = self.inbox.next() => {}
                Some(beat) = beats.recv() => self.felt(link, beat).await?,
                Some(turn) = swept.recv() => self.swept(turn),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Does what is most urgent of what is due. `false`: nothing is.
    async fn next_step(&mut self, link: &mut Link) -> Result<bool, Failure> {
        let (now, instant) = (self.inbox.now(), Instant::now());
        let due = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        if due(self.inbox.topology.due())
            || due(self.follower.due())
            || !self.inbox.refreshers.is_empty()
            || self.reread_at <= instant
        {
            if self.reread_at <= instant {
                self.inbox.sessions.ask(now);
            }
            if !self.inbox.refreshers.is_empty() {
                // Whoever asked is answered by the look that follows, and means the sessions as well.
                self.sessions.hurry();
                self.look_at_sessions(link).await?;
            }
            self.look(link).await?;
        } else if !self.inbox.news.is_empty() {
            let changes = self.take_news();
            self.tell(changes).await;
        } else if !self.inbox.written.is_empty() {
            self.compare(link).await?;
        } else if self.inbox.registration.is_some() || self.inbox.is_stale || self.rewrite_at <= instant {
            self.register(link).await?;
        } else if self.session_looks().into_iter().any(due) {
            self.look_at_sessions(link).await?;
        } else if self.notify_at <= instant {
            self.notifications(link).await?;
            self.show();
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn wake_at(&self) -> Instant {
        let paced = [self.inbox.topology.due(), self.follower.due()].into_iter().chain(self.session_looks());
        let paced = paced.flatten().map(|due| self.inbox.epoch + due);
        let fixed = self.reread_at.min(self.rewrite_at).min(self.notify_at);
        paced.fold(fixed, Instant::min)
    }

    /// One look at the topology, and what follows from it.
    async fn look(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.inbox.sweep();
        // Those who ask from now on want another look.
        let refreshers = std::mem::take(&mut self.inbox.refreshers);
        let result = self.look_and_carry_out(link).await;
        for refresher in refreshers {
            let _ = refresher.send(result.as_ref().map(|_| ()).map_err(Failure::to_string));
        }
        let registered = result?;
        self.listen_to_relatives(link).await?;
        if !registered {
            self.register(link).await?;
        }
        Ok(())
    }

    /// Gives whether our registration is there.
    async fn look_and_carry_out(&mut self, link: &mut Link) -> Result<bool, Failure> {
        let started = self.inbox.now();
        let seen = self.inbox.epoch + self.inbox.topology.look(started).unwrap_or(started);
        let (snapshot, have) = self.read(link).await;
        let mut snapshot = snapshot?;
        if !self.view.redis.connected {
            self.connected(&link.address);
        }
        // Written again before we saw that it was gone: the rest is gone as well.
        let there = snapshot.registered;
        snapshot.registered &= !std::mem::take(&mut self.lost);
        self.known.clone_from(&snapshot.children);
        // The whole tree is to know at once: somebody may wait for it.
        self.inbox.is_stale |= self.parent != snapshot.parent;
        self.parent.clone_from(&snapshot.parent);
        self.origin.clone_from(&snapshot.origin);
        self.standby.clone_from(&snapshot.standby);
        let now = self.inbox.now();
        let changes = self.follower.observe(snapshot, &have, now);
        self.inbox.is_stale |= self.view.topology.standby != self.follower.view().standby;
        if self.follower.lost() {
            self.view.redis.losses += 1;
            if self.sessions.lost(now) {
                tracing::error!(
                    "Redis has lost its data; sessions that vanished with it are kept for the grace"
                );
            }
            self.inbox.sessions.ask(now);
        }
        let upstream = self.follower.upstream().clone();
        if self.told.as_ref() != Some(&upstream) {
            self.inbox.during(self.node.upstream(upstream.clone())).await;
            self.told = Some(upstream);
        }
        if !changes.is_empty() {
            self.begins(&changes, now);
            self.inbox.during(self.node.carry_out(changes, seen)).await;
        }
        let every = if self.view.redis.notifications { self.timing.reread } else { self.timing.poll };
        self.reread_at = Instant::now() + every;
        self.believed = there;
        self.looked(there);
        Ok(there)
    }

    /// Reads what Redis says, and asks the node what it has. A user that was made for an older version may not read who stands by: the
    /// rest is followed all the same.
    async fn read(&mut self, link: &mut Link) -> (Result<Snapshot, Failure>, BTreeMap<String, Place>) {
        let (id, node) = (self.registration.id.clone(), self.node.clone());
        let standby = self.standby_unread.is_none();
        let reading = async { tokio::join!(script::snapshot(&mut link.commands, &id, standby), node.have()) };
        let (snapshot, have) = self.inbox.during(reading).await;
        let refused = match snapshot.map_err(|error| Failure::of(&link.address, error)) {
            Err(failure @ Failure::NotAllowed { .. }) if standby => failure,
            snapshot => return (snapshot, have),
        };
        let again = self.inbox.during(script::snapshot(&mut link.commands, &id, false)).await;
        if again.is_ok() {
            let why = format!("who stands by is not known ({}): {refused}", key::standby(&id));
            tracing::warn!("{why}");
            self.standby_unread = Some(why);
        }
        (again.map_err(|error| Failure::of(&link.address, error)), have)
    }

    /// Remembers which children are sent to from now on: what they missed before is not to look lost.
    fn begins(&mut self, changes: &[ChildChange], now: Duration) {
        self.begun.retain(|_, since| now.saturating_sub(*since) < self.timing.new);
        for change in changes {
            if let ChildChange::Add { id, .. } | ChildChange::Move { id, .. } = change {
                self.begun.insert(id.clone(), now);
            }
        }
    }

    fn looked(&mut self, there: bool) {
        let topology = self.follower.view().clone();
        if self.view.topology.held.is_empty() && !topology.held.is_empty() {
            tracing::error!(
                children = topology.held.join(" "),
                "Redis has lost its data; children that vanished with it are kept for the grace"
            );
        }
        if !self.view.topology.held.is_empty() && topology.held.is_empty() {
            tracing::warn!(
                children = topology.children.join(" "),
                "the grace is over: no child is held any more, and Redis is followed again"
            );
        }
        self.view.topology = topology;
        let redis = &mut self.view.redis;
        redis.standby_problem.clone_from(&self.standby_unread);
        redis.looks += 1;
        redis.looked = Some(Instant::now());
        redis.registered &= there;
        self.show();
    }

    fn connected(&mut self, address: &str) {
        tracing::info!(address, "connected to Redis");
        let redis = &mut self.view.redis;
        if self.connector.sentinels.is_some() {
            redis.server = format!("{}, now {address}", self.connector.server());
        }
        redis.problem = None;
        redis.reconnects += u64::from(std::mem::replace(&mut self.was_connected, true));
        redis.connected = true;
        self.show();
    }

    /// Sees whether children, or the parent, whose hash was written are elsewhere now: most only say that they still live.
    async fn compare(&mut self, link: &mut Link) -> Result<(), Failure> {
        let mut written = std::mem::take(&mut self.inbox.written);
        // Those that were taken out meanwhile are none of our business.
        written.retain(|id, _| self.known.contains_key(id) || self.parent_heard(id).is_some());
        // One that is waited for needs no comparison.
        let waited = written.iter().filter(|(id, _)| self.waits_for(id));
        if let Some(at) = waited.map(|(_, at)| *at).min() {
            self.inbox.events += 1;
            self.inbox.topology.ask(at);
            return Ok(());
        }
        self.compare_with(link, &written).await
    }

    fn waits_for(&self, id: &String) -> bool {
        let child = self.known.get(id).is_some_and(|registered| !matches!(registered, Ok(Some(_))));
        child || self.parent_heard(id).is_some_and(|heard| !matches!(heard, Some(Ok(_))))
    }

    /// What the last look found of a parent or a standby parent.
    fn parent_heard(&self, id: &String) -> Option<&Heard> {
        let is_parent = self.parent.as_ref() == Some(id);
        if is_parent { Some(&self.origin) } else { self.standby.get(id) }
    }

    /// Reads the hashes of some children, or of the parent, and asks for a look if one is not as the last look found it.
    pub(super) async fn compare_with(
        &mut self,
        link: &mut Link,
        written: &BTreeMap<String, Duration>,
    ) -> Result<(), Failure> {
        if written.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = written.keys().cloned().collect();
        let reading = script::hashes(&mut link.commands, &ids);
        let now = self.inbox.during(reading).await.map_err(|error| Failure::of(&link.address, error))?;
        let changed =
            written.iter().filter(|(id, _)| now.get(*id).is_some_and(|hash| self.differs(id, hash)));
        if let Some(at) = changed.map(|(_, at)| *at).min() {
            self.inbox.events += 1;
            self.inbox.topology.ask(at);
        }
        Ok(())
    }

    fn differs(&self, id: &String, hash: &Hash) -> bool {
        let child = self.known.get(id).is_some_and(|known| *known != script::registered_of(hash));
        child || self.parent_heard(id).is_some_and(|heard| *heard != script::origin(hash))
    }

    /// When the sessions are to be looked at, for each reason that there may be.
    fn session_looks(&self) -> [Option<Duration>; 3] {
        [self.inbox.sessions.due(), self.inbox.ledger.due(), self.sessions.due()]
    }

    /// Hands over what events said.
    fn take_news(&mut self) -> Vec<SessionChange> {
        let now = self.inbox.now();
        for id in std::mem::take(&mut self.inbox.named) {
            self.sessions.hear_of(id);
        }
        let news = std::mem::take(&mut self.inbox.news);
        news.into_iter().flat_map(|news| self.sessions.hear(news, now)).collect()
    }

    async fn tell(&mut self, changes: Vec<SessionChange>) {
        if !changes.is_empty() {
            self.inbox.during(self.node.sessions(changes)).await;
        }
    }

    async fn look_at_sessions(&mut self, link: &mut Link) -> Result<(), Failure> {
        let now = self.inbox.now();
        self.inbox.sessions.look(now);
        self.inbox.ledger.settle();
        let heard = self.take_news();
        self.tell(heard).await;
        let held = self.sessions.holds();
        let reading = async {
            let tree = &self.registration.tree_id;
            let names = script::session_names(&mut link.commands, tree).await?;
            let index = match self.sessions.wants_index(&names, now) {
                true => Some(script::session_index(&mut link.commands, tree).await?),
                false => None,
            };
            let wanted = self.sessions.wanted(&names, index.as_ref());
            let hashes = script::session_hashes(&mut link.commands, &wanted).await?;
            Ok(Look { names, index, hashes })
        };
        let look = self.inbox.during(reading).await.map_err(|error| Failure::of(&link.address, error))?;
        let (changes, odd) = self.sessions.observe(look, self.inbox.now());
        if held && !self.sessions.holds() {
            tracing::warn!("the grace is over: no session is held any more, and Redis is followed again");
        }
        for (id, why) in odd {
            let id: String = id.chars().take(80).flat_map(char::escape_debug).collect();
            tracing::warn!("session {id} is not taken: {why}; mend the hash {}", key::session(&id));
        }
        if let Some(changes) = changes {
            self.inbox.during(self.node.sessions(changes)).await;
        }
        Ok(())
    }

    async fn felt(&mut self, link: &mut Link, beat: Beat) -> Result<(), Failure> {
        match beat {
            Beat::Gone(failure) => return Err(failure),
            Beat::Alive(standing) => {
                if self.believed && !standing.registered {
                    let now = self.inbox.now();
                    self.inbox.topology.ask(now);
                }
                if standing.disturbed {
                    self.rewrite_at = Instant::now();
                }
            }
        }
        // Whoever reads the registration learns soon that the node is ill, or well again, or has another address.
        let status = self.inbox.during(self.node.health()).await;
        let written = status == self.status
            && addresses::own() == self.addresses
            && self.entry(&status).text() == self.entry;
        if !written && self.view.redis.registered {
            self.rewrite_at = Instant::now();
        }
        self.measure(link, &status).await
    }
}
