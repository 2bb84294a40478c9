//! What is listened to: events that others publish, and what the server itself says about keys.

use std::collections::BTreeSet;
use std::time::Instant;

use redis::RedisResult;

use super::Follows;
use super::keeper::Keeper;
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::notify::{self, Setting};

impl<F: Follows> Keeper<F> {
    /// Subscribes to everything but the children and the parent.
    pub(super) async fn listen(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.notifications(link).await?;
        let (published, keys) = (self.inbox.channels.published(), self.inbox.channels.own_keys());
        let subscribed = self.inbox.during(link.ears.subscribe(&published)).await;
        self.listening(link, subscribed)?;
        let subscribed = self.inbox.during(link.ears.subscribe_to_keys(&keys)).await;
        self.listening(link, subscribed)?;
        Ok(())
    }

    /// Subscribes to the registrations of the children in the set and of the parents, and to no others.
    pub(super) async fn listen_to_relatives(&mut self, link: &mut Link) -> Result<(), Failure> {
        let own = &self.registration.id;
        let relatives = self.known.keys().chain(&self.parent).chain(self.standby.keys());
        let wanted: BTreeSet<String> = relatives.filter(|id| *id != own).cloned().collect();
        let channels = |ids: &[String]| -> Vec<String> {
            ids.iter().map(|id| self.inbox.channels.relative(id)).collect()
        };
        let gone: Vec<String> = self.heard.difference(&wanted).cloned().collect();
        let new: Vec<String> = wanted.difference(&self.heard).cloned().collect();
        let (gone, come) = (channels(&gone), channels(&new));
        self.heard = wanted;
        if !gone.is_empty() {
            let unsubscribed = self.inbox.during(link.ears.unsubscribe_from_keys(&gone)).await;
            self.listening(link, unsubscribed)?;
        }
        if !come.is_empty() {
            let subscribed = self.inbox.during(link.ears.subscribe_to_keys(&come)).await;
            self.listening(link, subscribed)?;
            // What was written after the look and before the subscription told nobody.
            let now = self.inbox.now();
            self.compare_with(link, &new.into_iter().map(|id| (id, now)).collect()).await?;
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
    pub(super) async fn notifications(&mut self, link: &mut Link) -> Result<(), Failure> {
        self.notify_at = Instant::now() + self.timing.reread;
        let mut servers = link.commands.servers();
        match self.inbox.during(notify::ensure(&mut servers)).await {
            // Turned on, but we may not listen.
            Ok(Setting::WasOn | Setting::TurnedOn) if self.unheard.is_some() => {}
            Ok(setting @ (Setting::WasOn | Setting::TurnedOn)) => {
                self.view.redis.notifications = true;
                self.view.redis.notifications_problem = None;
                if setting == Setting::TurnedOn {
                    // What happened while they were off told nobody.
                    let now = self.inbox.now();
                    self.inbox.topology.ask(now);
                }
            }
            Ok(Setting::StaysOff(why)) => self.unnotified(notify::cannot_turn_on(&why)),
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
        self.reread_at = self.reread_at.min(Instant::now() + self.timing.poll);
    }
}
