//! `--webhook URL`: somebody is told what happens. Each event is a POST of JSON, signed as standardwebhooks.com says, and sent
//! again until it is taken or has become old; none is sent twice at once, and they go in order.
//!
//! Whoever tells never waits: events are queued, and of too many the oldest are left out.

mod queue;
mod signature;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::outgoing::Outgoing;
use crate::secret::Secret;
use queue::{Event, Next, Queue};
use signature::Signer;

/// How long the receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node that stops goes on telling.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is told, checked.
#[derive(Clone)]
pub struct WebhookConfig {
    url: Uri,
    signer: Signer,
}

impl WebhookConfig {
    /// What is sent there is signed with the secret: any text, or `whsec_` and base64.
    pub fn new(url: Uri, secret: Secret) -> Result<WebhookConfig, String> {
        Ok(WebhookConfig { url, signer: Signer::new(&secret)? })
    }

    /// Why the secret is a poor one, if it is.
    pub fn warning(&self) -> Option<String> {
        self.signer.warning()
    }
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL's path is a secret with some receivers.
        f.debug_struct("WebhookConfig").field("host", &self.url.host()).field("signer", &self.signer).finish()
    }
}

/// How many events there were, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Taken by the receiver.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that were given up, because they were refused, too old or too many.
    pub dropped: u64,
    /// Events that wait.
    pub queued: usize,
}

impl Told {
    /// Those that are over, each by the name that the metric's label has.
    pub fn rows(self) -> [([&'static str; 1], f64); 3] {
        [("delivered", self.delivered), ("failed", self.failed), ("dropped", self.dropped)]
            .map(|(name, count)| ([name], count as f64))
    }
}

/// Tells, if somebody is to be told. Cheap to clone.
#[derive(Clone, Default)]
pub struct Webhooks(Option<Arc<Shared>>);

struct Shared {
    to: Outgoing,
    signer: Signer,
    node: Value,
    queue: Mutex<Queue>,
    /// There is something new in the queue, or it is to be emptied.
    wake: Notify,
    counts: [AtomicU64; 3],
    problem: Mutex<Option<String>>,
}

impl Webhooks {
    /// Of this node; call it where there is a runtime.
    pub fn start(config: Option<WebhookConfig>, node_id: &str, tree_id: &str) -> Webhooks {
        let Some(WebhookConfig { url, signer }) = config else { return Webhooks(None) };
        let shared = Arc::new(Shared {
            to: Outgoing::new(url),
            signer,
            node: json!({ "nodeId": node_id, "treeId": tree_id }),
            queue: Mutex::default(),
            wake: Notify::new(),
            counts: Default::default(),
            problem: Mutex::default(),
        });
        tokio::spawn(shared.clone().deliver());
        Webhooks(Some(shared))
    }

    /// Something has happened. `kind`: such as `viewer.joined`; `data`: an object, to which node and tree are added.
    pub fn tell(&self, kind: &str, mut data: Value) {
        let Some(shared) = &self.0 else { return };
        if let (Some(data), Some(node)) = (data.as_object_mut(), shared.node.as_object()) {
            data.extend(node.clone());
        }
        let at = since_1970();
        let body = json!({ "type": kind, "timestamp": at.as_millis() as u64, "data": data }).to_string();
        let id = format!("msg_{:032x}", rand_id());
        let left_out = locked(&shared.queue).push(Event { id, body }, at);
        shared.counts[2].fetch_add(left_out, Ordering::Relaxed);
        shared.wake.notify_one();
    }

    /// What became of them.
    pub fn told(&self) -> Told {
        let Some(shared) = &self.0 else { return Told::default() };
        let [delivered, failed, dropped] =
            shared.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Told { delivered, failed, dropped, queued: locked(&shared.queue).len() }
    }

    /// What keeps events from being delivered now.
    pub fn problem(&self) -> Option<String> {
        locked(&self.0.as_ref()?.problem).clone()
    }

    /// Delivers what waits, for a moment: the node stops.
    pub async fn finish(&self) {
        let emptied = async {
            while self.told().queued > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, emptied).await;
    }
}

impl Shared {
    async fn deliver(self: Arc<Self>) {
        loop {
            let next = locked(&self.queue).next(since_1970());
            match next {
                Next::Nothing => self.wake.notified().await,
                Next::Wait(pause) => tokio::time::sleep(pause).await,
                Next::Send(event) => {
                    let sent = self.send(&event).await;
                    self.settle(&event, sent);
                }
            }
        }
    }

    /// One attempt: whether it was taken, and if not, whether it may be another time.
    async fn send(&self, event: &Event) -> Result<(), (bool, String)> {
        let at = since_1970().as_secs().to_string();
        let signed = self.signer.sign(&event.id, &at, &event.body);
        let mut headers = HeaderMap::new();
        for (name, text) in
            [("webhook-id", &event.id), ("webhook-timestamp", &at), ("webhook-signature", &signed)]
        {
            headers.insert(name, HeaderValue::try_from(text).expect("it is plain ASCII"));
        }
        match self.to.post(headers, event.body.clone().into_bytes(), PATIENCE).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => {
                let later = !status.is_client_error()
                    || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
                Err((later, format!("{} answers {status}", self.to.place())))
            }
            Err(why) => Err((true, why.to_string())),
        }
    }

    fn settle(&self, event: &Event, sent: Result<(), (bool, String)>) {
        let [delivered, failed, dropped] = &self.counts;
        let mut queue = locked(&self.queue);
        let mut problem = locked(&self.problem);
        match sent {
            Ok(()) => {
                queue.delivered(&event.id);
                delivered.fetch_add(1, Ordering::Relaxed);
                if problem.take().is_some() {
                    tracing::info!("webhooks are taken again");
                }
            }
            Err((later, why)) => {
                failed.fetch_add(1, Ordering::Relaxed);
                if !queue.failed(&event.id, later, since_1970()) {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
                let why = format!("webhooks are not delivered: {why}");
                if problem.is_none() {
                    tracing::warn!("{why}; they are tried again");
                }
                *problem = Some(why);
            }
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn rand_id() -> u128 {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 16];
    // It names an event and protects nothing: without chance the clock will do.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => since_1970().as_nanos(),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
