//! How a viewer fares, as our own page measures it: it POSTs a few numbers to its own resource.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use node::http::wish;
use node::http::{Busy, Failed};

use crate::reports::{EVERY, MOST_BYTES, Report, Unheard};
use crate::state::Egress;

/// What a report is sent as.
pub const REPORT: &str = "application/json";

/// Takes a report. A viewer whose connection is up is heard once in [`EVERY`].
pub async fn take(
    State(egress): State<Arc<Egress>>,
    Path((session, viewer)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failed> {
    wish::content_type(&headers, &[REPORT])?;
    if body.len() > MOST_BYTES {
        let why = format!("a report has {MOST_BYTES} bytes at most");
        return Err(Failed(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let report: Report = serde_json::from_slice(&body)
        .map_err(|error| Failed(StatusCode::BAD_REQUEST, format!("no report: {error}")))?;
    if let Err(unheard) = egress.audience().reports(&session, &viewer)? {
        egress.refuse_report();
        return match unheard {
            Unheard::NotUp => {
                Err(Failed(StatusCode::CONFLICT, "this viewer's connection is not up yet".to_owned()))
            }
            Unheard::TooSoon(wait) => {
                let why = "a viewer is heard every five seconds at most";
                Ok(Busy { status: StatusCode::TOO_MANY_REQUESTS, why, wait, closes: false }.into_response())
            }
        };
    }
    if let Some(join) = report.join {
        egress.audience().page_joined(&session, &viewer, join)?;
    }
    egress.take_report(&report);
    Ok(StatusCode::NO_CONTENT.into_response())
}

const _: () = assert!(EVERY.as_secs() == 5, "the answer says so");
