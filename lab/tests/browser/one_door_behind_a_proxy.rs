//! One door for a whole tree behind HAProxy, nginx and Caddy, as deploy/proxy/tree has them: programs and a browser come by it, the
//! browser stays where it is, and when that egress is killed the door sends it to the other.

use std::time::{Duration, Instant};

use lab::relay::Mode;
use lab::studio::{BROWSER, MediaOver, PROXY, VIEWERS, address};
use lab::{Browser, Lab, ProxyKind, Studio, Viewers};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(40);

fn through(kind: ProxyKind, name: &str) {
    let lab = Lab::new(name).unwrap();
    let public = format!("https://{}/{{node}}", address(PROXY).unwrap());
    // The nodes ask each other by the proxy, whose authority they have to know.
    let authority = lab.directory().join(kind.folder()).join("ca.crt").display().to_string();
    let more = [("PUBLIC_URL", public.as_str()), ("SSL_CERT_FILE", &authority)];
    let mut studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [2, 2], &more).unwrap();
    let proxy = studio.tree_proxy(kind).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &[]).unwrap();
    for egress in 0..2 {
        studio.wait_active(egress, "show").unwrap();
    }

    // Programs, by WHEP.
    let door = proxy.url("/watch/show");
    let viewers =
        Viewers::start_trusting(&lab, VIEWERS, std::slice::from_ref(&door), 4, &[], Some(proxy.authority()));
    let viewers = viewers.unwrap();
    let seen = viewers.wait_until(PATIENCE, |views| {
        views.viewers.len() == 4 && views.viewers.iter().all(|seen| seen.frames > 30)
    });
    let seen =
        seen.unwrap_or_else(|error| panic!("{error:#}{}{}", proxy.process().tail(), studio.diagnosis()));
    assert!(seen.viewers.iter().all(|seen| (seen.joins, seen.video_lost) == (1, 0)), "{seen:?}");

    // A browser, which has a cookie.
    let chromium = [proxy.trusted_by_chromium()];
    let chromium: Vec<&str> = chromium.iter().map(String::as_str).collect();
    let browser = Browser::start_with(&lab, BROWSER, &[], &chromium).unwrap();
    let opened = || {
        browser.open(&door).unwrap();
        let played = browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > 30);
        played.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
        browser.run("return location.pathname").unwrap().as_str().unwrap().to_owned()
    };
    let first = opened();
    assert!(["/egress-1/", "/egress-2/"].contains(&first.as_str()), "{first}");
    assert_eq!(opened(), first, "it comes again and stays");
    let hidden = "const request = new XMLHttpRequest(); request.open('GET', 'status', false); request.send(); return request.status";
    assert_eq!(browser.run(hidden).unwrap(), json!(404), "status is not for everybody");

    // Its egress is killed. Nodes and proxy need a moment to see it.
    let index = usize::from(first == "/egress-2/");
    studio.egresses[index].node.kill9().unwrap();
    let killed = Instant::now();
    let other = ["/egress-2/", "/egress-1/"][index];
    loop {
        browser.open(&door).unwrap();
        let now = browser.run("return location.pathname").unwrap();
        if now == json!(other) {
            break;
        }
        assert!(killed.elapsed() < PATIENCE, "{now}{}", studio.diagnosis());
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{kind:?}: the door sends to the other {:?} after the first was killed", killed.elapsed());
    browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > 30).unwrap();
    studio.egresses[index].node.restart().unwrap();
    viewers.stop().unwrap();
    publisher.stop().unwrap();
}

#[test]
fn haproxy() {
    through(ProxyKind::HaProxy, "t-hadoor-");
}

#[test]
fn nginx() {
    through(ProxyKind::Nginx, "t-ngdoor-");
}

#[test]
fn caddy() {
    through(ProxyKind::Caddy, "t-cadoor-");
}
