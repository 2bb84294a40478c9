//! What is brought back after a failure: Janus with its rooms, Redis with its sessions, pipelines, host names.

use std::sync::Arc;
use std::time::Duration;

use node::backoff::Backoff;
use tokio::sync::mpsc;

use super::Injector;
use crate::videoroom::VideoRoom;

/// First and longest wait before Janus, or Redis, is tried again.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// How often the injection checks what nobody announces: host names that move, rooms that failed, what Redis has lost.
const CHECK_EVERY: Duration = Duration::from_secs(10);

impl Injector {
    /// Keeps everything up until the program ends.
    pub fn keep(self: &Arc<Self>, breaks: mpsc::UnboundedReceiver<String>) {
        tokio::spawn(self.clone().restore());
        tokio::spawn(self.clone().keep_janus());
        tokio::spawn(self.clone().keep_pipelines(breaks));
        tokio::spawn(self.clone().keep_checking());
    }

    /// Takes up the sessions of a former life as soon as Redis lets us.
    async fn restore(self: Arc<Self>) {
        let Some(store) = &self.store else { return };
        let mut backoff = Backoff::new(RETRY);
        if let Some(tree) = self.tree.get() {
            tree.may_use_name().await;
        }
        let sessions = loop {
            let change = self.changes.lock().await;
            match store.load().await {
                Ok(sessions) if self.is_named() => break (sessions, change),
                Ok(_) => self.store_problem(Some("the name of this node is another's".to_owned())),
                Err(why) => self.store_problem(Some(why)),
            }
            drop(change);
            tokio::time::sleep(backoff.pause()).await;
        };
        let (sessions, _change) = sessions;
        self.store_problem(None);
        let mut taken_up = 0;
        for (id, session) in sessions {
            let entry = session.and_then(|session| {
                let feed = self.feed(&session).map_err(|error| error.to_string())?;
                Ok(self.live(session, feed))
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
        if let Ok(janus) = self.janus.get() {
            self.make_rooms(&janus).await;
        }
        self.apply().await;
    }

    /// What Redis has under this node's name is its own.
    fn is_named(&self) -> bool {
        self.tree.get().is_none_or(|tree| {
            let view = tree.view();
            let view = view.borrow();
            view.redis.named && view.redis.taken.is_none()
        })
    }

    /// Connects, and connects again.
    async fn keep_janus(self: Arc<Self>) {
        let mut backoff = Backoff::new(RETRY);
        loop {
            // What another node of this name has in the same Janus is not to be removed.
            if let Some(tree) = self.tree.get()
                && !tree.may_use_name().await
            {
                self.janus
                    .down("Janus is not connected to while another node has this one's name".to_owned());
                tokio::time::sleep(backoff.pause()).await;
                continue;
            }
            match VideoRoom::connect(&self.config.janus, &self.config.node_id).await {
                Ok(janus) => {
                    backoff.reset();
                    // No session comes or goes while the rooms are made.
                    let change = self.changes.lock().await;
                    self.make_rooms(&janus).await;
                    self.janus.up(janus.clone());
                    drop(change);
                    tracing::info!("connected to Janus at {}", self.config.janus.url);
                    janus.closed().await;
                    self.janus.down(format!("the connection to Janus at {} broke", self.config.janus.url));
                }
                Err(error) => self.janus.down(error.to_string()),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn make_rooms(&self, janus: &VideoRoom) {
        for entry in self.entries() {
            entry.make_room(janus).await;
        }
    }

    async fn keep_pipelines(self: Arc<Self>, mut breaks: mpsc::UnboundedReceiver<String>) {
        while let Some(id) = breaks.recv().await {
            let Ok(entry) = self.entry(&id) else { continue };
            self.totals.restarted();
            let restarted = tokio::task::spawn_blocking(move || entry.feed.restart()).await;
            if let Ok(Err(error)) = restarted {
                tracing::error!("session {id}: {error}");
            }
            // One that breaks at once again must not keep us busy.
            tokio::time::sleep(RETRY[0]).await;
        }
    }

    async fn keep_checking(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHECK_EVERY) => {}
                () = self.retry.notified() => {}
            }
            self.check().await;
        }
    }

    /// Checks everything that nobody announces, and mends it.
    pub(super) async fn check(&self) {
        self.overflow();
        let change = self.changes.lock().await;
        if let Ok(janus) = self.janus.get() {
            for entry in self.entries() {
                if entry.room_problem().is_some() {
                    entry.make_room(&janus).await;
                }
            }
        }
        if let Some(store) = &self.store
            && self.state().restored
        {
            let sessions: Vec<_> = self.entries().iter().map(|entry| entry.recorded()).collect();
            match store.mend(&sessions, super::now_ms()).await {
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
            if let Err(why) = self.look_for_orphans(store).await {
                tracing::debug!("sessions without an injection are looked for later: {why}");
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
