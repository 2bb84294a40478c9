//! A viewer's events, by the extension that players know by [`REL`]: the player POSTs the names of those that it wants, and
//! listens (server-sent events) at the `Location` that it gets.
//!
//! `active` and `inactive` say whether media arrives, `viewercount` how many watch, `reconnect` where the viewer is to go instead.
//! They say nothing that `GET /events` does not say, but to players that nobody here wrote.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Json, Response};
use futures_util::{StreamExt, stream};
use node::http::{Client, Failed};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::api::events::sent;
use crate::state::{Call, Ear, Egress};

/// The relation of `Link` (draft-murillo-whep-02 section 4.9; since then extensions have documents of their own).
const REL: &str = "urn:ietf:params:whep:ext:core:server-sent-events";
/// Events that there are.
const NAMES: [&str; 4] = ["active", "inactive", "reconnect", "viewercount"];
/// What names of events are sent as.
pub const CHOICE: &str = "application/json";
/// Most names in a request; players name more than there are.
const MOST_NAMES: usize = 16;
/// How often viewers are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

type Shared = State<Arc<Egress>>;

/// The relation to what our own page listens to: `GET /events`.
const OWN: &str = "urn:x-media-tree:events";

/// The headers for the viewer at `location`, of an endpoint below `base`.
pub fn links(base: &str, location: &str) -> [String; 2] {
    // Relative, as `Location` is: past the endpoint's name and `endpoint`, to where `base` begins.
    let up = "../".repeat(1 + base.matches('/').count());
    let players = format!("<{location}/events>; rel=\"{REL}\"; events=\"{}\"", NAMES.join(","));
    [players, format!("<{up}events>; rel=\"{OWN}\"")]
}

/// Which events are wanted.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    /// Names, separated by commas; without it all.
    only: Option<String>,
}

/// A player says which events it wants. What it names and is not there never happens.
pub async fn choose(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
    names: Result<Json<Vec<String>>, JsonRejection>,
) -> Result<Response, Failed> {
    let Json(names) = names?;
    egress.audience().is_seated(&session, &viewer)?;
    if names.len() > MOST_NAMES {
        let why = format!("more than {MOST_NAMES} events; there are {}", NAMES.join(", "));
        return Err(Failed(StatusCode::BAD_REQUEST, why));
    }
    let known: Vec<&str> =
        NAMES.into_iter().filter(|name| names.iter().any(|wanted| wanted == name)).collect();
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("events?only={}", known.join(",")))])
        .into_response())
}

/// What happens from now on, and how it is now. It ends when the viewer has left.
pub async fn follow(
    State(egress): Shared,
    Path((session, viewer)): Path<(String, String)>,
    client: Client,
    Query(Wanted { only }): Query<Wanted>,
) -> Result<Response, Response> {
    let seated = egress.audience().is_seated(&session, &viewer);
    seated.map_err(|error| Failed::from(error).into_response())?;
    let place = egress.capacity().listener(client).map_err(IntoResponse::into_response)?;
    let wants = move |name: &str| only.as_deref().is_none_or(|only| only.split(',').any(|one| one == name));
    let listener = egress.notices().listen();
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (teller, calls) = mpsc::channel(1);
    // Who does not want to be told cannot be.
    let ear = wants("reconnect").then(|| egress.audience().hear(&session, &viewer, teller.clone())).flatten();
    let told = Told { egress, session, viewer, active: None, count: None, _heard: (teller, ear) };
    let changes = stream::unfold(
        (listener, calls, ticks, told),
        async |(mut listener, mut calls, mut ticks, mut told)| {
            let news = tokio::select! {
                notice = listener.recv() => match notice {
                    Err(RecvError::Closed) => return None,
                    _ => told.news()?,
                },
                Some(call) = calls.recv() => vec![("reconnect", json!({ "url": call.url }).to_string())],
                _ = ticks.tick() => told.news()?,
            };
            Some((stream::iter(news), (listener, calls, ticks, told)))
        },
    );
    let events = changes.flatten().filter_map(move |(name, data)| {
        let event = wants(name).then(|| Event::default().event(name).data(data));
        std::future::ready(event)
    });
    Ok(sent(place, events))
}

/// What a player has been told.
struct Told {
    egress: Arc<Egress>,
    session: String,
    viewer: String,
    active: Option<bool>,
    count: Option<usize>,
    /// Where it is to go comes by this.
    _heard: (mpsc::Sender<Call>, Option<Ear>),
}

impl Told {
    /// What differs from that now; `None` once the viewer has left.
    fn news(&mut self) -> Option<Vec<(&'static str, String)>> {
        self.egress.audience().is_seated(&self.session, &self.viewer).ok()?;
        let active = self.egress.notices().is_active(&self.session);
        let count = self.egress.audience().of(&self.session);
        let mut news = Vec::new();
        if self.active.replace(active) != Some(active) {
            news.push((if active { "active" } else { "inactive" }, "{}".to_owned()));
        }
        if self.count.replace(count) != Some(count) {
            news.push(("viewercount", json!({ "viewercount": count }).to_string()));
        }
        Some(news)
    }
}
