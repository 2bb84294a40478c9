//! One scaler leads in a tree. Who does renews its lease several times before that ends, and acts no more once it may have ended: its own
//! clock says so even while Redis does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Journal;
use crate::clock::now;

/// So often within its time a lease is renewed.
const RENEWALS: u32 = 4;

/// Kept for as long as it is there.
pub struct Lease {
    reign: watch::Receiver<Held>,
    rests: watch::Sender<Option<Rest>>,
    keeping: tokio::task::JoinHandle<()>,
}

/// How it stands.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// We lead.
    pub reign: Option<Reign>,
    /// Somebody else does.
    pub other: Option<String>,
    /// Why neither is known.
    pub problem: Option<String>,
}

/// Others may lead first.
#[derive(Clone, Debug)]
struct Rest {
    why: &'static str,
    until: Instant,
}

/// A time in which a scaler leads.
#[derive(Clone, Copy, Debug)]
pub struct Reign {
    /// What everything that it writes is marked with.
    pub fence: u64,
    /// Until when it leads for certain.
    pub until: Instant,
}

impl Lease {
    /// Tries to lead from now on.
    pub fn keep(journal: Arc<Journal>, ttl: Duration) -> Lease {
        let (sender, reign) = watch::channel(Held::default());
        let (rests, rest) = watch::channel(None);
        Lease { reign, rests, keeping: tokio::spawn(renew(journal, ttl, sender, rest)) }
    }

    /// Does not lead for a while, so that another can.
    pub fn rest(&self, why: &'static str, time: Duration) {
        self.rests.send_replace(Some(Rest { why, until: Instant::now() + time }));
    }

    /// How it stands now. What has run out is none.
    pub fn held(&self) -> Held {
        let mut held = self.reign.borrow().clone();
        let now = Instant::now();
        let rests = self.rests.borrow().as_ref().is_some_and(|rest| now < rest.until);
        held.reign = held.reign.filter(|reign| !rests && now < reign.until);
        held
    }

    /// Whether we lead, by this fence.
    pub fn is(&self, fence: u64) -> bool {
        self.held().reign.is_some_and(|reign| reign.fence == fence)
    }

    /// Waits until we lead.
    pub async fn led(&self) -> Reign {
        let mut reign = self.reign.clone();
        loop {
            if let Some(reign) = self.held().reign {
                return reign;
            }
            if reign.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until we lead no more by this fence.
    pub async fn lost(&self, fence: u64) {
        let mut reign = self.reign.clone();
        loop {
            let Some(held) = self.held().reign.filter(|reign| reign.fence == fence) else { return };
            tokio::select! {
                changed = reign.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(held.until.into()) => {}
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

async fn renew(
    journal: Arc<Journal>,
    ttl: Duration,
    sender: watch::Sender<Held>,
    rest: watch::Receiver<Option<Rest>>,
) {
    loop {
        let resting = rest.borrow().clone().filter(|rest| Instant::now() < rest.until);
        if let Some(Rest { why, .. }) = resting {
            let other = journal.leader().await.ok().flatten().filter(|other| other != journal.me());
            sender.send_replace(Held { reign: None, other, problem: Some(why.to_owned()) });
            tokio::time::sleep(ttl / RENEWALS).await;
            continue;
        }
        // The lease begins when Redis has it, which is after this.
        let asked = Instant::now();
        let taken = tokio::time::timeout(ttl / 2, journal.take(ttl.as_millis() as u64, now())).await;
        let taken = taken.unwrap_or_else(|_| Err("Redis does not answer".to_owned()));
        sender.send_modify(|held| match taken {
            Ok(Ok(fence)) => {
                *held = Held { reign: Some(Reign { fence, until: asked + ttl }), ..Held::default() };
            }
            Ok(Err(other)) => *held = Held { other: Some(other), ..Held::default() },
            // What was taken before holds until it runs out.
            Err(why) => held.problem = Some(why),
        });
        tokio::time::sleep(ttl / RENEWALS).await;
    }
}
