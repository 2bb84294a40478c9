//! Janus and egress in a cloud: a public address, which is a router's, stands for their own. Viewers in the street know nothing but
//! that one; those on the inside, such as the router, know the private one.
//!
//! ```text
//! street 203.0.113.2 --- 203.0.113.10 (for 10.77.0.1) view, a router --- 10.77.0.1 eg (egress, Janus)
//! ```
//!
//! A viewer in the street has hidden addresses, as every browser without a camera has, and no STUN server: Janus cannot use
//! any candidate of his.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::{Browser, firewall};
use serde_json::json;

use crate::common::{HOST, World, lab, seen};

/// Browsers start late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

#[test]
fn test() {
    let lab = lab();
    lab.add_namespace("street").unwrap();
    lab.link("view", "s0", "street", "s1").unwrap();
    lab.address("view", "s0", "203.0.113.1/24").unwrap();
    lab.address("street", "s1", "203.0.113.2/24").unwrap();
    lab.route("eg", "default", "10.77.0.2").unwrap();
    lab.route("street", "default", "203.0.113.1").unwrap();
    firewall::translate_one_to_one(&lab, "view", "s0", PUBLIC, HOST).unwrap();

    let world = World::start_mapped(&lab, &[], Some(PUBLIC));
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));

    let inside = format!("http://{HOST}:7073/?id=show");
    let outside = format!("http://{PUBLIC}:7073/?id=show");
    for (ns, page) in [("street", outside), ("view", inside)] {
        let browser = Browser::start(&lab, ns, &[]).unwrap();
        browser.open(&page).unwrap();
        let plays = browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > 10);
        plays.unwrap_or_else(|error| panic!("{page}: {error:#}\n{}", world.egress.tail()));
        println!("{page}: first frame after {:.0} ms", seen(&browser, "firstFrame"));
    }
}
