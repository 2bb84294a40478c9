//! [`Tasks`]: what a daemon does for as long as it runs. A task that fails is not missed in silence: the log and `status` say so, and it
//! is begun again.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;

/// First and longest pause before a task is begun again.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];
/// One that has run for so long is not what failed before.
const LONG: Duration = Duration::from_secs(60);
/// So long a failure is worth a warning.
const RECENT: Duration = Duration::from_secs(600);

/// Begins them, again if need be, and knows which have failed.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Mutex<BTreeMap<&'static str, Failed>>>);

#[derive(Clone, Debug)]
struct Failed {
    times: u64,
    at: Instant,
    why: String,
}

impl Tasks {
    /// Does this until it says that it is done, which is never but when the daemon ends. One that ends with an error, or panics, has
    /// failed. `what`: to be read before "has failed".
    pub fn keep<F>(&self, what: &'static str, mut begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let tasks = self.clone();
        tokio::spawn(async move {
            let mut backoff = Backoff::new(PAUSES);
            loop {
                let begun = Instant::now();
                // It ends with this one.
                let mut task = JoinSet::new();
                task.spawn(begin());
                let why = match task.join_next().await {
                    None | Some(Ok(Ok(()))) => return,
                    Some(Ok(Err(why))) => why,
                    Some(Err(error)) if error.is_cancelled() => return,
                    Some(Err(error)) => panic_of(error),
                };
                if begun.elapsed() > LONG {
                    backoff.reset();
                }
                tracing::error!("{what} has failed, and is begun again: {why}");
                tasks.failed(what, why);
                sleep(backoff.pause()).await;
            }
        });
    }

    /// What has failed in the last minutes.
    pub fn warnings(&self) -> Vec<String> {
        let all = self.all();
        let recent = all.iter().filter(|(_, failed)| failed.at.elapsed() < RECENT);
        recent
            .map(|(what, Failed { times, at, why })| {
                let (times, ago) = (if *times == 1 { "once" } else { "again and again" }, at.elapsed().as_secs());
                format!("{what} has failed {times} and was begun again, the last time {ago} s ago: {why}; the log says more")
            })
            .collect()
    }

    fn failed(&self, what: &'static str, why: String) {
        let mut all = self.all();
        let before = all.get(what).filter(|failed| failed.at.elapsed() < RECENT);
        let times = before.map_or(0, |failed| failed.times) + 1;
        all.insert(what, Failed { times, at: Instant::now(), why });
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it said.
fn panic_of(error: JoinError) -> String {
    let Ok(said) = error.try_into_panic() else { return "it was ended".to_owned() };
    let said = match said.downcast::<String>() {
        Ok(said) => Some(*said),
        Err(said) => said.downcast_ref::<&str>().map(|said| (*said).to_owned()),
    };
    said.unwrap_or_else(|| "it panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_begun_again_and_said() {
        let (tasks, times) = (Tasks::default(), Arc::new(AtomicU64::new(0)));
        let (tell, mut told) = mpsc::unbounded_channel();
        tasks.keep("asking", move || {
            let (time, tell) = (times.fetch_add(1, Relaxed), tell.clone());
            async move {
                let _ = tell.send(time);
                match time {
                    0 => panic!("number {time}"),
                    1 => panic!("plainly"),
                    2 => Err("no more events".to_owned()),
                    _ => std::future::pending().await,
                }
            }
        });
        for time in 0..4 {
            assert_eq!(told.recv().await, Some(time));
        }
        let said = tasks.warnings();
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("asking has failed again and again") && said[0].contains("no more events"),
            "{said:?}"
        );
        sleep(RECENT).await;
        assert!(tasks.warnings().is_empty(), "it has worked for long");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_all_the_time_does_not_keep_the_machine_busy() {
        let (tasks, times) = (Tasks::default(), Arc::new(AtomicU64::new(0)));
        let counted = times.clone();
        tasks.keep("asking", move || {
            counted.fetch_add(1, Relaxed);
            async { panic!("at once") }
        });
        sleep(Duration::from_secs(600)).await;
        assert!((60..150).contains(&times.load(Relaxed)), "{times:?}");
        assert!(tasks.warnings()[0].contains("at once"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_done_is_not_begun_again() {
        let (tasks, times) = (Tasks::default(), Arc::new(AtomicU64::new(0)));
        let counted = times.clone();
        tasks.keep("asking", move || {
            counted.fetch_add(1, Relaxed);
            async { Ok(()) }
        });
        sleep(Duration::from_secs(60)).await;
        assert_eq!((times.load(Relaxed), tasks.warnings().len()), (1, 0));
    }
}
