//! Whether an egress answers for a session, asked before a viewer is sent there: Redis knows only after a minute that one was killed,
//! and the viewer would be sent there again and again.
//!
//! What is asked is its WHEP endpoint at the address that the viewer would be given, which is right behind a proxy too. One asks,
//! once a second at most; meanwhile all others go by what was known before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::outgoing::Probe;

/// How long an egress may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// An answer holds for so long.
const HOLDS: Duration = Duration::from_secs(1);
/// Answers that are remembered.
const MOST: usize = 1024;

/// Asks egresses, and remembers what they said.
#[derive(Clone, Default)]
pub(super) struct Checks {
    probe: Probe,
    known: Arc<Mutex<Known>>,
}

impl Checks {
    /// Why the endpoint at this address is of no use; `None`: it answers, or somebody is just asking it for the first time.
    pub async fn fault(&self, endpoint: &str) -> Option<String> {
        if let Some(known) = self.known().look(endpoint, Instant::now()) {
            return known;
        }
        // All others go by the answer: it comes even if whoever asks hangs up meanwhile.
        let (checks, endpoint) = (self.clone(), endpoint.to_owned());
        tokio::spawn(async move { checks.ask(&endpoint).await }).await.ok().flatten()
    }

    async fn ask(&self, endpoint: &str) -> Option<String> {
        let fault = match self.probe.status(endpoint, PATIENCE).await {
            Ok(status) if is_of_no_use(status) => Some(format!("{endpoint} is answered {status}")),
            Ok(_) => None,
            Err(unanswered) => Some(unanswered.to_string()),
        };
        self.known().learn(endpoint, fault.clone());
        fault
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It has no such session, or is a proxy that reaches nobody. Anything else, a refusal too, was said by somebody who is there.
fn is_of_no_use(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 410 | 502..=504)
}

/// What was said last, by endpoint, and when it was asked. Pure.
#[derive(Default)]
struct Known(BTreeMap<String, (Instant, Option<String>)>);

impl Known {
    /// What is to be believed of it; `None`: it is to be asked, by whoever looks, and nobody else is told so.
    fn look(&mut self, endpoint: &str, now: Instant) -> Option<Option<String>> {
        if let Some((asked, fault)) = self.0.get_mut(endpoint) {
            if now.duration_since(*asked) < HOLDS {
                return Some(fault.clone());
            }
            *asked = now;
            return None;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, (asked, _)| now.duration_since(*asked) < HOLDS);
        }
        // With so many nobody is asked: the viewer sees for itself.
        if self.0.len() >= MOST {
            return Some(None);
        }
        self.0.insert(endpoint.to_owned(), (now, None));
        None
    }

    fn learn(&mut self, endpoint: &str, fault: Option<String>) {
        if let Some(known) = self.0.get_mut(endpoint) {
            known.1 = fault;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn who_hangs_up_keeps_nobody_from_knowing() {
        // It takes connections, and never answers.
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/whep/endpoint/show", deaf.local_addr().unwrap());
        let checks = Checks::default();
        let began = Instant::now();
        while timeout(Duration::from_millis(10), checks.fault(&endpoint)).await.ok().flatten().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "nobody ever learns that {endpoint} does not answer"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn one_asks_and_all_go_by_the_answer() {
        let (mut known, began) = (Known::default(), Instant::now());
        assert_eq!(known.look("a", began), None, "the first is to ask");
        assert_eq!(known.look("a", began), Some(None), "the second hopes");
        known.learn("a", Some("gone".to_owned()));
        assert_eq!(known.look("a", began), Some(Some("gone".to_owned())));
        assert_eq!(known.look("a", began + HOLDS), None, "it may be back");
        assert_eq!(known.look("a", began + HOLDS), Some(Some("gone".to_owned())), "until that is known");
        for n in 0..2 * MOST {
            known.look(&n.to_string(), began + HOLDS);
        }
        assert_eq!(known.0.len(), MOST);
        assert_eq!(known.look("late", began + HOLDS), Some(None));
        assert_eq!(known.look("late", began + 2 * HOLDS), None, "old answers make room");
    }
}
