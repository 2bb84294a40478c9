//! A viewer behind a firewall that lets nothing out but TCP watches from the native server: by a connection to the media port itself
//! (RFC 6544), and by a TURN server.

use std::time::Duration;

use lab::browser::Maker;
use lab::{Browser, TurnLogin};
use serde_json::json;

use crate::common::{By, World, lab};
use crate::viewers_reach_janus_by_turn_alone::{home, plays};

/// Browsers start late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn directly() {
    let lab = lab();
    home(&lab, &[7073, 7075]);
    let world = World::start_by(&lab, By::Native, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    for maker in Maker::ALL {
        for query in ["id=show", "id=show&offer=1"] {
            let browser = Browser::of(maker, &lab, "home", &[]).unwrap();
            browser.open(&format!("http://10.77.0.1:7073/?{query}")).unwrap();
            let plays = browser.wait_until(PATIENCE, |now| {
                now.inbound("video").frames_decoded > 10 && now.inbound("audio").packets_received > 10
            });
            plays.unwrap_or_else(|error| panic!("{maker:?} {query}: {error:#}\n{}", world.egress.log()));
            let ways = browser.ways().unwrap();
            assert!(ways.len() == 1 && ways[0].ends_with(" tcp"), "{maker:?} {query}: {ways:?}");
        }
    }
}

#[test]
fn by_a_turn_server() {
    let env = [("TURN_USERNAME", "u"), ("TURN_PASSWORD", "p")];
    let queries = [(Maker::Chromium, "id=show"), (Maker::Firefox, "id=show&offer=1")];
    plays(By::Native, TurnLogin::User("u", "p"), &env, &queries, |name| name == "u");
}
