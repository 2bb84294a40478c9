//! The last packets and what streams jump over, of whichever data plane there is.

use std::sync::{Mutex, PoisonError};

use node::repair::{History, Kept, StreamId};
use tokio::sync::mpsc;

use super::Gaps;
use crate::kernel;
use crate::relay::plane::Plane;

/// Gaps of the kernel's that may wait, besides those in its own ring.
const WAITING: usize = 1024;

/// The last packets that went to children.
pub(super) struct Past<'a> {
    pub plane: &'a Plane,
    /// Beside a kernel data plane.
    pub kernel: Option<&'a mut kernel::History>,
}

impl History for Past<'_> {
    fn find(&mut self, stream: &StreamId, sequence: u16) -> Option<Kept> {
        match self.plane {
            Plane::Kernel(_) => self.kernel.as_mut()?.find(stream, sequence),
            Plane::Userspace(sockets) => sockets.find(stream, sequence),
        }
    }
}

impl Past<'_> {
    /// Gaps that nobody was told of, since more came than could be taken.
    pub fn untold_gaps(&self) -> u64 {
        match self.plane {
            Plane::Kernel(_) => self.kernel.as_ref().map_or(0, |history| history.untold()),
            Plane::Userspace(sockets) => sockets.untold_gaps(),
        }
    }
}

/// Where the kernel keeps them; none in userspace mode, which has its own.
pub(super) fn history(plane: &Plane) -> Option<kernel::History> {
    let Plane::Kernel(plane) = plane else { return None };
    plane.history().unwrap_or_else(|error| {
        tracing::warn!("nothing can be sent again to children: {error}");
        None
    })
}

/// Of who has it to himself.
pub(super) fn of(history: &mut Mutex<Option<kernel::History>>) -> Option<&mut kernel::History> {
    history.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
}

/// What streams jump over; none if that is not told. Only the first call has it.
pub(super) fn gaps(plane: &mut Plane) -> Option<Gaps> {
    let ring = match plane {
        Plane::Userspace(sockets) => return sockets.gaps(),
        Plane::Kernel(plane) => plane.gaps(),
    };
    let gaps = ring
        .map_err(|error| error.to_string())
        .and_then(|ring| ring.map(kernel::Gaps::new).transpose().map_err(|error| error.to_string()));
    match gaps {
        Ok(gaps) => {
            let (sender, receiver) = mpsc::channel(WAITING);
            tokio::spawn(tell(gaps?, sender));
            Some(receiver)
        }
        Err(error) => {
            tracing::warn!("what is missing is not asked for: {error}");
            None
        }
    }
}

/// Until nobody listens. While the receiver is busy, gaps wait in the kernel's ring.
async fn tell(mut gaps: kernel::Gaps, receiver: mpsc::Sender<relay_common::layout::Gap>) {
    loop {
        match gaps.take().await {
            Ok(some) => {
                for gap in some {
                    if receiver.send(gap).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => return tracing::error!("what is missing is not asked for any more: {error}"),
        }
    }
}
