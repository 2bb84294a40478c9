//! What somebody who comes wants.

use node::media::VideoCodec;
use sdp_types::Session;

use crate::sdp::{self, Common, Numbers, SdpError};
use crate::state::EgressError;

/// What somebody who wants to watch has said.
pub(super) enum Wish {
    /// An offer that can be served.
    Served(Box<(Session, Common)>),
    /// Nothing, or an offer that cannot be served, and why: it is offered something.
    Asks(Option<String>),
}

impl Wish {
    /// Its offer, and what of that can be served.
    pub(super) fn served(&self) -> Option<(&Session, &Common)> {
        match self {
            Wish::Served(served) => Some((&served.0, &served.1)),
            Wish::Asks(_) => None,
        }
    }

    /// Of an offer, if there is one.
    pub(super) fn read(
        offer: Option<&[u8]>,
        codec: VideoCodec,
        numbers: Numbers,
    ) -> Result<Wish, EgressError> {
        let Some(player) = offer.map(sdp::parse).transpose()? else { return Ok(Wish::Asks(None)) };
        match sdp::common(&player, codec, numbers) {
            Ok(common) => Ok(Wish::Served(Box::new((player, common)))),
            Err(SdpError::NoCodec(why)) => Ok(Wish::Asks(Some(why))),
            Err(bad) => Err(bad.into()),
        }
    }
}
