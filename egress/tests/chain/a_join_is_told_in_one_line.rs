//! How a viewer's join went is one line of the log, stage by stage, whoever serves; and with `--log-format json` every line is an object.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{By, World, browser, lab, on_both, seen};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What the log says of joins. All of it is JSON, but for the word that the node is ready, which is on stdout.
fn joins(world: &World<'_>) -> Vec<Value> {
    let log = world.egress.log();
    // The last line may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter(|line| !line.starts_with("ready: "));
    let lines = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line| line["target"] == "egress::joins").collect()
}

fn a_page_that_plays(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[("LOG_FORMAT", "json")]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    world.until("it is told of", || !joins(&world).is_empty());

    let viewer = world.get("/viewers")["viewers"][0].clone();
    let told = joins(&world);
    let join = &told[0];
    assert_eq!(told.len(), 1, "{told:#?}");
    println!("{join}");
    assert_eq!((&join["session"], &join["viewer"]), (&json!("show"), &viewer["viewerId"]), "{join}");
    assert_eq!((&join["server"], &join["node_id"]), (&world.get("/status")["server"], &json!("egress-1")));
    assert!(join["player"].as_str().unwrap().contains("Chrome"), "{join}");
    assert_eq!(join["trace_id"].as_str().unwrap().len(), 32, "{join}");
    let in_order = |names: &[&str]| {
        let times = names.iter().map(|name| join[*name].as_u64().unwrap_or_else(|| panic!("{name}: {join}")));
        assert!(times.collect::<Vec<_>>().is_sorted(), "{names:?}: {join}");
    };
    in_order(&["answered_ms", "connected_ms"]);
    in_order(&["page_answered_ms", "page_connected_ms", "page_first_frame_ms"]);
    in_order(&["page_first_packet_ms", "page_first_frame_ms"]);
    in_order(&["connected_ms", "first_packet_ms"]);
    assert_eq!(join["page_door_ms"], Value::Null, "there was none: {join}");

    let metrics = world.get("/metrics");
    let has = |series: &str, value: &str| {
        let found =
            metrics.as_str().unwrap().lines().filter(|line| {
                line.contains("egress_join") && series.split(' ').all(|part| line.contains(part))
            });
        assert!(
            found.clone().any(|line| line.ends_with(value)),
            "{series}: {:#?}",
            found.collect::<Vec<_>>()
        );
    };
    has("joins_total result=\"connected\"", " 1");
    has("_count seen_by=\"egress\" stage=\"connected\"", " 1");
    has("_count seen_by=\"egress\" stage=\"first_packet\"", " 1");
    has("_count seen_by=\"page\" stage=\"first_frame\"", " 1");

    // By the door.
    browser.open("http://10.77.0.1:7073/watch/show").unwrap();
    world.until("it is told of", || joins(&world).len() == 2);
    let second = joins(&world).remove(1);
    assert!(second["page_door_ms"].is_u64(), "{second}");
    assert_ne!(second["trace_id"], join["trace_id"]);
}

fn somebody_who_leaves_at_once(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[("LOG_FORMAT", "json")]);
    world.session("show", 4001, [7777, 8888]);
    world.until("made", || world.get("/mountpoint/show")["sessionId"] == json!("show"));
    let traced = [("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))];
    let traced: Vec<(&str, &str)> = traced.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begin = || world.request("POST", "/whep/endpoint/show", &traced, "");
    world.until("it is let in", || begin().0 == 201);
    let (_, head, _) = begin();
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let left = world.request("DELETE", &format!("/whep/endpoint/{location}"), &[], "").0;
    assert_eq!(left, 200);
    world.until("it is told of", || !joins(&world).is_empty());
    let join = joins(&world).remove(0);
    assert!(join["message"].as_str().unwrap().contains("left before"), "{join}");
    assert_eq!(join["trace_id"], TRACE, "{join}");
    assert!(join["answered_ms"].as_u64().unwrap() < Duration::from_secs(20).as_millis() as u64, "{join}");
    assert_eq!((&join["connected_ms"], &join["page_answered_ms"]), (&Value::Null, &Value::Null));
    let metrics = world.get("/metrics").as_str().unwrap().to_owned();
    let of = |result: &str| {
        metrics
            .lines()
            .find(|line| line.contains("joins_total{") && line.contains(result))
            .unwrap()
            .to_owned()
    };
    assert!(of("left").ends_with(" 1") && of("failed").ends_with(" 0"), "{metrics}");
}

mod of_a_page {
    super::on_both!(super::a_page_that_plays);
}

mod of_somebody_who_leaves_at_once {
    super::on_both!(super::somebody_who_leaves_at_once);
}
