//! What serves viewers: between the egress, which knows sessions, HTTP and descriptions, and what sends media.
//!
//! A mountpoint is opened in a [`Server`], which says where its streams are to be put in ([`Outlet`]). Who wants to watch gets the
//! server's offer and a [`Seat`] there; the player's answer, in the words of that offer, starts it. What becomes of the seat is
//! told by [`SeatEvent`]s.
//!
//! - [`janus`]: a Janus with the Streaming plugin, beside this process.
//! - [`native`]: this process itself.

mod error;
mod figures;
pub mod janus;
pub mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use node::media::PerKind;
use sdp_types::Session;
use seats::{Credentials, Inlet};

pub use error::ServerError;
pub use figures::{Figures, Repairs};

use self::janus::JanusServer;
use self::native::NativeServer;
use crate::config::{Config, ServerConfig};
use crate::keyframes::Keyframes;
use crate::mountpoints::Mountpoint;
use crate::sdp::{Common, Numbers};

/// A viewer whose connection does not come up for so long is not one.
pub const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// What serves viewers by this configuration; not connected yet. `keyframes`: the way up the tree for what viewers need.
pub async fn start(config: &Config, keyframes: Arc<Keyframes>) -> Result<Arc<dyn Server>, String> {
    Ok(match &config.server {
        ServerConfig::Janus(janus) => {
            let node_id = config.node.node_id.clone();
            Arc::new(JanusServer::new(janus.clone(), node_id, config.listen, keyframes).await?)
        }
        ServerConfig::Native(native) => Arc::new(NativeServer::start(native, keyframes)?),
    })
}

/// Serves viewers. It comes and goes: [`Server::connect`], [`Server::tidy`], and then it can be used until [`Server::gone`].
pub trait Server: Send + Sync {
    /// In words: `Janus`.
    fn name(&self) -> &'static str;

    /// The same, and where it is: `Janus at ws://127.0.0.1:8188`.
    fn place(&self) -> String;

    /// Whose payload types and extension numbers media is sent with.
    fn numbers(&self) -> Numbers;

    /// Reaches it. An error says why it is not there.
    fn connect(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Takes out what an earlier run of this node has left there. Nobody opens a mountpoint meanwhile.
    fn tidy(&self) -> BoxFuture<'_, ()>;

    /// Ends when it is gone, with all mountpoints and viewers that it had.
    fn gone(&self) -> BoxFuture<'_, ()>;

    /// A mountpoint begins: where its streams are to be put in.
    fn open<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<PerKind<Outlet>, ServerError>>;

    /// It ends. One that is not there has ended.
    fn close<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<(), ServerError>>;

    /// Somebody wants to watch. `player`: its own offer, and what of that can be served; none if it has made none, or none that
    /// can.
    fn watch<'a>(
        &'a self,
        mountpoint: &'a Mountpoint,
        player: Option<(&'a Session, &'a Common)>,
    ) -> BoxFuture<'a, Result<Watching, ServerError>>;

    /// Asks which mountpoints it has, by number; none if it cannot be asked. It may have lost some.
    fn look(&self) -> BoxFuture<'_, Option<BTreeSet<u64>>>;

    /// Time since a mountpoint's streams last reached it, as far as it said at the last look.
    fn ages(&self, mountpoint: u64) -> Ages;

    /// What is known of seats whose viewers are up, by [`Seat::number`]: what was read last.
    fn figures(&self) -> BTreeMap<u64, Figures>;

    /// What is worth knowing of it and keeps nobody from watching.
    fn warning(&self) -> Option<String> {
        None
    }

    /// What it has dropped, by reason; never falls.
    fn dropped(&self) -> Vec<(&'static str, u64)>;
}

/// Where a stream is put in.
#[derive(Clone)]
pub enum Outlet {
    /// A UDP port.
    Port(SocketAddr),
    /// Something in this process.
    Inlet(Arc<Inlet>),
}

impl PartialEq for Outlet {
    fn eq(&self, other: &Outlet) -> bool {
        match (self, other) {
            (Outlet::Port(one), Outlet::Port(other)) => one == other,
            (Outlet::Inlet(one), Outlet::Inlet(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outlet::Port(address) => write!(f, "{address}"),
            Outlet::Inlet(_) => f.write_str("here"),
        }
    }
}

/// Time since the last packet of audio and video.
pub type Ages = PerKind<Option<Duration>>;

/// Somebody is about to watch.
pub struct Watching {
    /// What the server offers.
    pub offer: Session,
    /// Kept for the one who answers.
    pub seat: Arc<dyn Seat>,
    /// What becomes of it; ends when it is free again.
    pub events: BoxStream<'static, SeatEvent>,
}

/// What becomes of a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatEvent {
    /// The viewer's connection is up.
    Up,
    /// The first packet of the picture, or of the sound where there is none, has been sent to it; of servers that know.
    Shown,
    /// The viewer has gone. Why, for the log.
    Gone(String),
}

/// A viewer's place in a server.
pub trait Seat: Send + Sync {
    /// Its number there.
    fn number(&self) -> u64;

    /// The player's answer to the server's offer.
    fn start(&self, answer: Session) -> BoxFuture<'_, Result<(), ServerError>>;

    /// A player has found one more way to be reached (`candidate:…`); none: that was all.
    fn trickle(&self, candidate: Option<String>) -> BoxFuture<'_, Result<(), ServerError>>;

    /// A player restarts ICE (RFC 9725 section 4.3.3) with these credentials. Gives the server's side of the new ICE session, as a
    /// fragment (RFC 8840 section 9).
    fn restart(&self, theirs: Credentials) -> BoxFuture<'_, Result<String, ServerError>>;

    /// It is given up, whatever the server says to that.
    fn leave(&self) -> BoxFuture<'_, ()>;
}
