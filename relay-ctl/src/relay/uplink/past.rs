//! The last packets and what streams jump over, of whichever data plane there is. Whoever reads them holds no lock of the relay's.

use node::repair::{Finder, History, Kept, StreamId};
use relay_common::layout::Gap;
use tokio::sync::mpsc;

use crate::kernel;
use crate::relay::plane::Plane;
use crate::userspace::Mouth;

/// Gaps that are taken at once, before anything else has its turn.
const AT_ONCE: usize = 256;

/// The last packets that went to children.
pub(super) enum Past {
    /// Where the kernel keeps them, if it does.
    Kernel(Option<kernel::History>),
    /// In userspace mode, if they are kept; and what sends there.
    Userspace(Option<Finder>, Mouth),
    #[cfg(test)]
    Other(Box<dyn History + Send>),
}

impl History for Past {
    fn catch_up(&mut self) {
        match self {
            Past::Kernel(history) => history.as_mut().map_or((), History::catch_up),
            Past::Userspace(history, _) => history.as_mut().map_or((), History::catch_up),
            #[cfg(test)]
            Past::Other(history) => history.catch_up(),
        }
    }

    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<Kept> {
        match self {
            Past::Kernel(history) => history.as_mut()?.find(stream, sequence),
            Past::Userspace(history, _) => history.as_mut()?.find(stream, sequence),
            #[cfg(test)]
            Past::Other(history) => history.find(stream, sequence),
        }
    }
}

impl Past {
    pub fn of(plane: &Plane) -> Past {
        match plane {
            Plane::Userspace(sockets) => Past::Userspace(sockets.history().map(Finder::new), sockets.mouth()),
            Plane::Kernel(plane) => Past::Kernel(plane.history().unwrap_or_else(|error| {
                tracing::warn!("nothing can be sent again to children: {error}");
                None
            })),
        }
    }

    /// What sends, in userspace mode.
    pub fn mouth(&self) -> Option<&Mouth> {
        match self {
            Past::Userspace(_, mouth) => Some(mouth),
            _ => None,
        }
    }

    /// Gaps and questions that nobody was told of, since more came than could be taken.
    pub fn untold(&self) -> u64 {
        match self {
            Past::Kernel(history) => history.as_ref().map_or(0, kernel::History::untold),
            Past::Userspace(_, mouth) => mouth.untold(),
            #[cfg(test)]
            Past::Other(_) => 0,
        }
    }
}

/// What streams jump over, as the data plane says it.
pub(super) enum Gaps {
    /// It does not, or nobody asks for what is missing.
    Untold,
    /// While nobody takes them they wait in the kernel's ring.
    Kernel(Box<kernel::Gaps>),
    Userspace(mpsc::Receiver<Gap>),
}

impl Gaps {
    /// Only the first call has them.
    pub fn of(plane: &mut Plane) -> Gaps {
        let ring = match plane {
            Plane::Userspace(sockets) => return sockets.gaps().map_or(Gaps::Untold, Gaps::Userspace),
            Plane::Kernel(plane) => plane.gaps(),
        };
        let gaps = ring
            .map_err(|error| error.to_string())
            .and_then(|ring| ring.map(kernel::Gaps::new).transpose().map_err(|error| error.to_string()));
        match gaps {
            Ok(gaps) => gaps.map_or(Gaps::Untold, |gaps| Gaps::Kernel(Box::new(gaps))),
            Err(error) => {
                tracing::warn!("what is missing is not asked for: {error}");
                Gaps::Untold
            }
        }
    }

    /// Some more, at least one; never, if nobody tells. What is not waited for to its end is not lost.
    pub async fn next(&mut self) -> Result<Vec<Gap>, String> {
        match self {
            Gaps::Untold => std::future::pending().await,
            Gaps::Kernel(gaps) => gaps.take().await.map_err(|error| format!("no more gaps: {error}")),
            Gaps::Userspace(gaps) => {
                let mut some = Vec::new();
                match gaps.recv_many(&mut some, AT_ONCE).await {
                    0 => Err("no more gaps: the data plane has ended".to_owned()),
                    _ => Ok(some),
                }
            }
        }
    }
}
