//! With the native server, whose viewers have no Janus that outlives the node: whoever watches goes on watching by himself when the
//! egress is killed and started again, and when it is stopped and started as in a rolling restart; nobody is counted twice.

use serde_json::json;

use crate::common::{By, World, browser, lab, seen};

#[test]
fn a_restart_is_watched_through() {
    let lab = lab();
    let mut world = World::start_by(&lab, By::Native, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    for round in 1..=2 {
        match round {
            1 => drop(world.egress.kill9().unwrap()),
            _ => drop(world.egress.terminate().unwrap()),
        }
        world.start_again();
        let took = world.until("connected again", || seen(&browser, "connects") > f64::from(round));
        println!("round {round}: connected again {took:?} after the node was ready");
        let (frames, audio) = (seen(&browser, "framesDecoded"), seen(&browser, "audioPackets"));
        world.until("it plays on", || {
            seen(&browser, "framesDecoded") > frames + 30.0 && seen(&browser, "audioPackets") > audio + 30.0
        });
        assert_eq!(world.get("/status")["viewers"]["connected"], json!(1));
        assert_eq!(world.get("/viewers?id=show")["count"], json!(1));
    }
}
