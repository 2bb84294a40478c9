//! Why a server does not do what it is asked for.

use node::http::{Classified, ErrorClass};
use seats::Refusal;

use super::janus::{is_bad_sdp, is_clash};
use crate::mountpoints::Fault;
use crate::sdp::SdpError;

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It is not there; why.
    #[error("{0}")]
    Away(String),
    /// It cannot have one of a mountpoint's ports; who has it.
    #[error("{0}")]
    PortTaken(String),
    /// Descriptions that make no sense.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// Janus said no, in its own words.
    #[error(transparent)]
    Janus(#[from] janus::Error),
    /// The native server has no seat.
    #[error(transparent)]
    Seats(#[from] seats::Refusal),
    /// It cannot restart ICE.
    #[error("ICE restarts are not supported; begin again with a POST")]
    NoRestart,
}

impl ServerError {
    /// It has gone meanwhile: when it is back, the same may be tried again.
    pub fn is_away(&self) -> bool {
        use janus::Error::{Closed, Timeout};
        matches!(self, ServerError::Away(_) | ServerError::Janus(Closed | Timeout { .. }))
    }

    /// Whose fault it is that a mountpoint cannot be had.
    pub fn fault(&self) -> Fault {
        match self {
            ServerError::Janus(error) if is_clash(error) => Fault::Session,
            _ => Fault::Node,
        }
    }
}

impl Classified for ServerError {
    fn class(&self) -> ErrorClass {
        match self {
            ServerError::Sdp(SdpError::NoCodec(_)) => ErrorClass::NotAcceptable,
            ServerError::Sdp(SdpError::Bad(_)) => ErrorClass::BadInput,
            ServerError::NoRestart => ErrorClass::Unsupported,
            ServerError::Janus(error) if is_clash(error) => ErrorClass::Conflict,
            ServerError::Janus(error) if is_bad_sdp(error) => ErrorClass::BadInput,
            ServerError::Seats(Refusal::NoSeat) => ErrorClass::Unknown,
            ServerError::Away(_)
            | ServerError::PortTaken(_)
            | ServerError::Janus(_)
            | ServerError::Seats(Refusal::NoMountpoint(_) | Refusal::TooManyJoining(_)) => {
                ErrorClass::Unavailable
            }
        }
    }
}
