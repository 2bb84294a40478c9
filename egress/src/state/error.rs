//! Why the egress does not do what it is asked for, and what kind of error that is for HTTP.

use node::http::wish::Trickle;
use node::http::{Classified, ErrorClass};

use crate::mountpoints::Refusal;
use crate::pipeline::PipelineError;
use crate::sdp::SdpError;
use crate::server::ServerError;

/// Longest name of a session.
pub const LONGEST_NAME: usize = 128;

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A name that could not be part of an address.
    #[error("sessionId must be 1 to {LONGEST_NAME} characters without blanks or any of /?#%")]
    BadName,
    /// A number that no mountpoint can have.
    #[error("roomId must be a number from 1 to {}", node::contract::LARGEST_ROOM)]
    BadRoom,
    /// A codec that no mountpoint has.
    #[error("videoCodec must be vp8 or h264, not '{}'", .0.escape_debug())]
    BadCodec(String),
    /// There is no such session here.
    #[error("there is no session '{0}' here")]
    UnknownSession(String),
    /// Mountpoints of this node have no ports.
    #[error("with --server native there is no pool of ports")]
    NoPool,
    /// There is no such viewer of that session.
    #[error("there is no such viewer; it has left, or never came")]
    UnknownViewer,
    /// The mountpoint cannot be had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An offer or answer of a player is of no use.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// Candidates that are not taken.
    #[error(transparent)]
    Trickle(#[from] Trickle),
    /// A viewer answers twice.
    #[error("this viewer's offer has been answered already")]
    AnsweredAlready,
    /// A viewer's answer takes neither audio nor video.
    #[error("the answer refuses all media: no codec in common")]
    NothingTaken,
    /// The server has no mountpoint for the session yet.
    #[error("session {0} is not ready yet")]
    NotReady(String),
    /// No media reaches this node; why.
    #[error("this node is cut off from its tree: {0}")]
    CutOff(String),
    /// Nobody can be served at the moment; why.
    #[error("{0}")]
    NoServer(String),
    /// GStreamer does not do its part.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The server said no, in its own words.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Classified for EgressError {
    fn class(&self) -> ErrorClass {
        match self {
            EgressError::BadName | EgressError::BadRoom | EgressError::BadCodec(_) => ErrorClass::BadInput,
            EgressError::UnknownSession(_) | EgressError::UnknownViewer | EgressError::NoPool => {
                ErrorClass::Unknown
            }
            EgressError::Refused(refusal) => match refusal {
                Refusal::SameSsrc(_) | Refusal::NoSsrc | Refusal::BadRoom(_) => ErrorClass::BadInput,
                Refusal::PortsUsedUp(_) | Refusal::PortsHeld { .. } | Refusal::TooMany(_) => {
                    ErrorClass::Unavailable
                }
                Refusal::OtherSsrcs { .. }
                | Refusal::Exists(_)
                | Refusal::SsrcTaken { .. }
                | Refusal::RoomTaken { .. } => ErrorClass::Conflict,
            },
            EgressError::Sdp(SdpError::Bad(_)) => ErrorClass::BadInput,
            EgressError::Sdp(SdpError::NoCodec(_)) | EgressError::NothingTaken => ErrorClass::NotAcceptable,
            EgressError::Trickle(why) => why.class(),
            EgressError::AnsweredAlready => ErrorClass::Conflict,
            EgressError::Server(error) => error.class(),
            EgressError::NotReady(_)
            | EgressError::CutOff(_)
            | EgressError::NoServer(_)
            | EgressError::Pipeline(_) => ErrorClass::Unavailable,
        }
    }
}
