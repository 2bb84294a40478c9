//! `--authorize URL`: somebody else decides. Asked for what begins (a publication, a viewer), by POST; 200 is yes and 403 no. Whatever
//! else comes, or nothing in time, is no answer, and without one nothing begins.
//!
//! Answers are remembered for a while, and those who ask the same at the same time wait for one answer.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, Uri};
use ring::digest;
use serde::Serialize;
use tokio::sync::{OnceCell, Semaphore};

use super::Role;
use super::cache::Cache;
use crate::outgoing::Outgoing;

/// How long an answer may take, the wait for a turn included.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Questions at once.
const AT_ONCE: usize = 64;
/// Questions that wait for a turn; further ones are not answered.
const WAITING: usize = 4096;
/// Answers that are remembered.
const REMEMBERED: usize = 16_384;

/// What is asked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<'a> {
    /// `publish` or `watch`.
    pub action: &'a str,
    /// Session.
    pub session_id: &'a str,
    /// `whip`, `whep` or `rtmp`.
    pub protocol: &'a str,
    /// Who asks: an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The token that it showed, if it showed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// This node.
    pub node_id: &'a str,
    /// Its tree.
    pub tree_id: &'a str,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Yes,
    /// 403.
    No,
    /// No answer, and why.
    None(String),
}

type Key = [u8; 32];

/// Asks.
pub struct Hook {
    to: Outgoing,
    remember: Duration,
    began: Instant,
    turns: Semaphore,
    waiting: Semaphore,
    known: Mutex<Cache<Key, bool>>,
    under_way: Mutex<HashMap<Key, Arc<OnceCell<Answer>>>>,
    /// Why the last question had no answer.
    problem: Mutex<Option<String>>,
}

impl Hook {
    /// Of this address. `remember`: how long an answer counts.
    pub fn new(url: Uri, remember: Duration) -> Hook {
        Hook {
            to: Outgoing::new(url),
            remember,
            began: Instant::now(),
            turns: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
            known: Mutex::new(Cache::new(REMEMBERED)),
            under_way: Mutex::default(),
            problem: Mutex::default(),
        }
    }

    /// Asks, or remembers.
    pub async fn ask(&self, role: Role, question: &Question<'_>) -> Answer {
        let key = key(role, question);
        if let Some(yes) = locked(&self.known).get(&key, self.began.elapsed()) {
            return if yes { Answer::Yes } else { Answer::No };
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Answer::None(format!("{} is asked by too many at once", self.to.place()));
        };
        let cell = locked(&self.under_way).entry(key).or_default().clone();
        let asking = UnderWay { hook: self, key };
        let answer = cell.get_or_init(|| self.find_out(key, question)).await.clone();
        drop(asking);
        answer
    }

    async fn find_out(&self, key: Key, question: &Question<'_>) -> Answer {
        let asking = async {
            let _turn = self.turns.acquire().await;
            let body = serde_json::json!(question).to_string();
            self.to.post(HeaderMap::new(), body.into_bytes(), PATIENCE).await
        };
        let answer = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(StatusCode::OK)) => Answer::Yes,
            Ok(Ok(StatusCode::FORBIDDEN)) => Answer::No,
            Ok(Ok(status)) => {
                Answer::None(format!("{} answers {status}, and neither 200 nor 403", self.to.place()))
            }
            Ok(Err(why)) => Answer::None(why.to_string()),
            Err(_) => {
                Answer::None(format!("{} does not answer within {} s", self.to.place(), PATIENCE.as_secs()))
            }
        };
        self.note(&answer);
        if answer == Answer::Yes || answer == Answer::No {
            let now = self.began.elapsed();
            locked(&self.known).put(key, answer == Answer::Yes, now, self.remember);
        }
        answer
    }
}

impl Hook {
    /// Why nobody is let in at present, if so.
    pub fn problem(&self) -> Option<String> {
        locked(&self.problem).clone()
    }

    /// What is wrong is logged once, however many ask meanwhile.
    fn note(&self, answer: &Answer) {
        let mut problem = locked(&self.problem);
        match answer {
            Answer::None(why) => {
                let why = format!("nobody new is let in, because --authorize does not answer: {why}");
                if problem.is_none() {
                    tracing::warn!("{why}");
                }
                *problem = Some(why);
            }
            Answer::Yes | Answer::No => {
                if problem.take().is_some() {
                    tracing::info!("--authorize answers again");
                }
            }
        }
    }
}

/// A question that is being asked; the next one of its kind is asked anew when it is over, or was given up.
struct UnderWay<'a> {
    hook: &'a Hook,
    key: Key,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = locked(&self.hook.under_way);
        // The last of those who wait for it: this one, and the table's.
        if under_way.get(&self.key).is_some_and(|cell| cell.initialized() || Arc::strong_count(cell) <= 2) {
            under_way.remove(&self.key);
        }
    }
}

/// By which an answer is remembered: all that is asked. The token is not kept.
fn key(role: Role, question: &Question<'_>) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    let client = question.client.map(|client| client.to_canonical().to_string()).unwrap_or_default();
    let told = u8::from(question.token.is_some()).to_string();
    for part in [
        role.name(),
        question.session_id,
        question.protocol,
        &client,
        &told,
        question.token.unwrap_or_default(),
    ] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("to", &self.to.place()).field("remember", &self.remember).finish()
    }
}
