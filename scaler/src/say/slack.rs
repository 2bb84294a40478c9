//! Messages to a Slack channel, by an incoming webhook. Nobody waits for them, and none is sent twice.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, Uri};
use node::outgoing::Outgoing;
use serde_json::json;
use tokio::sync::mpsc;

/// Messages that wait; of more the newest are left out.
const QUEUE: usize = 100;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a message is sent until it is taken, with pauses of so long in between, each twice the last.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// A channel. Cheap to clone.
#[derive(Clone)]
pub struct Slack(mpsc::Sender<String>);

impl Slack {
    /// By this address; call it where there is a runtime.
    pub fn start(address: Uri) -> Slack {
        let (sender, messages) = mpsc::channel(QUEUE);
        tokio::spawn(deliver(Outgoing::new(address), messages));
        Slack(sender)
    }

    /// Says something there.
    pub fn say(&self, text: &str) {
        if self.0.try_send(text.to_owned()).is_err() {
            tracing::warn!("Slack takes no more messages: one is left out");
        }
    }
}

async fn deliver(to: Outgoing, mut messages: mpsc::Receiver<String>) {
    while let Some(text) = messages.recv().await {
        let body = json!({ "text": escaped(&text) }).to_string().into_bytes();
        let mut pause = PAUSE;
        for last in (0..TRIES).map(|attempt| attempt + 1 == TRIES) {
            let (why, is_final) = match to.post(HeaderMap::new(), body.clone(), PATIENCE).await {
                Ok(status) if status.is_success() => break,
                Ok(status) => {
                    let refused = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
                    (format!("{} answers {status}", to.place()), refused)
                }
                Err(why) => (why.to_string(), false),
            };
            if last || is_final {
                tracing::warn!("Slack was not told: {why}");
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// As Slack wants it: `<!channel>` in what somebody else has said calls nobody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_said_calls_nobody() {
        assert_eq!(escaped("e1: <!channel> & co"), "e1: &lt;!channel&gt; &amp; co");
    }
}
