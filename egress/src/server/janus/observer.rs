//! [`Observer`]: asks Janus' admin API how viewers fare, beside everything else: no viewer and no request waits for it, and what it
//! cannot have is missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use janus::{Admin, Error};
use node::backoff::Backoff;
use tokio::sync::{Notify, mpsc};

use super::agenda::{Agenda, Next};
use super::handle_info::HandleInfo;
use crate::config::JanusAdmin;
use crate::server::Figures;

/// Between two attempts to reach the admin API.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// Codes of Janus: what is asked about has ended.
const NO_SESSION: i64 = 458;
const NO_HANDLE: i64 = 459;

/// Asks.
pub struct Observer {
    config: JanusAdmin,
    state: Mutex<State>,
    /// Somebody has come.
    wake: Notify,
}

#[derive(Default)]
struct State {
    agenda: Agenda,
    /// By handle: those whose connection is up.
    viewers: BTreeMap<u64, Viewer>,
    /// Why nothing can be asked.
    problem: Option<String>,
}

struct Viewer {
    session: u64,
    figures: Option<Figures>,
    /// Is told once that something has been sent.
    begun: Option<mpsc::Sender<()>>,
}

/// A viewer's stay, from when its handle is made; ends when it is dropped.
pub struct Visit {
    observer: Option<Arc<Observer>>,
    session: u64,
    handle: u64,
    begun: Option<mpsc::Sender<()>>,
}

impl Observer {
    /// Begins; call it where there is a runtime. It asks nothing while nobody is there.
    pub fn start(config: JanusAdmin) -> Arc<Observer> {
        let observer = Arc::new(Observer { config, state: Mutex::default(), wake: Notify::new() });
        tokio::spawn(observer.clone().ask());
        observer
    }

    /// What was read last of viewers, by handle.
    pub fn figures(&self) -> BTreeMap<u64, Figures> {
        let state = self.state();
        let known =
            state.viewers.iter().filter_map(|(handle, viewer)| Some((*handle, viewer.figures.clone()?)));
        known.collect()
    }

    /// Why it is not known how viewers fare.
    pub fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Janus is gone, and all its handles.
    pub fn clear(&self) {
        let mut state = self.state();
        state.agenda.clear();
        state.viewers.clear();
    }

    /// Asks one question after the other, for ever.
    async fn ask(self: Arc<Self>) {
        let mut backoff = Backoff::new(PAUSES);
        let mut admin: Option<Admin> = None;
        loop {
            let next = self.state().agenda.next(Instant::now());
            match next {
                Next::Idle => self.wake.notified().await,
                Next::At(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.wake.notified() => {}
                },
                Next::Ask(handle) => self.turn(&mut admin, &mut backoff, handle).await,
            }
        }
    }

    /// One question, and what its answer says of the admin API.
    async fn turn(&self, admin: &mut Option<Admin>, backoff: &mut Backoff, handle: u64) {
        match self.ask_about(admin, handle).await {
            Ok(false) => {}
            Ok(true) => {
                backoff.reset();
                if self.state().problem.take().is_some() {
                    tracing::info!("Janus' admin API answers again");
                }
            }
            Err(error) => {
                *admin = None;
                self.fails(&error);
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }

    /// Whether Janus has answered: of who has left meanwhile nothing is asked. An error means that no other can be asked about either.
    async fn ask_about(&self, admin: &mut Option<Admin>, handle: u64) -> Result<bool, Error> {
        let Some(session) = self.state().viewers.get(&handle).map(|viewer| viewer.session) else {
            return Ok(false);
        };
        let connected = match admin.take().filter(Admin::is_alive) {
            Some(admin) => admin,
            None => {
                Admin::connect(&self.config.url, self.config.secret.as_ref().map(|secret| secret.reveal()))
                    .await?
            }
        };
        let asked = Instant::now();
        let answer = admin.insert(connected).handle(session, handle).await;
        match answer {
            Ok(info) => self.reads(handle, HandleInfo::read(&info, asked)),
            Err(Error::Janus { code: NO_SESSION | NO_HANDLE, .. }) => self.goes(handle),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn reads(&self, handle: u64, info: Option<HandleInfo>) {
        let Some(info) = info else { return };
        let mut state = self.state();
        let Some(viewer) = state.viewers.get_mut(&handle) else { return };
        viewer.figures = Some(info.figures);
        if info.has_begun
            && let Some(begun) = viewer.begun.take()
        {
            let _ = begun.try_send(());
            state.agenda.has_begun(handle);
        }
    }

    fn fails(&self, error: &Error) {
        let why = format!(
            "Janus' admin API does not say how viewers fare, who are served as before: {error}; look at janus-admin-url and \
             janus-admin-secret-file, and `admin` in janus.transport.websockets.jcfg"
        );
        if self.state().problem.replace(why.clone()).is_none() {
            tracing::warn!("{why}");
        }
    }

    fn goes(&self, handle: u64) {
        let mut state = self.state();
        state.agenda.goes(handle);
        state.viewers.remove(&handle);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Of a handle that has just been made. The receiver is told once that the viewer has been sent something; never, where nobody
    /// observes.
    pub fn begin(observer: Option<Arc<Observer>>, session: u64, handle: u64) -> (Visit, mpsc::Receiver<()>) {
        let (begun, told) = mpsc::channel(1);
        (Visit { observer, session, handle, begun: Some(begun) }, told)
    }

    /// The viewer's connection is up.
    pub fn is_up(&mut self) {
        let (Some(observer), Some(begun)) = (&self.observer, self.begun.take()) else { return };
        let mut state = observer.state();
        let viewer = Viewer { session: self.session, figures: None, begun: Some(begun) };
        state.viewers.insert(self.handle, viewer);
        state.agenda.comes(self.handle, Instant::now());
        observer.wake.notify_one();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.goes(self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_left_before_he_was_asked_about_is_no_answer() {
        let config = JanusAdmin { url: "ws://127.0.0.1:1".to_owned(), secret: None };
        let observer = Observer { config, state: Mutex::default(), wake: Notify::new() };
        observer.state().problem = Some("it does not answer".to_owned());
        let longest = Duration::from_secs(8);
        let mut backoff = Backoff::new([Duration::from_secs(2), longest]);
        while backoff.pause() < longest / 2 {}
        observer.turn(&mut None, &mut backoff, 7).await;
        assert!(observer.problem().is_some(), "nobody has been asked");
        assert!(backoff.pause() >= longest / 2, "nor has anything begun anew");
    }
}
