//! [`Overviews`]: one reading of the tree, for however many ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::make::make;
use super::read::read;
use super::view::Overview;
use crate::commands::Commands;
use crate::config::RedisConfig;

/// What was read is shown for so long, …
const FRESH: Duration = Duration::from_secs(1);
/// … or for so many times as long as the reading took, if that is longer: a large tree is not read all the time.
const SHARE: u32 = 20;
/// A reading that takes longer is given up: whoever asks is told that Redis is away before it takes the node for dead.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// While Redis is away, what was read before is shown for so long, and that it is old.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Reads the tree when somebody asks.
pub struct Overviews {
    commands: Commands,
    tree_id: String,
    last: Mutex<Option<Last>>,
}

struct Last {
    overview: Arc<Overview>,
    /// The reading, when it ended and how long it took.
    read: Instant,
    took: Duration,
    /// The last attempt, if that failed.
    failed: Option<(Instant, String)>,
}

impl Overviews {
    /// Of this tree. Nothing is read yet.
    pub fn new(redis: RedisConfig, tree_id: &str) -> Overviews {
        Overviews { commands: Commands::new(redis), tree_id: tree_id.to_owned(), last: Mutex::default() }
    }

    /// How the tree is. An error says what is wrong with Redis. Who asks while it is being read waits for that.
    pub async fn get(&self) -> Result<Arc<Overview>, String> {
        let mut last = self.last.lock().await;
        if let Some(known) = last.as_ref().and_then(Last::fresh) {
            return Ok(known);
        }
        let began = Instant::now();
        let late = || format!("Redis has not said within {} s how the tree is", PATIENCE.as_secs());
        let facts = timeout(PATIENCE, read(&self.commands, &self.tree_id)).await;
        match facts.unwrap_or_else(|_| Err(late())) {
            Ok(facts) => {
                let overview = Arc::new(make(&facts));
                let (read, took) = (Instant::now(), began.elapsed());
                *last = Some(Last { overview: overview.clone(), read, took, failed: None });
                Ok(overview)
            }
            Err(why) => match last.as_mut().filter(|last| last.read.elapsed() < REMEMBERED) {
                Some(last) => {
                    last.failed = Some((Instant::now(), why));
                    Ok(last.shown())
                }
                None => Err(why),
            },
        }
    }
}

impl Last {
    fn fresh(&self) -> Option<Arc<Overview>> {
        let is_recent = match &self.failed {
            // Who knocks at a server that is away every time that somebody asks waits every time.
            Some((at, _)) => at.elapsed() < FRESH && self.read.elapsed() < REMEMBERED,
            None => self.read.elapsed() < FRESH.max(self.took * SHARE),
        };
        is_recent.then(|| self.shown())
    }

    /// What was read, and if that is old, why.
    fn shown(&self) -> Arc<Overview> {
        let Some((_, why)) = &self.failed else { return self.overview.clone() };
        let mut old = Overview::clone(&self.overview);
        let seconds = self.read.elapsed().as_secs();
        old.problems
            .insert(0, format!("this is how the tree was {seconds} s ago; it cannot be read now: {why}"));
        old.healthy = false;
        Arc::new(old)
    }
}
