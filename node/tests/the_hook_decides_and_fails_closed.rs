//! `--authorize URL`: 200 lets in, 403 does not, and whatever else comes, or nothing in time, lets nobody in. Answers are
//! remembered, and a crowd that asks the same asks once.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[path = "support/receiver.rs"]
mod receiver;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::auth::{Admission, Asking, AuthConfig, Refused, Rights, Role};
use node::secret::Secret;
use receiver::Receiver;
use serde_json::{Value, json};

fn admission(url: axum::http::Uri, remember: u64, shared: Option<&str>) -> Arc<Admission> {
    let rights = Rights {
        role: Role::Watch,
        shared: shared.map(Secret::new),
        shared_name: "the viewers' token (WHEP_TOKEN)",
        node_id: "egress-1".to_owned(),
        tree_id: "tree-1".to_owned(),
    };
    let remember = Duration::from_secs(remember);
    Admission::new(rights, &AuthConfig { authorize: Some(url), remember, ..AuthConfig::default() })
}

fn asking<'a>(session: &'a str, token: Option<&'a str>, client: &str) -> Asking<'a> {
    let client: IpAddr = client.parse().unwrap();
    Asking { session, token: token.map(str::as_bytes), client: Some(client), protocol: "whep" }
}

#[tokio::test]
async fn it_is_told_what_is_asked_and_decides() {
    let hook = Receiver::start(200).await;
    let door = admission(hook.url(), 10, None);
    assert_eq!(door.admit(asking("s1", Some("abc"), "10.0.0.9")).await, Ok(()));
    let post = &hook.posts()[0];
    let asked: Value = serde_json::from_str(&post.body).unwrap();
    let wanted = json!({
        "action": "watch", "sessionId": "s1", "protocol": "whep", "client": "10.0.0.9", "token": "abc",
        "nodeId": "egress-1", "treeId": "tree-1"
    });
    assert_eq!((asked, post.headers["content-type"].to_str().unwrap()), (wanted, "application/json"));
    hook.next(&[403]);
    let no = door.admit(asking("s2", None, "10.0.0.9")).await;
    assert_eq!(no, Err(Refused::Forbidden("s2".to_owned(), "watched")));
}

#[tokio::test]
async fn answers_are_remembered_for_what_was_asked_and_no_more() {
    let hook = Receiver::start(200).await;
    let door = admission(hook.url(), 1, None);
    hook.next(&[403, 200, 200, 200]);
    for _ in 0..3 {
        assert!(door.admit(asking("s1", None, "10.0.0.9")).await.is_err());
        assert!(door.admit(asking("s2", None, "10.0.0.9")).await.is_ok());
        assert!(door.admit(asking("s1", Some(""), "10.0.0.9")).await.is_ok());
        assert!(door.admit(asking("s1", None, "10.0.0.8")).await.is_ok());
    }
    assert_eq!(hook.posts().len(), 4, "one for each");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    hook.next(&[403]);
    assert!(door.admit(asking("s2", None, "10.0.0.9")).await.is_err(), "it was asked anew");
    let never = admission(hook.url(), 0, None);
    for _ in 0..2 {
        assert!(never.admit(asking("s1", None, "10.0.0.9")).await.is_ok());
    }
    assert_eq!(hook.posts().len(), 7);
}

/// Who only asks how things are is asked about where that can be a yes, and counts as nobody who was admitted or not.
#[tokio::test]
async fn who_asks_how_things_are_is_no_newcomer() {
    let hook = Receiver::start(200).await;
    let door = admission(hook.url(), 10, Some("shared"));
    let would = async |token: Option<&str>| door.would_admit(asking("s1", token, "10.0.0.9")).await;
    assert!(!would(None).await && !would(Some("wrong")).await);
    assert_eq!(hook.posts().len(), 0, "there was nothing to ask");
    assert!(would(Some("shared")).await);
    assert_eq!(hook.posts().len(), 1);
    hook.next(&[403]);
    assert!(!door.would_admit(asking("s2", Some("shared"), "10.0.0.9")).await);
    // Without a shared token the hook decides by what is shown, and is not asked about nothing.
    let open = admission(hook.url(), 10, None);
    assert!(!open.would_admit(asking("s1", None, "10.0.0.9")).await);
    assert!(open.would_admit(asking("s1", Some("abc"), "10.0.0.9")).await);
    assert_eq!(hook.posts().len(), 3);
    let counts = door.counts();
    assert_eq!((counts.admitted, counts.unauthorized, counts.forbidden), (0, 0, 0));
}

#[tokio::test]
async fn a_crowd_that_asks_the_same_asks_once() {
    let hook = Receiver::start(200).await;
    hook.always(200, Duration::from_millis(300));
    let door = admission(hook.url(), 10, None);
    let crowd: Vec<_> = (0..500)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.admit(asking("s1", None, "10.0.0.9")).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(hook.posts().len(), 1);
}

#[tokio::test]
async fn without_an_answer_nobody_is_let_in() {
    let hook = Receiver::start(500).await;
    let door = admission(hook.url(), 10, None);
    for status in [500, 204, 201, 302, 401, 404, 429] {
        hook.next(&[status]);
        assert_eq!(door.admit(asking("s1", None, "10.0.0.9")).await, Err(Refused::Unknown), "{status}");
    }
    let warning = door.warnings().concat();
    assert!(warning.contains("--authorize does not answer") && !warning.contains("/hook"), "{warning}");
    // That is not remembered.
    hook.always(200, Duration::ZERO);
    assert_eq!(door.admit(asking("s1", None, "10.0.0.9")).await, Ok(()));
    assert_eq!(door.warnings(), Vec::<String>::new());
    hook.always(200, Duration::from_secs(60));
    let began = Instant::now();
    assert_eq!(door.admit(asking("s2", None, "10.0.0.9")).await, Err(Refused::Unknown));
    assert!((2..5).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    // Nobody listens there.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let door = admission(format!("http://{gone}/").parse().unwrap(), 10, None);
    assert_eq!(door.admit(asking("s1", None, "10.0.0.9")).await, Err(Refused::Unknown));
    assert_eq!(door.counts().unknown, 1);
}

#[tokio::test]
async fn a_hundred_different_ones_wait_for_their_turn() {
    let hook = Receiver::start(200).await;
    hook.always(200, Duration::from_millis(100));
    let door = admission(hook.url(), 10, None);
    let crowd: Vec<_> = (0..200)
        .map(|n| {
            let door = door.clone();
            tokio::spawn(async move { door.admit(asking("s1", None, &format!("10.0.1.{n}"))).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(hook.posts().len(), 200);
}

#[tokio::test]
async fn who_has_not_the_token_is_not_asked_about() {
    let hook = Receiver::start(403).await;
    let door = admission(hook.url(), 10, Some("hunter2"));
    for token in [None, Some("hunter3")] {
        assert!(matches!(door.admit(asking("s1", token, "10.0.0.9")).await, Err(Refused::Unauthorized(_))));
    }
    assert_eq!(hook.posts().len(), 0);
    let refused = door.admit(asking("s1", Some("hunter2"), "10.0.0.9")).await;
    assert!(matches!(refused, Err(Refused::Forbidden(..))), "{refused:?}");
    // What was begun may be ended, whoever decides what begins.
    assert_eq!(door.goes_on(asking("s1", Some("hunter2"), "10.0.0.9")), Ok(()));
    assert_eq!(hook.posts().len(), 1);
}
