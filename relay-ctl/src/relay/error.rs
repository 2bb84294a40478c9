//! Why something that was asked of the relay cannot be. What HTTP makes of it: `api.rs`.

use std::net::IpAddr;

use node::contract::key;
use relay_common::layout::MAX_CHILDREN;

use crate::config::ConfigError;
use crate::kernel::KernelError;
use crate::net::NetError;
use crate::userspace::UserspaceError;

/// Why a host cannot become a child, or not under that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    /// Its host has no address, in the words of whoever looked it up.
    #[error("{0}")]
    Host(String),
    /// Another child has the name.
    #[error("there is a child of that name already; remove it first, or choose another name")]
    NameTaken,
    /// Another child is there.
    #[error("it has the same address and port as {other}, which would get everything twice")]
    PlaceTaken { other: String },
    /// It would get what it sends.
    #[error("it is this relay itself ({address}); media would go round in a loop")]
    Itself { address: IpAddr },
    /// All numbers are given away.
    #[error("a relay has at most {MAX_CHILDREN} children; put a relay between")]
    TooMany,
    /// No copy can be sent there in this mode, whatever becomes of routes and neighbours.
    #[error("{0}")]
    Unsendable(String),
}

impl ChildError {
    /// A host that nothing was found for.
    pub(super) fn no_address(host: &str) -> ChildError {
        ChildError::Host(format!("host '{host}' has no address"))
    }
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The request makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No stream comes in there.
    #[error("port {port} is not one that this relay listens on ({} or {})", .listened[0], .listened[1])]
    NotListening { port: u16, listened: [u16; 2] },
    /// There is no child of that name.
    #[error("no child {0}; `relay-ctl children` lists them")]
    UnknownChild(String),
    /// A child cannot be.
    #[error("child {child}: {error}")]
    Child { child: String, error: ChildError },
    /// Somebody else captures.
    #[error("another capture is running; only one can at a time")]
    CaptureRunning,
    /// With Redis its keys are the truth; a change made here would be undone by the next reading of them.
    #[error(
        "children of this relay come from Redis; redis-cli SADD {0} NAME, or SREM {0} NAME", key::children(.node)
    )]
    FollowsRedis { node: String },
    /// The data plane refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl RelayError {
    /// For `map_err`: which child it is about.
    pub(super) fn of(child: &str) -> impl Fn(ChildError) -> RelayError + '_ {
        move |error| RelayError::Child { child: child.to_owned(), error }
    }
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Bad configuration, exit code 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Netlink.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kernel data plane.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The sockets.
    #[error(transparent)]
    Userspace(#[from] UserspaceError),
    /// A child that a predecessor left.
    #[error(transparent)]
    Relay(#[from] RelayError),
}
