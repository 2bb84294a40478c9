//! What viewers of a session are told, in the order in which it happens: it has started, its media stalls and is back, it has ended.
//!
//! One lock orders all of it. A session that has ended says nothing more until it starts again, whatever is still seen of it
//! while its mountpoint is taken down.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use node::webhook::Webhooks;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast;

use crate::activity::Activity;

/// Notices that a slow reader may be behind.
const BACKLOG: usize = 64;

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It can be watched.
    Started,
    /// No media arrives any more.
    Stalled,
    /// Media arrives (again).
    Back,
    /// It cannot be watched any more.
    Ended,
}

impl Happened {
    /// The name of the event in `GET /events`.
    pub fn name(self) -> &'static str {
        match self {
            Happened::Started => "started",
            Happened::Stalled => "stalled",
            Happened::Back => "back",
            Happened::Ended => "ended",
        }
    }
}

/// One event of `GET /events`. Viewers read it, so there is nothing in it that only an operator understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Session.
    pub session_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub happened: Happened,
    /// It stalls because this node is cut off from its tree: elsewhere it may go on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// All who are told would come at once: each is to wait for a while that it draws from 0 to so many ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_ms: Option<u64>,
}

/// How long a listener more makes the joins of all, when a session has started; and the longest.
const SPREAD_EACH: u64 = 5;
const SPREAD_MOST: u64 = 15_000;

/// Sessions that can be watched, and whoever listens to what becomes of them.
pub struct Notices {
    /// How each was seen last.
    sessions: Mutex<BTreeMap<String, Activity>>,
    listeners: broadcast::Sender<Notice>,
    /// Who is told besides viewers.
    webhooks: Webhooks,
}

impl Default for Notices {
    fn default() -> Self {
        Notices::new(Webhooks::default())
    }
}

impl Notices {
    /// Told to viewers, and by webhooks.
    pub fn new(webhooks: Webhooks) -> Notices {
        Notices { sessions: Mutex::default(), listeners: broadcast::Sender::new(BACKLOG), webhooks }
    }

    /// All notices from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.listeners.subscribe()
    }

    /// A session can be watched from now on, or again after Janus had lost it.
    pub fn start(&self, session: &str) {
        let mut sessions = self.known();
        sessions.entry(session.to_owned()).or_default().cut_off = false;
        self.tell(session, Happened::Started, false);
    }

    /// A session has ended. Nothing that is seen of it from now on counts.
    pub fn end(&self, session: &str) {
        let mut sessions = self.known();
        if sessions.remove(session).is_some() {
            self.tell(session, Happened::Ended, false);
        }
    }

    /// How sessions are seen now. Gives those whose media has come back or stalled, or stalls for another reason, which viewers are
    /// told.
    pub fn observe(&self, seen: Vec<(String, Activity)>) -> Vec<(String, Activity)> {
        let mut sessions = self.known();
        let mut changed = Vec::new();
        for (session, activity) in seen {
            let Some(known) = sessions.get_mut(&session) else { continue };
            let was = std::mem::replace(known, activity.clone());
            if (was.active, was.cut_off) != (activity.active, activity.cut_off) {
                let happened = if activity.active { Happened::Back } else { Happened::Stalled };
                self.tell(&session, happened, activity.cut_off);
                changed.push((session, activity));
            }
        }
        changed
    }

    /// Those that have started and not ended.
    pub fn sessions(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    /// Whether it has started and not ended.
    pub fn is_on(&self, session: &str) -> bool {
        self.known().contains_key(session)
    }

    /// Whether its media arrived when it was seen last.
    pub fn is_active(&self, session: &str) -> bool {
        self.known().get(session).is_some_and(|activity| activity.active)
    }

    /// Whether it was seen last that it has no media because this node is cut off.
    pub fn is_cut_off(&self, session: &str) -> bool {
        self.known().get(session).is_some_and(|activity| activity.cut_off)
    }

    /// How many have media.
    pub fn active(&self) -> usize {
        self.known().values().filter(|activity| activity.active).count()
    }

    /// Called with the lock held: what is told is told in order.
    fn tell(&self, session: &str, happened: Happened, cut_off: bool) {
        let kind = format!("session.{}", happened.name());
        let mut data = json!({ "sessionId": session });
        if cut_off {
            data["cutOff"] = true.into();
        }
        self.webhooks.tell(&kind, data);
        let listeners = self.listeners.receiver_count() as u64;
        let spread_ms = (happened == Happened::Started).then(|| (listeners * SPREAD_EACH).min(SPREAD_MOST));
        // Nobody listens: nobody is to be told.
        let session_id = session.to_owned();
        let _ = self.listeners.send(Notice { session_id, happened, cut_off, spread_ms });
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Activity>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(active: bool) -> Vec<(String, Activity)> {
        vec![("s1".to_owned(), Activity { active, ..Activity::default() })]
    }

    fn told(listener: &mut broadcast::Receiver<Notice>) -> Vec<Happened> {
        std::iter::from_fn(|| listener.try_recv().ok()).map(|notice| notice.happened).collect()
    }

    #[test]
    fn viewers_are_told_what_changes_and_nothing_twice() {
        let notices = Notices::default();
        let mut listener = notices.listen();
        notices.start("s1");
        for active in [false, true, true, false, true] {
            notices.observe(seen(active));
        }
        assert_eq!(
            told(&mut listener),
            [Happened::Started, Happened::Back, Happened::Stalled, Happened::Back]
        );
        assert!(notices.is_active("s1") && notices.active() == 1);
    }

    #[test]
    fn viewers_are_told_whether_the_node_is_cut_off() {
        let notices = Notices::default();
        let mut listener = notices.listen();
        notices.start("s1");
        for (active, cut_off) in [(true, false), (false, true), (false, true), (false, false), (true, false)]
        {
            notices.observe(vec![("s1".to_owned(), Activity { active, cut_off, reason: None })]);
        }
        let told = std::iter::from_fn(|| listener.try_recv().ok());
        let told: Vec<_> = told.map(|notice| (notice.happened, notice.cut_off)).collect();
        let stalled = [(Happened::Stalled, true), (Happened::Stalled, false)];
        assert_eq!(told[1..], [(Happened::Back, false), stalled[0], stalled[1], (Happened::Back, false)]);
    }

    #[test]
    fn who_is_told_of_a_start_is_told_how_to_spread() {
        let notices = Notices::default();
        let mut listeners: Vec<_> = (0..1000).map(|_| notices.listen()).collect();
        notices.start("s1");
        notices.observe(seen(true));
        let told: Vec<_> =
            std::iter::from_fn(|| listeners[7].try_recv().ok()).map(|notice| notice.spread_ms).collect();
        assert_eq!(told, [Some(5000), None]);
    }

    #[test]
    fn an_ended_session_is_never_said_to_stall() {
        let notices = Notices::default();
        notices.start("s1");
        notices.observe(seen(true));
        let mut listener = notices.listen();
        notices.end("s1");
        // Its routes are gone and its mountpoint is still in the books.
        for active in [true, false] {
            assert!(notices.observe(seen(active)).is_empty());
        }
        notices.end("s1");
        assert_eq!(told(&mut listener), [Happened::Ended]);
        assert!(!notices.is_on("s1") && !notices.is_active("s1"));
        notices.start("s1");
        notices.observe(seen(true));
        assert_eq!(told(&mut listener), [Happened::Started, Happened::Back]);
    }
}
