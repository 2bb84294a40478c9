//! The node's own registration: written, kept alive, and taken back.

use std::time::Instant;

use super::Follows;
use super::keeper::Keeper;
use crate::addresses;
use crate::record::Registration;
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::script;

impl<F: Follows> Keeper<F> {
    /// Writes the registration. Being refused is a problem, but reading goes on.
    pub(super) async fn register(&mut self, link: &mut Link) -> Result<(), Failure> {
        if let Some(registration) = self.inbox.registration.take() {
            // The name is in every key and channel: it stays.
            let id = std::mem::take(&mut self.registration.id);
            self.registration = Registration { id, ..registration };
        }
        let status = self.inbox.during(self.node.health()).await;
        let addresses = addresses::own();
        let fields = self.registration.fields(&status, &addresses);
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
                self.addresses = addresses;
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
                self.rewrite_at = Instant::now() + self.timing.pulse.min(self.timing.rewrite);
            }
            Err(failure) => return Err(failure),
        }
        self.show();
        Ok(())
    }

    /// The node is to end.
    pub(super) async fn farewell(&mut self, link: &mut Link) -> Result<(), Failure> {
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
