//! From a node's own errors to HTTP: a node says what kind of error each is, and here is the status of each kind.

use axum::http::StatusCode;

use super::Failed;

/// What kind of error it is for whoever sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// What was asked for makes no sense.
    BadInput,
    /// There is no such thing, or no longer.
    Unknown,
    /// Somebody else has it.
    Conflict,
    /// No codec or format in common.
    NotAcceptable,
    /// More than is taken.
    TooLarge,
    /// It is understood, and not supported.
    Unsupported,
    /// Janus, GStreamer or Redis does not do its part; later it may work.
    Unavailable,
}

impl ErrorClass {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            ErrorClass::BadInput => StatusCode::BAD_REQUEST,
            ErrorClass::Unknown => StatusCode::NOT_FOUND,
            ErrorClass::Conflict => StatusCode::CONFLICT,
            ErrorClass::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            ErrorClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorClass::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// An error of a node that says what kind it is.
pub trait Classified: std::error::Error {
    /// What kind it is.
    fn class(&self) -> ErrorClass;
}

impl<E: Classified> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed(error.class().status(), error.to_string())
    }
}
