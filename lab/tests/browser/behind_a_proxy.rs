//! A broadcast through HAProxy, nginx and Caddy, as deploy/proxy has them: TLS, paths below a prefix, WHIP and WHEP by programs,
//! both pages in Chromium, events as they happen, and limits for each client rather than for all behind the proxy.

use std::time::{Duration, Instant};

use lab::relay::Mode;
use lab::studio::{BROWSER, MediaOver, PUBLISHER, VIEWERS};
use lab::{Browser, Lab, Proxy, ProxyKind, Publisher, Studio, Viewers};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(40);
/// What one client may ask at once.
const BURST: usize = 50;
const LIMITS: [(&str, &str); 1] = [("MAX_CLIENT_REQUESTS", "20")];

/// A broadcast of a program through the proxy, and its first viewers, who lose nothing.
fn broadcast<'lab>(studio: &Studio<'lab>, proxy: &Proxy) -> (Publisher, Viewers) {
    studio.create_session("show", [7777, 8888]).unwrap();
    let ca = Some(proxy.authority());
    let whip = proxy.url("/studio/whip/endpoint/show");
    let publisher =
        Publisher::start_trusting(studio.lab(), PUBLISHER, &whip, studio.whip_token(), &[], ca).unwrap();
    studio.wait_active(0, "show").unwrap_or_else(|error| panic!("{error:#}{}", publisher.process().tail()));
    let viewers = view(studio, proxy);
    let views = viewers.wait_until(PATIENCE, |views| {
        views.viewers.len() == 2
            && views.viewers.iter().all(|seen| seen.frames > 60 && seen.audio_packets > 60)
    });
    let views = views.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    for seen in &views.viewers {
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}");
    }
    (publisher, viewers)
}

fn view(studio: &Studio<'_>, proxy: &Proxy) -> Viewers {
    let whep = [proxy.url("/watch/whep/endpoint/show")];
    Viewers::start_trusting(studio.lab(), VIEWERS, &whep, 2, &[], Some(proxy.authority())).unwrap()
}

fn connected(studio: &Studio<'_>) -> Value {
    let status: Value = serde_json::from_str(&studio.egresses[0].node.get("/status").unwrap().body).unwrap();
    status["viewers"]["connected"].clone()
}

fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many of so many requests of the browser are answered 429.
fn refused(browser: &Browser<'_>, requests: usize) -> u64 {
    browser
        .run(&format!(
            "window.refused = null;
            Promise.all(Array.from({{ length: {requests} }}, () => fetch('whep/endpoint/nobody', {{ method: 'OPTIONS' }})))
                .then(all => window.refused = all.filter(answer => answer.status === 429).length, why => window.refused = '' + why);"
        ))
        .unwrap();
    until("all are answered", || !browser.run("return window.refused").unwrap().is_null());
    let refused = browser.run("return window.refused").unwrap();
    refused.as_u64().unwrap_or_else(|| panic!("{refused}"))
}

fn through(kind: ProxyKind, name: &str) {
    let lab = Lab::new(name).unwrap();
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &LIMITS).unwrap();
    let proxy = studio.proxy(kind, &[]).unwrap();
    let (publisher, viewers) = broadcast(&studio, &proxy);

    // The viewers' page, below a prefix and by TLS.
    let chromium = [proxy.trusted_by_chromium()];
    let chromium: Vec<&str> = chromium.iter().map(String::as_str).collect();
    let browser = Browser::start_with(&lab, BROWSER, &[], &chromium).unwrap();
    browser.open(&proxy.url("/watch?id=show")).unwrap();
    let seen = browser.wait_until(PATIENCE, |now| {
        now.inbound("video").frames_decoded > 60 && now.inbound("audio").packets_received > 60
    });
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    assert_eq!(seen.inbound("video").packets_lost, 0, "{seen:?}");
    until("three watch", || connected(&studio) == json!(3));

    // Who asks too much behind the proxy is refused; others behind it are not, and those who watch lose nothing.
    assert!(refused(&browser, 10 * BURST) > 0);
    let others = view(&studio, &proxy);
    others
        .wait_until(PATIENCE, |views| views.viewers.iter().filter(|seen| seen.decoded > 0).count() == 2)
        .unwrap();
    for seen in &viewers.report().viewers {
        assert_eq!((seen.video_lost, seen.audio_lost), (0, 0), "{seen:?}");
    }

    // Status, metrics and changes are not for everybody, and what programs have found by the prefix they end by it.
    let hidden = "const request = new XMLHttpRequest(); request.open('GET', 'status', false); request.send(); return request.status";
    assert_eq!(browser.run(hidden).unwrap(), json!(404));
    let change = hidden.replace("'GET', 'status'", "'DELETE', '/studio/session/show'");
    let refused = browser.run(&change).unwrap();
    assert!([json!(403), json!(404)].contains(&refused), "by the proxy: {refused}");
    others.stop().unwrap();
    viewers.stop().unwrap();
    until("two programs have left twice", || connected(&studio) == json!(1));

    // Events come as they happen: nothing on the way keeps them until there are more.
    publisher.stop().unwrap();
    let ended = studio.injection.send("DELETE", "/session/show", "").unwrap();
    assert_eq!(ended.status, 200, "{ended:?}");
    let told = Instant::now();
    browser.wait_until(PATIENCE, |now| now.text.to_lowercase().contains("ended")).unwrap();
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());

    // The page that publishes: by TLS a browser gives it the camera without more ado.
    studio.create_session("camera", [17777, 18888]).unwrap();
    browser.open(&proxy.url(&format!("/studio/publish?id=camera#token={}", studio.whip_token()))).unwrap();
    browser.run("document.getElementById('button').click()").unwrap();
    let sent = browser.wait_until(PATIENCE, |now| now.outbound("video").frames_encoded > 30);
    sent.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    studio.wait_active(0, "camera").unwrap();
    browser.open("about:blank").unwrap();
    until("its place is free", || {
        !studio.injection.get("/session/camera").unwrap().body.contains("\"publisher\"")
    });
}

#[test]
fn haproxy() {
    through(ProxyKind::HaProxy, "t-haproxy-");
}

#[test]
fn nginx() {
    through(ProxyKind::Nginx, "t-nginx-");
}

#[test]
fn caddy() {
    through(ProxyKind::Caddy, "t-caddy-");
}

/// HAProxy says for whom it connects before the first byte, once in each version.
#[test]
fn haproxy_by_the_proxy_protocol() {
    let lab = Lab::new("t-proxied-").unwrap();
    let more = [("PROXY_PROTOCOL", "on")];
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &more).unwrap();
    let [egress, injection] = [studio.egress_address(0), studio.injection_address()].map(Result::unwrap);
    let lines = [format!("server egress-1 {egress}"), format!("server injection-1 {injection}")];
    let proxied = [format!("{} send-proxy-v2", lines[0]), format!("{} send-proxy", lines[1])];
    let changes = [
        (lines[0].as_str(), proxied[0].as_str()),
        (&lines[1], &proxied[1]),
        // By nothing else is it known who asks.
        ("    option forwardfor\n", ""),
    ];
    let proxy = studio.proxy(ProxyKind::HaProxy, &changes).unwrap();
    let (publisher, viewers) = broadcast(&studio, &proxy);
    viewers.stop().unwrap();
    until("both have left", || connected(&studio) == json!(0));
    publisher.stop().unwrap();
    let metrics = studio.egresses[0].node.get("/metrics").unwrap().body;
    let bad = metrics.lines().find(|line| line.contains("limit=\"proxy_protocol\"")).unwrap();
    assert!(bad.ends_with(" 0"), "{bad}");
}
