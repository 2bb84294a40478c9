//! Whether media arrives: looked at four times a second; viewers and Redis are told what changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::contract::field::mountpoint as field;

use super::{Egress, locked};
use crate::activity::{Activity, Served};
use crate::lifecycle;
use crate::mountpoints::Mountpoint;
use crate::quality;
use crate::records::Record;

/// How often the streams' ages are judged.
const JUDGE_EVERY: Duration = Duration::from_millis(250);
/// The server is asked what it got once in so many times.
const ASK_EVERY: u32 = 4;
/// How viewers fare is looked at once in so many times.
const LOOK_EVERY: u32 = (quality::LOOK_EVERY.as_millis() / JUDGE_EVERY.as_millis()) as u32;

impl Egress {
    /// Watches, for ever.
    pub async fn keep_watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(JUDGE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for count in 0u32.. {
            ticks.tick().await;
            if count % ASK_EVERY == 0 {
                self.ask_server().await;
            }
            self.judge_all();
            if count % LOOK_EVERY == 0 {
                locked(&self.quality).look(self.server.figures(), Instant::now());
            }
        }
    }

    /// Asks the server what it got, and whether it still has all that it should.
    async fn ask_server(&self) {
        let made: Vec<(String, u64)> = {
            let books = self.books();
            let made = books.all().filter(|mountpoint| mountpoint.made);
            made.map(|mountpoint| (mountpoint.session.clone(), mountpoint.id)).collect()
        };
        if made.is_empty() || self.link.problem().is_some() {
            return;
        }
        let Some(there) = self.server.look().await else { return };
        for (session, id) in made.iter().filter(|(_, id)| !there.contains(id)) {
            let mut books = self.books();
            if books.get(session).is_some_and(|mountpoint| mountpoint.id == *id && mountpoint.made) {
                let name = self.server.name();
                tracing::warn!("{name} has lost mountpoint {id} of session {session}; it is made again");
                books.lost(session);
                self.wake.notify_one();
            }
        }
    }

    /// Judges all mountpoints, and tells viewers what has changed.
    pub(super) fn judge_all(&self) {
        self.media.look();
        self.media.look_at_keyframes();
        let standing = self.judge_place();
        let mountpoints: Vec<Mountpoint> = self.books().all().cloned().collect();
        let seen = mountpoints.iter().map(|mountpoint| (mountpoint.session.clone(), self.judge(mountpoint)));
        let waiting: Vec<String> = self.books().waiting().cloned().collect();
        let waiting = waiting.into_iter().map(|session| (session, lifecycle::waiting(&standing)));
        for (session, activity) in self.notices.observe(seen.chain(waiting).collect()) {
            tracing::info!("session {session}: {}", activity.reason.as_deref().unwrap_or("media arrives"));
        }
        // Not before viewers have been told.
        if self.books().release(standing.is_released()) {
            self.wake.notify_one();
        }
        self.publish();
    }

    /// Whether a mountpoint has something to show at this moment.
    pub(super) fn judge(&self, mountpoint: &Mountpoint) -> Activity {
        let served = self.served(mountpoint);
        let (ages, standing) = (self.media.ages(mountpoint), self.standing().borrow().clone());
        lifecycle::activity(&standing, ages, &served, self.server.name())
    }

    /// How a mountpoint stands with the server.
    pub(super) fn served(&self, mountpoint: &Mountpoint) -> Served {
        match self.link.problem() {
            Some(why) => Served::Gone(why),
            None if !mountpoint.made => {
                Served::Gone(format!("{} has no such mountpoint yet", self.server.name()))
            }
            None => Served::Has(self.server.ages(mountpoint.id)),
        }
    }

    /// Hands over what is to be in Redis.
    pub(super) fn publish(&self) {
        // What Redis has under this name is another node's.
        if self.tree.get().is_some_and(|tree| tree.view().borrow().redis.taken.is_some()) {
            return;
        }
        let mountpoints: Vec<Mountpoint> = self.books().all().cloned().collect();
        let records =
            mountpoints.iter().map(|mountpoint| (mountpoint.session.clone(), self.record(mountpoint)));
        let records: BTreeMap<String, Record> = records.collect();
        if let Some(sender) = &*locked(&self.records) {
            sender.send_if_modified(|sent| {
                let changed = *sent != records;
                if changed {
                    *sent = records;
                }
                changed
            });
        }
    }

    fn record(&self, mountpoint: &Mountpoint) -> Record {
        let mut fields = vec![
            (field::SESSION_ID, mountpoint.session.clone()),
            (field::MOUNTPOINT_ID, mountpoint.id.to_string()),
            (field::AUDIO_SSRC, mountpoint.ssrcs.audio.to_string()),
            (field::VIDEO_SSRC, mountpoint.ssrcs.video.to_string()),
            (field::EGRESS_NODE_ID, self.config.node.node_id.clone()),
            (field::TREE_ID, self.config.node.tree_id.clone()),
            (field::CREATED_AT, mountpoint.created.to_string()),
        ];
        if let Some(ports) = mountpoint.ports {
            fields.push((field::JANUS_AUDIO_PORT, ports.audio.to_string()));
            fields.push((field::JANUS_VIDEO_PORT, ports.video.to_string()));
        }
        let active = self.notices.is_active(&mountpoint.session);
        Record { session: mountpoint.session.clone(), fields, active }
    }
}
