//! `/watch/{sid}` at a node that is no egress: who is sent where, who stays, and who is told what.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use node::config::HttpConfig;
use node::directory::{Entry, Particulars};
use node::http::{Access, Limits, Rate, guard, serve};
use node::record::NodeType;
use node::secret::Secret;
use node::watch::{self, Redirector};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::common::*;

/// The HTTP of all egresses, each below a path of its own, as behind a proxy.
async fn endpoints() -> (SocketAddr, JoinHandle<()>) {
    let there = async || StatusCode::NO_CONTENT;
    let routes = Router::new().route("/{egress}/whep/endpoint/show", get(there));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(listener, routes, Arc::default(), std::future::pending());
    (address, tokio::spawn(async { drop(serving.await) }))
}

/// An egress as Redis has it, which carries `show`.
async fn egress(server: &Server, at: SocketAddr, id: &str, zone: &str, particulars: Particulars) {
    let entry = Entry {
        node_type: NodeType::Egress,
        url: format!("http://{at}/{id}"),
        zone: zone.to_owned(),
        status: "active".to_owned(),
        parent: None,
        particulars,
    };
    server.run(&format!("HSET directory:tree-1 {id} {}", entry.text())).await;
    server.run(&format!("SET node:{id} there")).await;
    server.run("HSET session:show treeId tree-1").await;
    server.run(&format!("SADD mountpoints:active {id}:show")).await;
}

fn seats(viewers: u32) -> Particulars {
    Particulars { viewers, max_viewers: 300, ..Particulars::default() }
}

/// A node with nothing but the door, which needs a token for all else.
async fn door(server: &Server) -> SocketAddr {
    door_within(server, Arc::default()).await
}

/// The same with limits.
async fn door_within(server: &Server, limits: Arc<Limits>) -> SocketAddr {
    let redirector = Redirector::of(["relay-1", "tree-1", "eu"], Some(config(server).redis));
    let secret = Some(Secret::new("hunter2-hunter2"));
    let access = Access {
        token: secret.clone(),
        reading: secret,
        own: vec![watch::ROUTE.to_owned()],
        limits: limits.clone(),
        ..Access::default()
    };
    let routes = guard(Router::new().merge(watch::router(Arc::new(redirector))), access);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, routes, limits, std::future::pending()));
    address
}

struct Answer {
    origin: Option<String>,
    kind: String,
    status: u16,
    location: String,
    cookie: Option<String>,
    again: Option<String>,
    body: String,
}

async fn ask(door: SocketAddr, method: &'static str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{door}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(if method == "POST" { "v=0\r\n" } else { "" }).unwrap();
    let asking = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        agent.run(request).unwrap()
    });
    let mut response = asking.await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        origin: header("access-control-allow-origin"),
        kind: header("content-type").unwrap_or_default(),
        status: response.status().as_u16(),
        location: header("location").unwrap_or_default(),
        cookie: header("set-cookie"),
        again: header("retry-after"),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_door_sends_viewers_where_they_can_watch() {
    let server = Server::start("").await;
    let (at, _serving) = endpoints().await;
    egress(&server, at, "egress-1", "eu", seats(0)).await;
    egress(&server, at, "egress-2", "eu", seats(0)).await;
    egress(&server, at, "egress-3", "us", seats(0)).await;
    let door = door(&server).await;

    // A browser goes to a page, a player to an endpoint, those without a name spread over the zone.
    let page = ask(door, "GET", "/watch/show", &[("Accept", "text/html")]).await;
    assert_eq!(page.status, 307, "{}", page.body);
    assert!(page.location.ends_with("/?id=show"), "{}", page.location);
    let offer = [("Content-Type", "application/sdp")];
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let answer = ask(door, "POST", "/watch/show", &offer).await;
        assert_eq!(answer.status, 307);
        seen.insert(answer.location);
    }
    let both = ["egress-1", "egress-2"].map(|id| format!("http://{at}/{id}/whep/endpoint/show"));
    assert_eq!(seen, both.into());

    // Whoever is known stays, by either name, and is told elsewhere only when it must leave.
    let cookie = page.cookie.unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let at_first = page.location.split('/').nth(3).unwrap().to_owned();
    for _ in 0..10 {
        let answer = ask(door, "GET", "/watch/show", &[("Cookie", cookie)]).await;
        assert_eq!(answer.location, page.location);
    }
    let other = ask(door, "GET", &format!("/watch/show?not={at_first}"), &[("Cookie", cookie)]).await;
    assert_ne!(other.location, page.location);
    let told = |answer: Answer| serde_json::from_str::<serde_json::Value>(&answer.body).unwrap();
    let json = [("Accept", "application/json")];
    let keyed = told(ask(door, "GET", "/watch/show?viewer=me&zone=us", &json).await);
    assert_eq!(keyed["node"], "egress-3");
    assert_eq!(keyed["whep"], format!("http://{at}/egress-3/whep/endpoint/show"));

    // One that was killed: Redis does not know yet, and nobody is sent there, whoever was there before.
    let gone = "127.0.0.1:9".parse().unwrap();
    egress(&server, gone, &at_first, "eu", seats(0)).await;
    let began = Instant::now();
    let known = [("Cookie", cookie)];
    while ask(door, "GET", "/watch/show", &known).await.location.contains(&at_first) {
        assert!(began.elapsed() < LONG, "{at_first} is gone");
        tokio::time::sleep(ms(20)).await;
    }
    assert_ne!(ask(door, "GET", "/watch/show?not=egress-3", &known).await.location, page.location);

    // Full, and then nothing.
    egress(&server, at, "egress-1", "eu", seats(300)).await;
    egress(&server, at, "egress-2", "eu", Particulars { draining: true, ..seats(0) }).await;
    let (began, third) = (Instant::now(), format!("http://{at}/egress-3/?id=show"));
    while ask(door, "GET", "/watch/show?viewer=me", &[]).await.location != third {
        assert!(began.elapsed() < LONG, "what fills up is seen");
        tokio::time::sleep(ms(20)).await;
    }
    egress(&server, at, "egress-3", "us", seats(300)).await;
    let mut answer = ask(door, "GET", "/watch/show", &[]).await;
    while answer.status == 307 {
        assert!(began.elapsed() < LONG, "all are full");
        tokio::time::sleep(ms(20)).await;
        answer = ask(door, "GET", "/watch/show", &[]).await;
    }
    assert_eq!((answer.status, answer.again.as_deref()), (503, Some("10")), "{}", answer.body);
    let answer = ask(door, "GET", "/watch/other", &[]).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("no egress carries"), "{}", answer.body);
    let answer = ask(door, "GET", "/watch/other", &[("Accept", "text/html")]).await;
    assert!(answer.status == 404 && answer.body.contains("no such broadcast"), "{}", answer.body);
    assert_eq!(ask(door, "OPTIONS", "/watch/show", &[]).await.status, 204);
    assert_eq!(ask(door, "DELETE", "/watch/show", &[("Host", "127.0.0.1")]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_others_can_read_every_answer_and_people_too() {
    let server = Server::start("").await;
    let (at, _serving) = endpoints().await;
    egress(&server, at, "egress-1", "eu", seats(0)).await;
    let one = NonZeroU32::new(2).unwrap();
    let rate = Rate { burst: one, per_second: NonZeroU32::MIN };
    let door = door_within(&server, Limits::new(HttpConfig { rate, ..HttpConfig::default() })).await;
    let any = Some("*".to_owned());
    for path in ["/watch/show", "/watch/none"] {
        assert_eq!(ask(door, "GET", path, &[]).await.origin, any, "{path}");
    }
    let mut answer = ask(door, "POST", "/watch/show", &[]).await;
    while answer.status == 307 {
        answer = ask(door, "POST", "/watch/show", &[]).await;
    }
    assert_eq!((answer.status, answer.origin), (429, any.clone()));
    assert!(answer.again.is_some() && answer.kind == "application/json", "{}", answer.kind);
    let browser = [("Accept", "text/html,*/*;q=0.8")];
    let mut answer = ask(door, "GET", "/watch/show", &browser).await;
    while answer.status == 307 {
        answer = ask(door, "GET", "/watch/show", &browser).await;
    }
    assert_eq!((answer.status, answer.origin), (429, any.clone()));
    assert!(
        answer.kind.starts_with("text/html") && answer.body.contains("http-equiv=refresh"),
        "{}",
        answer.body
    );
    let other = ask(door, "GET", "/nowhere", &[]).await;
    assert_eq!(other.origin, None, "what is for operators is not for pages");
}

/// Entries that are no node's: viewers are sent to the one that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_node_says_of_itself_leads_nobody_astray() {
    let server = Server::start("").await;
    let (at, _serving) = endpoints().await;
    egress(&server, at, "egress-1", "us", seats(0)).await;
    // Somebody who would be asked, and counts who asks.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let routes = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        StatusCode::OK
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, routes, Arc::default(), std::future::pending()));
    let entry = |url: &str, more: &str| {
        format!(
            r#"{{"type":"egress","url":"{url}","zone":"eu","status":"active","maxViewers":4000000000{more}}}"#
        )
    };
    let odd = [
        ("x1", entry("javascript:alert(1)//", "")),
        ("x2", entry(&format!("http://{trap}/latest/meta-data?"), "")),
        ("x3", entry(&format!("http://{trap}"), r#","whepPath":"/secret?""#)),
        ("x4", entry(&format!("http://me:you@{trap}"), "")),
        ("x5", entry("http://a\\r\\nSet-Cookie:x=1", "")),
        ("x6", entry(&format!("http://{trap}/{}", "a".repeat(5000)), "")),
        ("x7", entry(&format!("http://{trap}"), r#","viewers":-1"#)),
        ("x8", "[1,2".to_owned()),
        ("evil\u{1b}[2J", entry(&format!("http://{trap}"), "")),
    ];
    for (id, entry) in &odd {
        server.run(&format!("HSET directory:tree-1 {id} {entry}")).await;
        server.run(&format!("SET node:{id} there")).await;
        server.run(&format!("SADD mountpoints:active {id}:show")).await;
    }
    let door = door(&server).await;
    for _ in 0..20 {
        let answer = ask(door, "GET", "/watch/show", &[]).await;
        assert_eq!(
            (answer.status, answer.location),
            (307, format!("http://{at}/egress-1/?id=show")),
            "{}",
            answer.body
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody is asked who is no node");
}
