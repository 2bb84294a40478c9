//! With `--server native` there is no Janus, no port of a pool, and nothing that asks for either; what is known of a viewer is
//! shown to operators.

use serde_json::json;

use crate::common::{By, World, browser, lab, seen};
use crate::doctor_says_what_is_missing::doctor_of;

#[test]
fn a_native_node_needs_no_janus() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    let status = world.get("/status");
    assert_eq!((&status["server"], &status["native"]["mediaPort"]), (&json!("native"), &json!(7075)));
    assert!(status["janus"].is_null() && status["portPool"].is_null(), "{status}");
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 200);
    let (code, text) = doctor_of(&lab, By::Native, &[], &[("API", "0.0.0.0:7073")]);
    assert!(code == 0 && !text.contains("Janus"), "{text}");
    for wanted in [
        "ok   viewers' media: UDP 0.0.0.0:7075 is this node's, which runs (PID ",
        "ok   viewers' media by TCP: TCP 0.0.0.0:7075 is this node's",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }

    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    assert_eq!(world.get("/viewers"), json!({ "count": 0, "viewers": [] }));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("frames", || seen(&browser, "framesDecoded") > 20.0);
    // It reports once a second, and has a bit rate after two looks.
    let viewer = || world.get("/viewers?id=show")["viewers"][0].clone();
    world.until("its round trip", || viewer()["rttMs"].is_f64());
    world.until("its bit rate", || viewer()["bitrate"].as_u64() > Some(100_000));
    let seen_there = viewer();
    assert_eq!(
        (&seen_there["sessionId"], &seen_there["loss"]),
        (&json!("show"), &json!(0.0)),
        "{seen_there}"
    );
    assert!(seen_there["player"].as_str().unwrap().contains("Chrome"), "{seen_there}");
    assert!(seen_there["packets"].as_u64() > Some(100) && seen_there["dropped"] == json!(0), "{seen_there}");
    assert_eq!(world.get("/viewers?id=other")["count"], json!(0));

    let metrics = world.request("GET", "/metrics", &[], "").2;
    let value = |name: &str| {
        let mut lines = metrics.as_str().unwrap().lines();
        let line = lines.find(|line| line.starts_with(&format!("media_tree_egress_{name}{{")))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    assert!(value("viewer_packets_sent_total") > Some(100.0), "{metrics}");
    assert!(value("viewer_rtt_seconds_count") >= Some(1.0), "{metrics}");
    assert_eq!((value("janus_connected"), value("port_pool_allocated")), (None, None));
}
