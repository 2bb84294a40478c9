//! Sweeps the tree ([`crate::sweep`]) beside all else that a node does at Redis.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Mutex, watch};

use super::keeper::Keeper;
use super::{Follows, TreeView};
use crate::redis::connect::Link;
use crate::redis::failure::Failure;
use crate::redis::wire::Wire;
use crate::sweep::{Report, Sweeper};

/// Longest and shortest pause between two turns.
const EVERY: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(1)];
/// Pause between turns while there is more to take out.
const MORE: Duration = Duration::from_millis(200);
/// Who may not sweep tries again so much later.
const REFUSED: Duration = Duration::from_secs(600);

/// How often is looked, for nodes that have to be gone for so long.
pub(super) fn every(after: Duration) -> Duration {
    (after / 4).clamp(EVERY[1], EVERY[0])
}

/// What a turn came to, or why it was not let.
pub(super) type Turn = Result<Report, String>;

/// Sweeps for as long as the link lives.
pub(super) fn begin(
    link: &mut Link,
    sweeper: Option<Arc<Mutex<Sweeper>>>,
    view: watch::Receiver<TreeView>,
) -> UnboundedReceiver<Turn> {
    let (turns, told) = mpsc::unbounded_channel();
    if let Some(sweeper) = sweeper {
        link.tasks.spawn(sweep(link.commands.clone(), link.address.clone(), sweeper, view, turns));
    }
    told
}

async fn sweep(
    mut commands: Wire,
    address: String,
    sweeper: Arc<Mutex<Sweeper>>,
    view: watch::Receiver<TreeView>,
    turns: UnboundedSender<Turn>,
) {
    let epoch = Instant::now();
    // Whoever has only just come knows least.
    let mut pause = sweeper.lock().await.every();
    loop {
        // A thousand nodes do not ask at once who sweeps.
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.8..1.2))).await;
        let mut sweeper = sweeper.lock().await;
        pause = sweeper.every();
        let is_registered = {
            let view = view.borrow();
            view.redis.registered && view.redis.taken.is_none()
        };
        if !is_registered {
            continue;
        }
        let turn = match sweeper.turn(&mut commands, epoch.elapsed(), now_ms()).await {
            Ok(report) => {
                if report.more {
                    pause = pause.min(MORE);
                }
                Ok(report)
            }
            Err(error) => match Failure::of(&address, error) {
                failure @ (Failure::NotAllowed { .. } | Failure::ReadOnly { .. }) => {
                    pause = REFUSED;
                    Err(failure.to_string())
                }
                failure => {
                    tracing::debug!("sweeping goes on later: {failure}");
                    continue;
                }
            },
        };
        if turns.send(turn).is_err() {
            return;
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

impl<F: Follows> Keeper<F> {
    /// A turn is over.
    pub(super) fn swept(&mut self, turn: Turn) {
        let problem = match turn {
            Ok(report) => {
                for what in &report.swept {
                    tracing::info!("what a dead node left in Redis is taken out: {what}");
                }
                self.view.redis.swept += report.swept.len() as u64;
                None
            }
            Err(why) => Some(format!(
                "this node does not take out of Redis what dead nodes left there, and leaves it to others: {why}; what it \
                 needs is in docs/operations.md, or --sweep-after 0 says that it is not to"
            )),
        };
        if let Some(problem) =
            problem.as_ref().filter(|why| self.view.redis.sweep_problem.as_ref() != Some(why))
        {
            tracing::info!("{problem}");
        }
        self.view.redis.sweep_problem = problem;
        self.show();
    }
}
