//! The HTTP API of a scaler.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use node::http::{Access, Failed, HttpService, Stranger, guard};
use serde::{Deserialize, Serialize};

use crate::app::{App, Status};
use crate::journal::Entry;
use crate::keeper::{Keeper, Planned};
use crate::metrics;

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Entries of the history that are given unless more, or fewer, are asked for; and the most.
const ENTRIES: usize = 50;
const MOST_ENTRIES: usize = 1000;

/// Which tree, where there are several.
#[derive(Debug, Default, Deserialize)]
struct Which {
    tree: Option<String>,
    count: Option<usize>,
}

/// `POST /approvals`: somebody's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// The tree; may be absent where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_id: Option<String>,
    /// Name of the action.
    pub action: String,
    /// It may be done.
    pub approve: bool,
}

/// The routes, guarded.
pub fn service(app: Arc<App>) -> HttpService {
    let config = app.config();
    let limits = app.limits().clone();
    let access = Access {
        token: config.token.clone(),
        reading: config.read_token.clone(),
        hosts: config.hosts.clone(),
        limits: limits.clone(),
        ..Access::default()
    };
    let routes = Router::new()
        .route("/status", get(async |State(app): State<Arc<App>>| -> Json<Status> { Json(app.status()) }))
        .route("/plan", get(plan))
        .route("/history", get(history))
        .route("/approvals", post(approve))
        .route("/metrics", get(scrape))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(app);
    HttpService { router: guard(routes, access), limits }
}

async fn plan(
    State(app): State<Arc<App>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Planned>, Failed> {
    let Query(which) = which?;
    let keeper = find(&app, which.tree.as_deref())?;
    keeper.plan().await.map(Json).map_err(unavailable)
}

async fn history(
    State(app): State<Arc<App>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<Entry>>, Failed> {
    let Query(which) = which?;
    let keeper = find(&app, which.tree.as_deref())?;
    let count = which.count.unwrap_or(ENTRIES).min(MOST_ENTRIES);
    keeper.journal().history(count).await.map(Json).map_err(unavailable)
}

async fn approve(
    State(app): State<Arc<App>>,
    body: Result<Json<Approval>, JsonRejection>,
) -> Result<(StatusCode, Json<Approval>), Failed> {
    let Json(approval) = body?;
    let keeper = find(&app, approval.tree_id.as_deref())?;
    let kept = keeper.journal().read().await.map_err(unavailable)?;
    if !kept.proposed.contains_key(&approval.action) {
        let waiting: Vec<&str> = kept.proposed.keys().map(String::as_str).collect();
        let waiting = if waiting.is_empty() { "none does".to_owned() } else { waiting.join(", ") };
        let action = approval.action.escape_debug();
        let why = format!("no action {action} waits for approval in {}: {waiting}", keeper.tree());
        return Err(Failed(StatusCode::NOT_FOUND, why));
    }
    keeper.journal().approve(&approval.action, approval.approve).await.map_err(unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(Approval { tree_id: Some(keeper.tree().to_owned()), ..approval })))
}

async fn scrape(State(app): State<Arc<App>>) -> Result<Response, Failed> {
    let text = metrics::scrape(&app)
        .map_err(|error| Failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, METRICS)], text).into_response())
}

/// Ready is who leads, or knows that another does, in every tree.
async fn ready(
    State(app): State<Arc<App>>,
    stranger: Option<Extension<Stranger>>,
) -> Result<&'static str, Failed> {
    let why = app.hindrances();
    if why.is_empty() {
        return Ok("ready\n");
    }
    let why = if stranger.is_some() { "not ready".to_owned() } else { why.join("; ") };
    Err(Failed(StatusCode::SERVICE_UNAVAILABLE, why))
}

fn find(app: &App, tree: Option<&str>) -> Result<Arc<Keeper>, Failed> {
    let keepers = app.keepers();
    let names = || keepers.iter().map(|keeper| keeper.tree()).collect::<Vec<_>>().join(", ");
    match (tree, keepers.as_slice()) {
        (_, []) => {
            let why = "no tree is looked after; see trees:active in Redis";
            Err(Failed(StatusCode::SERVICE_UNAVAILABLE, why.to_owned()))
        }
        (Some(tree), _) => app.keeper(tree).ok_or_else(|| {
            let why = format!("no tree {} is looked after here; there are: {}", tree.escape_debug(), names());
            Failed(StatusCode::NOT_FOUND, why)
        }),
        (None, [one]) => Ok(one.clone()),
        (None, _) => {
            let why = format!("which tree? name one (--tree, ?tree=, treeId); there are: {}", names());
            Err(Failed(StatusCode::BAD_REQUEST, why))
        }
    }
}

fn unavailable(why: String) -> Failed {
    Failed(StatusCode::SERVICE_UNAVAILABLE, why)
}
