//! Errors as the API sends them: the right status and `{"error": "…"}`.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::{Deserialize, Serialize};

/// An answer that is an error: what went wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub StatusCode, pub String);

/// Seconds after which what does not work may work: Redis and Janus are connected to again within these.
const AGAIN: HeaderValue = HeaderValue::from_static("2");

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong and what to do.
    pub error: String,
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(Failure { error: self.1 })).into_response();
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
        }
        response
    }
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            // JSON that is not what was asked for is bad input like any other.
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            other => other,
        };
        Failed(status, rejection.body_text())
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Self {
        Failed(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Failed {
    fn from(rejection: PathRejection) -> Self {
        Failed(rejection.status(), rejection.body_text())
    }
}
