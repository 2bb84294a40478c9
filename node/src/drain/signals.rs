//! SIGTERM empties the node before it ends.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use super::Drains;
use crate::daemon::{Signal, Signals};

/// Waits until the node is to end: at once by Ctrl-C (SIGINT); by SIGTERM when it is empty, or nobody can go anywhere
/// else, or `drain-limit` is over, or a signal comes again.
pub async fn ended<N: Drains>(mut signals: Signals, node: Arc<N>) {
    let drain = node.drain();
    if signals.next().await == Signal::Interrupt || drain.limit.is_zero() {
        return;
    }
    drain.begin(None, true, Instant::now());
    drain.counted(node.count());
    let mut stage = drain.stage();
    tokio::select! {
        // The drain is ours as well: it does not end.
        _ = stage.wait_for(|stage| stage.drained || stage.is_stuck) => {}
        () = sleep(drain.limit) => {
            let left = drain.view().left;
            let left = drain.are(left);
            tracing::warn!("the limit for draining is over (--drain-limit): {left} left, and the node ends");
        }
        _ = signals.next() => tracing::warn!("told to end at once"),
    }
}
