//! Why the injection does not do what it is asked for, and what kind of error that is for HTTP.

use node::http::wish::Trickle;
use node::http::{Classified, ErrorClass};
use node::media::Kind;

use crate::pipeline::PipelineError;
use crate::sdp::OfferError;
use crate::session::Refusal;

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum InjectorError {
    /// What is asked for makes no session.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such session.
    #[error("no session {0}; POST /session/create makes one")]
    UnknownSession(String),
    /// It is of another injection, which lives.
    #[error("session {id} is of {injection}; destroy it there")]
    OfAnother { id: String, injection: String },
    /// It ended while somebody was about to publish to it.
    #[error("session {0} was destroyed")]
    Destroyed(String),
    /// There is no such publication, or no longer.
    #[error("no such publication of session {0}, or no longer")]
    UnknownPublication(String),
    /// Somebody else publishes to the session.
    #[error(
        "someone else is live on session {0}; it is free when they stop, or when an operator ends their publication \
         (DELETE /session/{0}/publisher)"
    )]
    Busy(String),
    /// A room of that number is in Janus and none of ours.
    #[error("room {room}: {why}")]
    RoomExists { room: u64, why: janus::Error },
    /// The offer is of no use.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// Janus cannot read the offer.
    #[error(transparent)]
    OfferRefused(janus::Error),
    /// Janus' answer makes no sense.
    #[error("Janus answers an offer with what is no answer to it: {0}")]
    Answer(String),
    /// The publisher and Janus agree on a codec that the tree does not carry.
    #[error("the tree does not carry {0}")]
    CodecNotCarried(String),
    /// Half of what is offered would be missing.
    #[error("Janus does not take the offered {kind}; offer {wanted}")]
    HalfTaken { kind: Kind, wanted: &'static str },
    /// Candidates that are not taken.
    #[error(transparent)]
    Trickle(#[from] Trickle),
    /// The node is to go.
    #[error("this injection is draining and takes nothing new; use another, or DELETE /drain")]
    Draining,
    /// What was in Redis before the start is not known yet.
    #[error("sessions of before the restart have not been read from Redis yet; try again in a moment")]
    NotRestored,
    /// Other nodes wrote a session each time that this one was about to.
    #[error("sessions of this tree change too fast; try again")]
    TooManyChanges,
    /// There is no connection to Janus; why.
    #[error("{0}")]
    NoJanus(String),
    /// Janus does not do its part.
    #[error(transparent)]
    Janus(#[from] janus::Error),
    /// GStreamer does not do its part.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Redis does not do its part; why.
    #[error("{0}")]
    Redis(String),
}

impl Classified for InjectorError {
    fn class(&self) -> ErrorClass {
        match self {
            InjectorError::Refused(refusal) if refusal.is_conflict() => ErrorClass::Conflict,
            InjectorError::Refused(_)
            | InjectorError::Offer(OfferError::Malformed(_))
            | InjectorError::OfferRefused(_) => ErrorClass::BadInput,
            InjectorError::UnknownSession(_)
            | InjectorError::Destroyed(_)
            | InjectorError::UnknownPublication(_) => ErrorClass::Unknown,
            InjectorError::Busy(_) | InjectorError::OfAnother { .. } | InjectorError::RoomExists { .. } => {
                ErrorClass::Conflict
            }
            InjectorError::Offer(OfferError::NoCodec(_))
            | InjectorError::CodecNotCarried(_)
            | InjectorError::HalfTaken { .. } => ErrorClass::NotAcceptable,
            InjectorError::Trickle(why) => why.class(),
            InjectorError::Draining
            | InjectorError::NotRestored
            | InjectorError::TooManyChanges
            | InjectorError::NoJanus(_)
            | InjectorError::Answer(_)
            | InjectorError::Janus(_)
            | InjectorError::Pipeline(_)
            | InjectorError::Redis(_) => ErrorClass::Unavailable,
        }
    }
}
