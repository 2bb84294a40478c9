//! One door for a whole tree: `/watch/{sid}`, at every node, sends a viewer to an egress that carries the session and has room.
//!
//! - [`Redirector`]: knows the tree ([`Directory`]) and decides ([`choice`](crate::directory::choice)); what becomes of a request is an
//!   [`Outcome`].
//! - [`router`]: the routes: a browser is redirected to the viewers' page, a player's WHEP offer to the endpoint, and a program
//!   that accepts JSON is told. `answer`: how that looks by HTTP.
//! - `check`: whether an egress answers that is to be sent to;
//! - `viewer`: who asks, so that it goes where it was.

mod answer;
mod check;
mod counts;
mod viewer;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::get;

use crate::config::{NodeConfig, RedisConfig};
use crate::directory::choice::{Wish, choose};
use crate::directory::{Carriers, Directory, Entry};
use crate::http::{TraceId, wish};
use crate::muffled::Muffled;

pub(crate) use answer::readable;
use check::Checks;
use counts::Counts;
pub use counts::Redirects;
use viewer::Viewer;

/// The route, as the router knows it: it has no token, since it says no more than where to ask.
pub const ROUTE: &str = "/watch/{session}";
/// Egresses that are asked whether they are there, before the first is taken at its word.
const TRIES: usize = 3;
/// Its methods.
const METHODS: &str = "GET, HEAD, POST, OPTIONS";
/// Address of a node as it is seen from [`ROUTE`]: where that is all that is known, and right behind every proxy.
pub const BESIDE: &str = "..";

/// Asks the egress that this node is, if it is one: its entry, as long as it carries the session.
pub type Own = dyn Fn(&str) -> Option<Entry> + Send + Sync;

/// Where viewers are sent to.
pub struct Redirector {
    node_id: String,
    zone: String,
    tree_id: String,
    redis: Option<RedisConfig>,
    directory: OnceLock<Directory>,
    own: OnceLock<Box<Own>>,
    checks: OnceLock<Checks>,
    counts: Counts,
    started: Instant,
    muffled: Mutex<Muffled>,
}

/// What becomes of a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is to go there.
    Go {
        /// Name of the egress.
        node: String,
        /// And what is known of it.
        entry: Box<Entry>,
    },
    /// Nobody carries the session.
    Unknown,
    /// Whoever carries it has no room.
    Full,
    /// It cannot be found out; why.
    Unavailable(String),
}

impl fmt::Debug for Redirector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redirector of {}", self.node_id)
    }
}

impl Redirector {
    /// Of a node.
    pub fn new(config: &NodeConfig) -> Redirector {
        let redis = config.tree.as_ref().map(|tree| tree.redis.clone());
        Redirector::of([&config.node_id, &config.tree_id, &config.zone], redis)
    }

    /// Of a node by these names: its own, its tree's, its zone's.
    pub fn of([node_id, tree_id, zone]: [&str; 3], redis: Option<RedisConfig>) -> Redirector {
        Redirector {
            node_id: node_id.to_owned(),
            zone: zone.to_owned(),
            tree_id: tree_id.to_owned(),
            redis,
            directory: OnceLock::new(),
            own: OnceLock::new(),
            checks: OnceLock::new(),
            counts: Counts::default(),
            started: Instant::now(),
            muffled: Mutex::default(),
        }
    }

    /// The node is an egress itself, and this is how it is asked.
    pub fn is_egress(&self, own: Box<Own>) {
        let _ = self.own.set(own);
    }

    /// Who there is in the tree; `None` without one. To be called within a runtime.
    pub fn directory(&self) -> Option<&Directory> {
        let redis = self.redis.as_ref()?;
        Some(self.directory.get_or_init(|| Directory::new(redis.clone(), &self.tree_id)))
    }

    /// How often viewers were sent somewhere, and where, for the metrics.
    pub fn redirects(&self) -> Redirects {
        self.counts.redirects()
    }

    /// Where a viewer is to go. Without a zone of its own it is in the node's.
    pub async fn find(&self, session: &str, wish: Wish<'_>) -> Outcome {
        let own = self.own.get().map(|own| own(session));
        let read = match self.directory() {
            Some(directory) => directory.carriers(session).await,
            None => Ok(Arc::default()),
        };
        let zone = if wish.zone.is_empty() { &self.zone } else { wish.zone };
        let outcome = self.answering(session, read, own, Wish { zone, ..wish }).await;
        self.counts.count(&outcome);
        if let Outcome::Unavailable(why) = &outcome {
            self.warn(|| format!("viewers cannot be sent to an egress: {why}"));
        }
        outcome
    }

    /// What follows from what is known, of those egresses that answer. If none does it is perhaps us that cannot reach them.
    async fn answering(
        &self,
        session: &str,
        mut read: Result<Arc<Carriers>, String>,
        own: Option<Option<Entry>>,
        wish: Wish<'_>,
    ) -> Outcome {
        let first = decide(read.clone(), &self.node_id, own.clone(), &wish);
        let mut outcome = first.clone();
        for _ in 0..TRIES {
            let Outcome::Go { node, entry } = &outcome else { break };
            if *node == self.node_id {
                return outcome;
            }
            let checks = self.checks.get_or_init(Checks::default);
            let Some(fault) = checks.fault(&entry.endpoint(session)).await else { return outcome };
            self.warn(|| format!("viewers of {session} are not sent to {node}: {fault}"));
            if let Ok(carriers) = &mut read {
                Arc::make_mut(carriers).remove(node);
            }
            outcome = decide(read.clone(), &self.node_id, own.clone(), &wish);
        }
        first
    }

    fn warn(&self, what: impl FnOnce() -> String) {
        let mut muffled = self.muffled.lock().unwrap_or_else(PoisonError::into_inner);
        if muffled.may(self.started.elapsed()).is_some() {
            tracing::warn!("{}", what());
        }
    }

    /// Where a viewer that this egress cannot serve is sent on to, if anywhere. Whoever has been sent here by another egress is not sent
    /// any further: what two know of each other is seconds old, and they would send it to and fro.
    pub async fn send_on(&self, session: &str, query: Option<&str>, headers: &HeaderMap) -> Option<Response> {
        let viewer = Viewer::of(query, headers);
        let wish = viewer.wish();
        if wish.not.is_some() {
            return None;
        }
        let outcome = self.find(session, Wish { not: Some(&self.node_id), ..wish }).await;
        answer::elsewhere(&outcome, session, &self.node_id)
    }
}

/// What follows from what is known. `own`: what this node is itself, which it knows best; `None`: no egress.
fn decide(
    read: Result<Arc<Carriers>, String>,
    node_id: &str,
    own: Option<Option<Entry>>,
    wish: &Wish<'_>,
) -> Outcome {
    let (mut carriers, why) = match read {
        Ok(carriers) => (carriers, None),
        Err(why) => (Arc::default(), Some(why)),
    };
    match own {
        Some(Some(entry)) => drop(Arc::make_mut(&mut carriers).insert(node_id.to_owned(), entry)),
        // What Redis says of us is old.
        Some(None) if carriers.contains_key(node_id) => {
            drop(Arc::make_mut(&mut carriers).remove(node_id));
        }
        _ => {}
    }
    let go = |node: &str| {
        Some(Outcome::Go { node: node.to_owned(), entry: Box::new(carriers.get(node)?.clone()) })
    };
    match (choose(&carriers, wish).and_then(go), why) {
        (Some(go), _) => go,
        (None, Some(why)) => Outcome::Unavailable(why),
        (None, None) if carriers.is_empty() => Outcome::Unknown,
        (None, None) => Outcome::Full,
    }
}

/// The routes.
pub fn router(redirector: Arc<Redirector>) -> Router {
    let methods = get(watch).post(watch).options(async || wish::options(METHODS, Some(wish::SDP), None));
    Router::new().route(ROUTE, methods).with_state(redirector)
}

async fn watch(
    State(redirector): State<Arc<Redirector>>,
    session: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let viewer = Viewer::of(query.as_deref(), &headers);
    // A name that is no text is no session's.
    let session = session.map_or_else(|_| String::new(), |Path(session)| session);
    let came = Instant::now();
    let outcome = redirector.find(&session, viewer.wish()).await;
    if let Outcome::Go { node, .. } = &outcome {
        let trace_id = TraceId::of(&headers).map(tracing::field::display);
        let ms = came.elapsed().as_millis() as u64;
        tracing::debug!(session, trace_id, egress = node, door_ms = ms, "a viewer is sent to an egress");
    }
    answer::answer(&outcome, &session, &viewer, answer::Form::of(&method, &headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Particulars;
    use crate::record::NodeType;

    fn egress(viewers: u32) -> Entry {
        Entry {
            node_type: NodeType::Egress,
            url: "http://e".to_owned(),
            zone: String::new(),
            status: "active".to_owned(),
            parent: None,
            particulars: Particulars { viewers, max_viewers: 10, ..Particulars::default() },
        }
    }

    fn decided(read: Result<&[(&str, u32)], &str>, own: Option<Option<Entry>>) -> String {
        let carriers = |nodes: &[(&str, u32)]| {
            Arc::new(nodes.iter().map(|(id, viewers)| ((*id).to_owned(), egress(*viewers))).collect())
        };
        let read = read.map(carriers).map_err(str::to_owned);
        match decide(read, "me", own, &Wish::default()) {
            Outcome::Go { node, .. } => node,
            Outcome::Unknown => "unknown".to_owned(),
            Outcome::Full => "full".to_owned(),
            Outcome::Unavailable(why) => why,
        }
    }

    #[test]
    fn a_node_knows_itself_best() {
        assert_eq!(decided(Ok(&[]), None), "unknown");
        assert_eq!(decided(Ok(&[("e", 3)]), None), "e");
        assert_eq!(decided(Ok(&[("e", 10)]), None), "full");
        assert_eq!(decided(Ok(&[("me", 3)]), Some(None)), "unknown", "what Redis says of us is old");
        assert_eq!(decided(Ok(&[("me", 3), ("e", 3)]), Some(None)), "e");
        assert_eq!(decided(Ok(&[("me", 3)]), Some(Some(egress(10)))), "full");
        assert_eq!(decided(Ok(&[("me", 10)]), Some(Some(egress(3)))), "me");
    }

    #[test]
    fn an_egress_needs_no_redis_to_send_viewers_to_itself() {
        assert_eq!(decided(Err("away"), None), "away");
        assert_eq!(decided(Err("away"), Some(None)), "away");
        assert_eq!(decided(Err("away"), Some(Some(egress(3)))), "me");
        assert_eq!(decided(Err("away"), Some(Some(egress(10)))), "away", "there may be room elsewhere");
    }
}
