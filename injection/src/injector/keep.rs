//! What comes back by itself: Janus with its rooms, Redis with its sessions, pipelines, host names.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Entry, Injector, lock};
use crate::videoroom::VideoRoom;

/// First and longest wait before Janus, or Redis, is tried again.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// How often is looked at what tells nobody when it changes: host names, rooms that failed, what Redis has lost.
const ROUND: Duration = Duration::from_secs(10);

impl Injector {
    /// Keeps everything up until the program ends.
    pub fn keep(self: &Arc<Self>, breaks: mpsc::UnboundedReceiver<String>) {
        tokio::spawn(self.clone().restore());
        tokio::spawn(self.clone().keep_janus());
        tokio::spawn(self.clone().keep_pipelines(breaks));
        tokio::spawn(self.clone().keep_round());
    }

    /// Takes up the sessions of a former life as soon as Redis lets us.
    async fn restore(self: Arc<Self>) {
        let Some(store) = &self.store else { return };
        let [mut delay, longest] = RETRY;
        let sessions = loop {
            let change = self.changes.lock().await;
            match store.load().await {
                Ok(sessions) => break (sessions, change),
                Err(why) => self.store_problem(Some(why)),
            }
            drop(change);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(longest);
        };
        let (sessions, _change) = sessions;
        self.store_problem(None);
        let mut taken_up = 0;
        for (id, session) in sessions {
            let entry = session.and_then(|session| {
                let feed = self.feed(&session).map_err(|error| error.to_string())?;
                Ok(Entry::new(session, feed))
            });
            match entry {
                Ok(entry) => {
                    self.state().sessions.insert(id, Arc::new(entry));
                    taken_up += 1;
                }
                Err(why) => tracing::error!("session {id} cannot be taken up again: {why}"),
            }
        }
        self.state().restored = true;
        tracing::info!("{taken_up} sessions taken up again");
        if let Ok(janus) = self.janus() {
            self.make_rooms(&janus).await;
        }
        self.apply().await;
    }

    /// Connects, and connects again.
    async fn keep_janus(self: Arc<Self>) {
        let [first, longest] = RETRY;
        let mut delay = first;
        loop {
            match VideoRoom::connect(&self.config.janus, &self.config.node_id).await {
                Ok(janus) => {
                    delay = first;
                    // No session comes or goes while the rooms are made.
                    let change = self.changes.lock().await;
                    self.make_rooms(&janus).await;
                    {
                        let mut state = self.state();
                        state.janus = Some(janus.clone());
                        state.janus_problem = None;
                        state.janus_connections += 1;
                    }
                    drop(change);
                    tracing::info!("connected to Janus at {}", self.config.janus.url);
                    janus.closed().await;
                    self.janus_gone(format!("the connection to Janus at {} broke", self.config.janus.url));
                }
                Err(error) => self.janus_gone(error.to_string()),
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(longest);
        }
    }

    fn janus_gone(&self, why: String) {
        let mut state = self.state();
        state.janus = None;
        if state.janus_problem.as_ref() != Some(&why) {
            tracing::warn!("{why}");
        }
        state.janus_problem = Some(why);
    }

    async fn make_rooms(&self, janus: &VideoRoom) {
        for entry in self.entries() {
            self.make_room(janus, &entry).await;
        }
    }

    /// Makes a session's room; whether it is there.
    pub(super) async fn make_room(&self, janus: &VideoRoom, entry: &Entry) -> bool {
        let session = &entry.session;
        let made = janus.create(session.room, &session.id).await;
        let problem = made.err().map(|error| format!("session {} has no room: {error}", session.id));
        if let Some(problem) = &problem {
            tracing::warn!("{problem}");
        }
        let there = problem.is_none();
        *lock(&entry.room_problem) = problem;
        there
    }

    async fn keep_pipelines(self: Arc<Self>, mut breaks: mpsc::UnboundedReceiver<String>) {
        while let Some(id) = breaks.recv().await {
            let Ok(entry) = self.entry(&id) else { continue };
            let restarted = tokio::task::spawn_blocking(move || entry.feed.restart()).await;
            if let Ok(Err(error)) = restarted {
                tracing::error!("session {id}: {error}");
            }
            // One that breaks at once again must not keep us busy.
            tokio::time::sleep(RETRY[0]).await;
        }
    }

    async fn keep_round(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = self.retry.notified() => {}
            }
            self.round().await;
        }
    }

    /// Looks at everything that tells nobody when it changes.
    pub(super) async fn round(&self) {
        let change = self.changes.lock().await;
        if let Ok(janus) = self.janus() {
            for entry in self.entries() {
                if lock(&entry.room_problem).is_some() {
                    self.make_room(&janus, &entry).await;
                }
            }
        }
        if let Some(store) = &self.store
            && self.state().restored
        {
            let sessions: Vec<_> = self.entries().iter().map(|entry| entry.recorded()).collect();
            match store.mend(&sessions).await {
                Ok(missing) => {
                    self.store_problem(None);
                    if !missing.is_empty() {
                        tracing::warn!(
                            "Redis had lost these sessions, written again: {}",
                            missing.join(", ")
                        );
                    }
                }
                Err(why) => self.store_problem(Some(why)),
            }
        }
        drop(change);
        self.apply().await;
    }

    fn store_problem(&self, problem: Option<String>) {
        let mut state = self.state();
        if let Some(problem) =
            problem.as_ref().filter(|problem| state.store_problem.as_ref() != Some(problem))
        {
            tracing::warn!("{problem}");
        }
        state.store_problem = problem;
    }
}
