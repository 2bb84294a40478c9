//! What happens is told in order, each event once, signed, and again until it is taken; nobody waits for that.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[path = "support/receiver.rs"]
mod receiver;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use node::secret::Secret;
use node::webhook::{WebhookConfig, Webhooks};
use receiver::{Post, Receiver};
use ring::hmac;
use serde_json::{Value, json};

const SECRET: &str = "a secret that is long enough";

fn webhooks(url: axum::http::Uri) -> Webhooks {
    let config = WebhookConfig::new(url, Secret::new(SECRET)).unwrap();
    Webhooks::start(Some(config), "egress-1", "tree-1")
}

/// Verifies what came, as a receiver would.
fn event(post: &Post) -> (String, Value) {
    let header = |name: &str| post.headers[name].to_str().unwrap().to_owned();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = BASE64_STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, format!("{id}.{at}.{}", post.body).as_bytes(), &tag).expect("it is signed");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(at.parse().unwrap()) < 30, "{at}");
    (id, serde_json::from_str(&post.body).unwrap())
}

#[tokio::test]
async fn events_are_signed_and_say_what_happened() {
    let receiver = Receiver::start(204).await;
    let webhooks = webhooks(receiver.url());
    webhooks.tell("viewer.joined", json!({ "sessionId": "s1" }));
    let (id, event) = event(&receiver.until(1).await[0]);
    assert!(id.starts_with("msg_") && id.len() == 36, "{id}");
    assert_eq!(event["type"], "viewer.joined");
    assert_eq!(event["data"], json!({ "sessionId": "s1", "nodeId": "egress-1", "treeId": "tree-1" }));
    assert!(event["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "ms");
}

#[tokio::test]
async fn they_come_in_order_and_again_until_they_are_taken() {
    let receiver = Receiver::start(200).await;
    receiver.next(&[503, 429]);
    let webhooks = webhooks(receiver.url());
    let began = Instant::now();
    for number in 0..50 {
        webhooks.tell("viewer.left", json!({ "number": number }));
    }
    assert!(began.elapsed() < Duration::from_millis(100), "nobody waits");
    let posts = receiver.until(52).await;
    let events: Vec<(String, Value)> = posts.iter().map(event).collect();
    let numbers: Vec<u64> =
        events.iter().map(|(_, event)| event["data"]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers[..3], [0, 0, 0]);
    assert_eq!(numbers[2..], (0..50).collect::<Vec<u64>>());
    assert!(events[0].0 == events[1].0 && events[0].0 == events[2].0, "the same event keeps its name");
    assert_eq!(events.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(), 50);
    let pauses = [1, 2].map(|n| (posts[n].at - posts[n - 1].at).as_millis());
    assert!((900..1900).contains(&pauses[0]) && (1900..3900).contains(&pauses[1]), "{pauses:?}");
    let told = webhooks.told();
    assert_eq!((told.failed, told.dropped), (2, 0));
    assert_eq!(webhooks.problem(), None);
}

#[tokio::test]
async fn what_cannot_be_delivered_takes_no_more_room_than_there_is() {
    let receiver = Receiver::start(200).await;
    receiver.always(500, Duration::ZERO);
    let webhooks = webhooks(receiver.url());
    for number in 0..5000 {
        webhooks.tell("viewer.joined", json!({ "number": number }));
    }
    receiver.until(1).await;
    let told = webhooks.told();
    assert_eq!((told.queued, told.dropped, told.delivered), (1000, 4000, 0));
    let problem = webhooks.problem();
    assert!(problem.as_ref().is_none_or(|why| why.contains("500") && !why.contains("/hook")), "{problem:?}");
    // The latest are those that are kept; and a node that stops does not wait for them for long.
    let began = Instant::now();
    webhooks.finish().await;
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn without_a_receiver_nothing_is_kept() {
    let webhooks = Webhooks::start(None, "egress-1", "tree-1");
    webhooks.tell("viewer.joined", json!({}));
    assert_eq!((webhooks.told(), webhooks.problem()), (Default::default(), None));
}
