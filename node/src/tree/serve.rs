//! While connected: looks, registers and listens.
//!
//! From a message to the look that answers it nothing else is waited for: that is what an operator feels.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult};
use tokio::time::timeout;

use super::Follows;
use super::keeper::Keeper;
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::pulse::{self, Beat};
use crate::redis::{notify, script};
use crate::sessions;

impl<F: Follows> Keeper<F> {
    /// Until the connection breaks. `Ok`: the node is to end.
    pub(super) async fn serve(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.heard.clear();
        self.unheard = None;
        self.inbox.written.clear();
        self.listen(link).await?;
        self.look(link).await?;
        self.register(link).await?;
        self.look_at_sessions(link).await?;
        let sentinels = self.connector.sentinels.clone().map(|sentinels| (sentinels, self.timing.sentinel));
        let mut beats = pulse::feel(link, &self.registration.id, self.timing.pulse, sentinels);
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
                Some(beat) = beats.recv() => self.felt(beat).await?,
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
            self.look(link).await?;
        } else if !self.inbox.written.is_empty() {
            self.compare(link).await?;
        } else if self.inbox.registration.is_some() || self.rewrite_at <= instant {
            self.register(link).await?;
        } else if due(self.inbox.sessions.due()) {
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
        let paced = [self.inbox.topology.due(), self.inbox.sessions.due(), self.follower.due()];
        let paced = paced.into_iter().flatten().map(|due| self.inbox.epoch + due);
        let fixed = self.reread_at.min(self.rewrite_at).min(self.notify_at);
        paced.fold(fixed, Instant::min)
    }

    /// One look at the topology, and what follows from it.
    async fn look(&mut self, link: &mut Link) -> Result<(), Failure> {
        // Those who ask from now on want another look.
        let refreshers = std::mem::take(&mut self.inbox.refreshers);
        let result = self.look_and_carry_out(link).await;
        for refresher in refreshers {
            let _ = refresher.send(result.as_ref().map(|_| ()).map_err(Failure::to_string));
        }
        let registered = result?;
        self.listen_to_children(link).await?;
        if !registered {
            self.register(link).await?;
        }
        Ok(())
    }

    /// Gives whether our registration is there.
    async fn look_and_carry_out(&mut self, link: &mut Link) -> Result<bool, Failure> {
        let started = self.inbox.now();
        let seen = self.inbox.epoch + self.inbox.topology.look(started).unwrap_or(started);
        let reading = async {
            tokio::join!(script::snapshot(&mut link.commands, &self.registration.id), self.node.have())
        };
        let (snapshot, have) = self.inbox.during(reading).await;
        let mut snapshot = snapshot.map_err(|error| Failure::of(&link.address, error))?;
        if !self.view.redis.connected {
            self.connected();
        }
        // Written again before we saw that it was gone: the rest is gone as well.
        let there = snapshot.registered;
        snapshot.registered &= !std::mem::take(&mut self.lost);
        self.known.clone_from(&snapshot.children);
        let commands = self.follower.observe(snapshot, &have, self.inbox.now());
        if !commands.is_empty() {
            self.inbox.during(self.node.carry_out(commands, seen)).await;
        }
        let every = if self.view.redis.notifications { self.timing.reread } else { self.timing.poll };
        self.reread_at = Instant::now() + every;
        self.believed = there;
        self.looked(there);
        Ok(there)
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
                "nothing is held any more; Redis is obeyed"
            );
        }
        self.view.topology = topology;
        let redis = &mut self.view.redis;
        redis.looks += 1;
        redis.registered &= there;
        self.show();
    }

    fn connected(&mut self) {
        let redis = &mut self.view.redis;
        tracing::info!(server = redis.server, "connected to Redis");
        redis.problem = None;
        redis.reconnects += u64::from(std::mem::replace(&mut self.was_connected, true));
        redis.connected = true;
        self.show();
    }

    /// Sees whether children whose hash was written are elsewhere now: most only say that they still live.
    async fn compare(&mut self, link: &mut Link) -> Result<(), Failure> {
        let written = std::mem::take(&mut self.inbox.written);
        // One that is waited for needs no comparison.
        let (placed, waited): (Vec<_>, Vec<_>) =
            written.into_iter().partition(|(id, _)| matches!(self.known.get(id), Some(Ok(Some(_)))));
        let mut asked = waited.into_iter().map(|(_, at)| at).min();
        if asked.is_none() {
            let ids: Vec<String> = placed.iter().map(|(id, _)| id.clone()).collect();
            let reading = script::children(&mut link.commands, &ids);
            let now = self.inbox.during(reading).await.map_err(|error| Failure::of(&link.address, error))?;
            let changed = placed.iter().filter(|(id, _)| now.get(id) != self.known.get(id));
            asked = changed.map(|(_, at)| *at).min();
        }
        if let Some(at) = asked {
            self.inbox.events += 1;
            self.inbox.topology.ask(at);
        }
        Ok(())
    }

    async fn look_at_sessions(&mut self, link: &mut Link) -> Result<(), Failure> {
        let now = self.inbox.now();
        self.inbox.sessions.look(now);
        let rows = self.inbox.during(script::sessions(&mut link.commands)).await;
        let rows = rows.map_err(|error| Failure::of(&link.address, error))?;
        let (sessions, odd) = sessions::of_tree(rows, &self.registration.tree_id);
        if !odd.is_empty() {
            tracing::debug!(sessions = odd.join(" "), "sessions without SSRCs");
        }
        if self.sessions.as_ref() != Some(&sessions) {
            self.sessions = Some(sessions.clone());
            self.inbox.during(self.node.sessions(sessions)).await;
        }
        Ok(())
    }

    /// Writes the registration. Being refused is a problem, but reading goes on.
    async fn register(&mut self, link: &mut Link) -> Result<(), Failure> {
        if let Some(registration) = self.inbox.registration.take() {
            // The name is in every key and channel: it stays.
            let id = std::mem::take(&mut self.registration.id);
            self.registration = crate::record::Registration { id, ..registration };
        }
        let status = self.inbox.during(self.node.health()).await;
        let fields = self.registration.fields(&status);
        let writing = script::register(&mut link.commands, &self.registration.id, &fields, self.timing.ttl);
        match self.inbox.during(writing).await.map_err(|error| Failure::of(&link.address, error)) {
            Ok(existed) => {
                if self.believed && !existed {
                    self.lost = true;
                    let now = self.inbox.now();
                    self.inbox.topology.ask(now);
                }
                self.believed = true;
                self.status = status;
                self.follower.registered();
                self.view.redis.registered = true;
                self.view.redis.problem = None;
                self.rewrite_at = Instant::now() + self.timing.rewrite;
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
                self.rewrite_at = Instant::now() + self.timing.pulse.min(self.timing.rewrite);
            }
            Err(failure) => return Err(failure),
        }
        self.show();
        Ok(())
    }

    async fn felt(&mut self, beat: Beat) -> Result<(), Failure> {
        match beat {
            Beat::Gone(failure) => return Err(failure),
            Beat::Alive { registered } => {
                if self.believed && !registered {
                    let now = self.inbox.now();
                    self.inbox.topology.ask(now);
                }
            }
        }
        // Whoever reads the registration learns soon that the node is ill, or well again.
        let status = self.inbox.during(self.node.health()).await;
        if status != self.status && self.view.redis.registered {
            self.rewrite_at = Instant::now();
        }
        Ok(())
    }

    /// Subscribes to everything but the children.
    async fn listen(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.notifications(link).await?;
        for channels in [self.inbox.channels.published(), self.inbox.channels.own_keys()] {
            let subscribed = self.inbox.during(subscribe(link, &channels)).await;
            self.listening(link, subscribed)?;
        }
        Ok(())
    }

    /// Subscribes to the registrations of the children in the set, and to no others.
    async fn listen_to_children(&mut self, link: &mut Link) -> Result<(), Failure> {
        let own = &self.registration.id;
        let wanted: BTreeSet<String> = self.known.keys().filter(|id| *id != own).cloned().collect();
        let channels =
            |ids: &[String]| -> Vec<String> { ids.iter().map(|id| self.inbox.channels.child(id)).collect() };
        let gone: Vec<String> = self.heard.difference(&wanted).cloned().collect();
        let new: Vec<String> = wanted.difference(&self.heard).cloned().collect();
        let (gone, come) = (channels(&gone), channels(&new));
        self.heard = wanted;
        if !gone.is_empty() {
            let unsubscribed = self.inbox.during(unsubscribe(link, &gone)).await;
            self.listening(link, unsubscribed)?;
        }
        if !come.is_empty() {
            let subscribed = self.inbox.during(subscribe(link, &come)).await;
            self.listening(link, subscribed)?;
            // What was written after the look and before the subscription told nobody.
            let now = self.inbox.now();
            for id in new {
                self.inbox.written.entry(id).or_insert(now);
            }
        }
        Ok(())
    }

    /// A user who may not listen is no reason not to read.
    fn listening(&mut self, link: &Link, result: RedisResult<()>) -> Result<(), Failure> {
        match result.map_err(|error| Failure::of(&link.address, error)) {
            Ok(()) => Ok(()),
            Err(Failure::NotAllowed { why, .. }) => {
                let sentence = notify::cannot_listen(&why);
                self.unheard = Some(sentence.clone());
                self.unnotified(sentence);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Has keyspace notifications turned on, again if somebody has turned them off.
    async fn notifications(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.notify_at = Instant::now() + self.timing.reread;
        let ensuring = notify::ensure(&mut link.commands);
        match self.inbox.during(ensuring).await {
            // Turned on, but we may not listen.
            Ok(None) if self.unheard.is_some() => {}
            Ok(None) => {
                self.view.redis.notifications = true;
                self.view.redis.notifications_problem = None;
            }
            Ok(Some(why)) => self.unnotified(notify::cannot_turn_on(&why)),
            Err(error) => match Failure::of(&link.address, error) {
                Failure::NotAllowed { why, .. } | Failure::Other { why, .. } => {
                    self.unnotified(notify::cannot_turn_on(&why));
                }
                failure => return Err(failure),
            },
        }
        Ok(())
    }

    fn unnotified(&mut self, sentence: String) {
        let redis = &mut self.view.redis;
        if redis.notifications_problem.as_ref() != Some(&sentence) {
            tracing::warn!("{sentence}");
        }
        redis.notifications = false;
        redis.notifications_problem = Some(sentence);
    }

    async fn farewell(&mut self, link: &mut Link) -> Result<(), Failure> {
        let leaving = script::unregister(&mut link.commands, &self.registration.id);
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

async fn subscribe(link: &mut Link, channels: &[String]) -> RedisResult<()> {
    within(link.answer, link.sink.subscribe(channels)).await
}

async fn unsubscribe(link: &mut Link, channels: &[String]) -> RedisResult<()> {
    within(link.answer, link.sink.unsubscribe(channels)).await
}

async fn within(answer: Duration, work: impl Future<Output = RedisResult<()>>) -> RedisResult<()> {
    let silent = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(answer, work).await.unwrap_or_else(|_| Err(silent()))
}
