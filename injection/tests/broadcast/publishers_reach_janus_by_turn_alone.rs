use std::net::Ipv4Addr;
use std::time::Duration;

use lab::turn::PORT;
use lab::{Browser, Turn, TurnLogin, firewall};

use crate::common::{Scene, until_within};

const STARTS: Duration = Duration::from_secs(45);
const TURN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// A publisher behind a firewall that lets nothing out but TCP to the node's HTTP and to a TURN server: the page asks for the
/// servers before it makes its offer, with the token.
///
///     home (the publisher) --- node (injection, Janus) --- far (coturn)
#[test]
fn test() {
    let environment = [
        ("ICE_SERVERS", "turn:10.77.0.2:3478?transport=tcp"),
        ("TURN_SECRET", "hunter4"),
        ("WHIP_TOKEN", "hunter5"),
    ];
    let scene = Scene::with("turn", &environment);
    let lab = scene.lab;
    lab.add_namespace("home").unwrap();
    lab.link("node", "h0", "home", "h1").unwrap();
    lab.address("node", "h0", "10.78.0.1/24").unwrap();
    lab.address("home", "h1", "10.78.0.2/24").unwrap();
    lab.sysctl("node", "ipv4/ip_forward", "1").unwrap();
    lab.route("home", "default", "10.78.0.1").unwrap();
    lab.route("far", "10.78.0.0/24", "10.77.0.1").unwrap();
    firewall::let_out_only(lab, "home", &[PORT, 7070]).unwrap();
    let turn = Turn::start(lab, "far", TURN, TurnLogin::Secret("hunter4")).unwrap();
    scene.create("s1");
    let browser = Browser::start_with(lab, "home", &[], &["--mute-audio"]).unwrap();
    browser.open("http://10.77.0.1:7070/publish?id=s1&source=pattern&auto#token=hunter5").unwrap();
    until_within(STARTS, "the browser publishes", || {
        scene.session("s1")["publisher"]["state"] == "publishing"
    });
    until_within(STARTS, "media", || scene.session("s1")["streams"][1]["received"].as_u64() > Some(50));
    assert_eq!(browser.ways().unwrap(), ["relay tcp"]);
    let clients = turn.clients();
    assert!(!clients.is_empty() && clients.iter().all(|name| name.ends_with(":s1")), "{clients:?}");
}

/// Who is told what: STUN servers everybody, TURN servers with their credentials who has the token; a preflight nothing.
#[test]
fn servers_are_told_to_those_who_may_publish() {
    let environment = [
        ("ICE_SERVERS", "stun:10.77.0.2:3478,turn:10.77.0.2:3478"),
        ("TURN_SECRET", "hunter4"),
        ("WHIP_TOKEN", "hunter5"),
    ];
    let scene = Scene::with("links", &environment);
    scene.create("s1");
    let links = |method: &str, headers: &[(&str, &str)], body: &str| -> Vec<String> {
        let answer = scene.ask_with(method, "/whip/endpoint/s1", headers, body);
        let is_link = |line: &&str| line.to_ascii_lowercase().starts_with("link: ");
        answer.head.lines().filter(is_link).map(|line| line[6..].to_owned()).collect()
    };
    let token = ("Authorization", "Bearer hunter5");
    let stun = "<stun:10.77.0.2:3478>; rel=\"ice-server\"";
    let told = links("OPTIONS", &[token], "");
    assert_eq!((told.len(), &*told[0]), (2, stun), "{told:?}");
    assert!(told[1].starts_with("<turn:10.77.0.2:3478>; rel=\"ice-server\"; username=\""), "{told:?}");
    assert!(told[1].contains(":s1\"; credential=\"") && !told[1].contains("hunter"), "{told:?}");
    assert_eq!(links("OPTIONS", &[], ""), [stun], "without the token");
    assert_eq!(links("OPTIONS", &[("Authorization", "Bearer x")], ""), [stun], "with a wrong one");
    let preflight = [token, ("Origin", "https://a"), ("Access-Control-Request-Method", "POST")];
    assert!(links("OPTIONS", &preflight, "").is_empty());
    let sdp = ("Content-Type", "application/sdp");
    let offer = crate::whip_speaks_rfc_9725::OFFER;
    assert!(links("POST", &[sdp], offer).is_empty(), "401");
    assert!(links("POST", &[sdp, token], "v=0\r\n").is_empty(), "an offer that is none");
    assert_eq!(links("POST", &[sdp, token], offer).len(), 2);
}
