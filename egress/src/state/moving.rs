//! Viewers who cannot stay here go elsewhere, because this node is drained or cut off ([`crate::moves`] decides who goes where, and
//! when); and all viewers know beforehand where else to go, should this node be gone.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use node::directory::{Carriers, Directory, Entry};
use node::record::NodeType;
use rand::seq::SliceRandom;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Egress;
use super::audience::Call;
use crate::lifecycle::Cut;
use crate::moves::{self, Here, Moves, Places, Step};

/// How often somebody is sent on, while there is anybody to send.
const TICK: Duration = Duration::from_millis(20);
/// How often it is looked who has to go, and whether there is room for them now.
const LOOK: Duration = Duration::from_millis(250);
/// It is read so often, at most, where else sessions are to be had: while viewers have to go there, and before.
const READ: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// And costs Redis no more than so many commands a second, of which a session takes one for each egress of the tree.
const BUDGET: [f64; 2] = [5_000.0, 20.0];

/// Sessions that are asked about at a time.
const AT_ONCE: usize = 64;
/// Longer than this Redis is not waited for: viewers are to be told meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whose parent is gone is cut off together with others, who say so within this time.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// Whether those that are not cut off by now have what this node has not.
fn is_alone(cut: &Cut, since: Instant) -> bool {
    !matches!(cut, Cut::ParentGone(_)) || since.elapsed() > SAID_WITHIN
}

/// Where else sessions are to be had, and how many were sent there.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// As it was read last, of sessions that somebody watches here.
    places: watch::Sender<Arc<Places>>,
    /// The tree's egresses, this one too: at others one can wait for a session that nobody has yet.
    egresses: watch::Sender<Arc<Carriers>>,
    told: AtomicU64,
    let_go: AtomicU64,
}

impl Elsewhere {
    /// Viewers who were told to go, and whose connection was ended.
    pub fn counts(&self) -> [u64; 2] {
        [&self.told, &self.let_go].map(|count| count.load(Ordering::Relaxed))
    }

    /// Of how many of these nobody has read yet where else they are.
    fn unread(&self, sessions: &[String]) -> usize {
        let places = self.places.borrow();
        sessions.iter().filter(|session| !places.contains_key(*session)).count()
    }

    /// How long it has to take to read where so many sessions are to be had, as the budget is.
    fn cost(&self, sessions: usize, budget: f64) -> Duration {
        let commands = sessions * self.egresses.borrow().len();
        Duration::from_secs_f64(commands as f64 / budget)
    }

    /// Until it is read again; not when all others do.
    fn pause(&self, sessions: usize, is_urgent: bool) -> Duration {
        let which = usize::from(!is_urgent);
        READ[which].max(self.cost(sessions, BUDGET[which])).mul_f64(rand::random_range(0.7..1.3))
    }

    /// Reads where these sessions are to be had; an error says why that is not known of all. What cannot be read in time is as it was.
    async fn read(&self, directory: Option<&Directory>, mut sessions: Vec<String>) -> Result<(), String> {
        let Some(directory) = directory else { return Ok(()) };
        let before = self.places.borrow().clone();
        // Those that were never read first, and then not always the same.
        sessions.shuffle(&mut rand::rng());
        sessions.sort_by_key(|session| before.contains_key(session));
        let until = Instant::now() + PATIENCE;
        let asking = sessions.iter().cloned().map(|session| {
            let directory = directory.clone();
            async move {
                let carriers = directory.carriers(&session).await;
                (session, carriers)
            }
        });
        // Several at a time, because a Redis that is slow is slow for each, and viewers wait.
        let mut asking = pin!(stream::iter(asking).buffer_unordered(AT_ONCE));
        let mut places = Places::new();
        let read = loop {
            match timeout_at(until, asking.next()).await {
                Ok(Some((session, Ok(carriers)))) => drop(places.insert(session, (*carriers).clone())),
                Ok(Some((_, Err(why)))) => break Err(why),
                Ok(None) => break Ok(()),
                Err(_) => break Err(format!("Redis has not said all of it within {} s", PATIENCE.as_secs())),
            }
        };
        for (session, carriers) in before.iter().filter(|(session, _)| sessions.contains(session)) {
            places.entry(session.clone()).or_insert_with(|| carriers.clone());
        }
        self.places.send_if_modified(|known| {
            let changed = **known != places;
            if changed {
                *known = Arc::new(places);
            }
            changed
        });
        read?;
        let nodes = directory.nodes().await?;
        let is_there = |(id, entry): &(&String, &Entry)| {
            entry.node_type == NodeType::Egress && nodes.alive.contains(*id) && !nodes.doubtful.contains(*id)
        };
        let egresses = nodes.entries.iter().filter(is_there);
        self.egresses
            .send_replace(Arc::new(egresses.map(|(id, entry)| (id.clone(), entry.clone())).collect()));
        Ok(())
    }
}

impl Egress {
    /// Where else sessions are to be had, whenever that changes.
    pub fn places(&self) -> watch::Receiver<Arc<Places>> {
        self.elsewhere.places.subscribe()
    }

    /// Which egresses the tree has, whenever that has been read.
    pub fn egresses(&self) -> watch::Receiver<Arc<Carriers>> {
        self.elsewhere.egresses.subscribe()
    }

    /// Where a viewer could go if this node were gone, best first, and over how many ms all its viewers are to spread.
    pub fn elsewhere(&self, session: &str, viewer: &str) -> (Vec<Entry>, u64) {
        let places = self.elsewhere.places.borrow().clone();
        let Some(carriers) = places.get(session) else { return (Vec::new(), 0) };
        let here = self.here(false);
        let spread = moves::spread(carriers, here, self.capacity.viewers()[0]);
        (moves::elsewhere(carriers, viewer, here), spread)
    }

    /// The same of somebody who waits here for a session, and over how many ms all who listen are to spread.
    pub fn elsewhere_to_wait(&self, listener: &str) -> (Vec<Entry>, u64) {
        let (egresses, here) = (self.elsewhere.egresses.borrow().clone(), self.here(false));
        let spread = moves::spread(&egresses, here, self.capacity.view().listening);
        (moves::elsewhere(&egresses, listener, here), spread)
    }

    fn here(&self, lets_go: bool) -> Here<'_> {
        let (node, zone) = (self.config.node.node_id.as_str(), self.config.node.zone.as_str());
        Here { node, zone, now: self.started.elapsed(), lets_go }
    }
}

impl Egress {
    /// Sends viewers on who cannot stay, and reads where else sessions are to be had, for ever.
    pub async fn keep_moving(self: Arc<Self>) {
        let mut moves = Moves::default();
        let (mut stage, mut standing) = (self.drain.stage(), self.standing());
        let (mut read_at, mut unknown, mut must_go) = (Instant::now(), None, false);
        let mut cut: Option<(Cut, Instant)> = None;
        loop {
            let order = stage.borrow_and_update().order.clone();
            let is_cut = standing.borrow_and_update().cut().cloned();
            if is_cut.as_ref() != cut.as_ref().map(|(cut, _)| cut) {
                cut = is_cut.map(|cut| (cut, Instant::now()));
                // Others are not to send anybody here, nor to think for seconds that they may not.
                self.tree.get().inspect(|tree| tree.register_again());
            }
            let began = !must_go;
            must_go = order.is_some() || cut.as_ref().is_some_and(|(cut, since)| is_alone(cut, *since));
            let going = if must_go { self.audience.everybody() } else { Vec::new() };
            let watched = self.audience.watched();
            if !must_go && let news @ 1.. = self.elsewhere.unread(&watched) {
                // In a large tree not all of its egresses at once.
                let latest = Instant::now() + self.elsewhere.cost(news, BUDGET[1]);
                if latest < read_at {
                    read_at = latest - self.elsewhere.cost(news, BUDGET[1]).mul_f64(rand::random());
                }
            }
            if (must_go && began) || read_at <= Instant::now() {
                let pause = self.elsewhere.pause(watched.len(), must_go);
                unknown = self.elsewhere.read(self.redirector.directory(), watched).await.err();
                read_at = Instant::now() + pause;
            }
            let now = std::time::Instant::now();
            let lets_go = order.as_ref().is_some_and(|order| order.remaining(now).is_zero());
            let places = self.elsewhere.places.borrow().clone();
            let plan = moves.plan(&going, &places, self.here(lets_go));
            self.send_on(&plan.steps).await;
            if let Some(order) = order {
                self.report_drain(&order, &going, &plan, unknown.as_deref());
            }
            tokio::select! {
                () = sleep(if plan.waiting > 0 { TICK } else { LOOK }) => {}
                Ok(()) = stage.changed() => {}
                Ok(()) = standing.changed() => {}
            }
        }
    }

    async fn send_on(&self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Tell { session, viewer, to, url } => {
                    let call = Call { session: session.clone(), viewer: viewer.clone(), url: url.clone() };
                    let told = self.audience.call(&call);
                    self.elsewhere.told.fetch_add(u64::from(told), Ordering::Relaxed);
                    tracing::debug!("session {session}: a viewer is sent to {to}");
                }
                Step::LetGo { session, viewer } => {
                    self.elsewhere.let_go.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!("session {session}: a viewer that cannot be told is let go");
                    let _ = self.audience.leave(session, viewer).await;
                }
            }
        }
    }
}
