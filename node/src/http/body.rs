//! The body of a request: whole before any handler sees it, of a sound size, and in time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use super::limits::{Limit, Limits};
use super::{Client, Failed};

/// Largest request body; whatever a node is sent fits many times over.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// So much of a body that is too large is taken all the same and thrown away, for so long: most clients read no answer before
/// they have sent all, and would see a broken connection.
const SWALLOWED: usize = 16 * 1024 * 1024;
const SWALLOWING: Duration = Duration::from_secs(2);
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The request with all of its body, so that no handler waits for a peer.
pub(super) async fn whole(limits: &Limits, client: Client, request: Request) -> Result<Request, Response> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    // Kept until it has come, or was given up.
    let _share = limits.body(client).map_err(IntoResponse::into_response)?;
    let whole = read_whole(request).await;
    whole.map_err(|failed| {
        match failed.0 {
            StatusCode::PAYLOAD_TOO_LARGE => limits.met(Limit::LargeBody),
            StatusCode::REQUEST_TIMEOUT => limits.met(Limit::SlowBody),
            _ => {}
        }
        failed.into_response()
    })
}

async fn read_whole(request: Request) -> Result<Request, Failed> {
    let (parts, mut body) = request.into_parts();
    let announced = body.size_hint().lower() > BODY_LIMIT as u64;
    let mut whole = Vec::new();
    if !announced {
        let reading = read(&mut body, &mut whole);
        tokio::time::timeout(BODY_TIME, reading).await.map_err(|_| {
            let why = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Failed(StatusCode::REQUEST_TIMEOUT, why)
        })??;
    }
    if announced || whole.len() > BODY_LIMIT {
        // Who asks first whether to send it need not.
        if !parts.headers.contains_key(header::EXPECT) {
            let _ = tokio::time::timeout(SWALLOWING, swallow(body)).await;
        }
        let why = format!("a body may have at most {BODY_LIMIT} bytes");
        return Err(Failed(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    Ok(Request::from_parts(parts, Body::from(whole)))
}

/// Reads to the end, or until it is too much.
async fn read(body: &mut Body, whole: &mut Vec<u8>) -> Result<(), Failed> {
    while whole.len() <= BODY_LIMIT
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Failed(StatusCode::BAD_REQUEST, "the body broke off".to_owned()))?;
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(())
}

async fn swallow(mut body: Body) {
    let mut swallowed = 0;
    while swallowed < SWALLOWED
        && let Some(Ok(frame)) = body.frame().await
    {
        swallowed += frame.into_data().map_or(0, |data| data.len());
    }
}
