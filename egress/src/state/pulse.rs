//! Whether media arrives: looked at twice a second; viewers and Redis are told what changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use node::contract::field::mountpoint as field;
use node::media::PerKind;

use super::{Egress, locked};
use crate::activity::{self, Activity, Janus, Stream};
use crate::mountpoints::Mountpoint;
use crate::records::Record;

/// How often.
const LOOK: Duration = Duration::from_millis(500);
/// Janus is asked every so many looks.
const ASK: u32 = 2;

impl Egress {
    /// Watches, for ever.
    pub async fn keep_watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for count in 0u32.. {
            ticks.tick().await;
            if count % ASK == 0 {
                self.ask_janus().await;
            }
            self.look();
        }
    }

    /// Asks Janus what it got, and whether it still has all that it should.
    async fn ask_janus(&self) {
        let made: Vec<(String, u64)> = {
            let books = self.books();
            let made = books.all().filter(|mountpoint| mountpoint.made);
            made.map(|mountpoint| (mountpoint.session.clone(), mountpoint.id)).collect()
        };
        let Ok(streaming) = self.janus() else { return };
        if made.is_empty() {
            return;
        }
        let Ok(list) = streaming.list().await else { return };
        for (session, id) in made.iter().filter(|(_, id)| !list.contains_key(id)) {
            let mut books = self.books();
            if books.get(session).is_some_and(|mountpoint| mountpoint.id == *id && mountpoint.made) {
                tracing::warn!("Janus has lost mountpoint {id} of session {session}; it is made again");
                books.lost(session);
                self.wake.notify_one();
            }
        }
        *locked(&self.ages) = list;
    }

    /// Judges all mountpoints, and tells what has changed.
    pub(super) fn look(&self) {
        let mountpoints: Vec<Mountpoint> = self.books().all().cloned().collect();
        let mut said = Vec::new();
        {
            let mut known = locked(&self.activity);
            let now: BTreeMap<String, Activity> = mountpoints
                .iter()
                .map(|mountpoint| (mountpoint.session.clone(), self.judge(mountpoint)))
                .collect();
            for (session, activity) in &now {
                let was = known.get(session).is_some_and(|activity| activity.active);
                match (was, activity.active) {
                    (false, true) => said.push((session.clone(), "back", None)),
                    (true, false) => said.push((session.clone(), "stalled", activity.reason.clone())),
                    _ => {}
                }
            }
            *known = now;
        }
        for (session, kind, reason) in said {
            tracing::info!("session {session}: {}", reason.as_deref().unwrap_or("media arrives"));
            self.say(&session, kind, reason);
        }
        self.publish();
    }

    /// How it stands with a mountpoint, at this moment.
    pub(super) fn judge(&self, mountpoint: &Mountpoint) -> Activity {
        let now = self.started.elapsed();
        let streams = PerKind::from_fn(|kind| {
            let ssrc = mountpoint.ssrcs[kind];
            let route = self.lane(kind).routes().get(ssrc);
            Stream { ssrc, age: route.and_then(|route| route.age(now)) }
        });
        let janus = match self.janus() {
            Err(why) => Janus::Gone(why),
            Ok(_) if !mountpoint.made => Janus::Gone("Janus has no such mountpoint yet".to_owned()),
            Ok(_) => Janus::Has(locked(&self.ages).get(&mountpoint.id).copied().unwrap_or_default()),
        };
        activity::judge(streams, &janus)
    }

    /// Hands over what is to be in Redis.
    pub(super) fn publish(&self) {
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
        let fields = vec![
            (field::SESSION_ID, mountpoint.session.clone()),
            (field::MOUNTPOINT_ID, mountpoint.id.to_string()),
            (field::AUDIO_SSRC, mountpoint.ssrcs.audio.to_string()),
            (field::VIDEO_SSRC, mountpoint.ssrcs.video.to_string()),
            (field::JANUS_AUDIO_PORT, mountpoint.ports.audio.to_string()),
            (field::JANUS_VIDEO_PORT, mountpoint.ports.video.to_string()),
            (field::EGRESS_NODE_ID, self.config.node.node_id.clone()),
            (field::TREE_ID, self.config.node.tree_id.clone()),
            (field::CREATED_AT, mountpoint.created.to_string()),
        ];
        let active = locked(&self.activity).get(&mountpoint.session).is_some_and(|activity| activity.active);
        Record { session: mountpoint.session.clone(), fields, active }
    }
}
