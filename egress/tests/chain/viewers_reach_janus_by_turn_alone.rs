//! A viewer behind a firewall that lets nothing out but TCP to the egress' HTTP and to a TURN server:
//!
//! ```text
//! home (the viewer) --- eg (egress, Janus) --- view (coturn)
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::browser::Maker;
use lab::turn::PORT;
use lab::{Browser, Lab, Turn, TurnLogin, firewall};
use serde_json::json;

use crate::common::{By, World, lab};

const TURN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Browsers start late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVER: &str = "turn:10.77.0.2:3478?transport=tcp";

/// A home behind the egress' host, which routes, and behind a firewall that lets out but these TCP ports.
pub fn home(lab: &Lab, tcp: &[u16]) {
    lab.add_namespace("home").unwrap();
    lab.link("eg", "h0", "home", "h1").unwrap();
    lab.address("eg", "h0", "10.78.0.1/24").unwrap();
    lab.address("home", "h1", "10.78.0.2/24").unwrap();
    lab.sysctl("eg", "ipv4/ip_forward", "1").unwrap();
    lab.route("home", "default", "10.78.0.1").unwrap();
    lab.route("view", "10.78.0.0/24", "10.77.0.1").unwrap();
    firewall::let_out_only(lab, "home", tcp).unwrap();
}

/// The page plays, in both of its ways to connect, with credentials that end.
#[test]
fn by_credentials_that_end() {
    let of_session = |name: &str| {
        let (end, session) = name.split_once(':').unwrap_or_default();
        session == "show" && end.len() == 10 && end.bytes().all(|byte| byte.is_ascii_digit())
    };
    plays(
        By::Janus,
        TurnLogin::Secret("hunter2"),
        &[("TURN_SECRET", "hunter2")],
        &[(Maker::Chromium, "id=show"), (Maker::Chromium, "id=show&offer=1"), (Maker::Firefox, "id=show")],
        of_session,
    );
}

/// And with a password for all.
#[test]
fn by_a_shared_password() {
    let env = [("TURN_USERNAME", "u"), ("TURN_PASSWORD", "p")];
    plays(By::Janus, TurnLogin::User("u", "p"), &env, &[(Maker::Chromium, "id=show")], |name| name == "u");
}

pub fn plays(
    by: By,
    login: TurnLogin<'_>,
    env: &[(&str, &str)],
    queries: &[(Maker, &str)],
    is_known: impl Fn(&str) -> bool,
) {
    let lab = lab();
    home(&lab, &[PORT, 7073]);
    let turn = Turn::start(&lab, "view", TURN, login).unwrap();
    let world = World::start_by(&lab, by, &[env, &[("ICE_SERVERS", SERVER)]].concat());
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    for (maker, query) in queries {
        let browser = Browser::of(*maker, &lab, "home", &[]).unwrap();
        browser.open(&format!("http://10.77.0.1:7073/?{query}")).unwrap();
        let plays = browser.wait_until(PATIENCE, |now| {
            now.inbound("video").frames_decoded > 10 && now.inbound("audio").packets_received > 10
        });
        plays.unwrap_or_else(|error| panic!("{maker:?} {query}: {error:#}\n{}", turn.process().tail()));
        assert_eq!(browser.ways().unwrap(), ["relay tcp"], "{maker:?} {query}");
    }
    let clients = turn.clients();
    let known = clients.len() >= queries.len() && clients.iter().all(|name| is_known(name));
    assert!(known, "{clients:?} {}", turn.process().log());
}
