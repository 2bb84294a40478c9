//! Whatever serves viewers says how each of them fares, to operators one by one and to Prometheus as distributions. A Janus that does not
//! say serves them all the same.

use serde_json::{Value, json};

use crate::common::{By, World, browser, lab, on_both, seen};

on_both!(a_viewer_is_seen_from_the_server);

/// The sum of a metric's series.
fn counted(world: &World<'_>, name: &str) -> Option<f64> {
    let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
    let start = format!("media_tree_egress_{name}{{");
    let series = metrics.lines().filter(|line| line.starts_with(&start));
    series
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .reduce(|one, other| one + other)
}

fn a_viewer_is_seen_from_the_server(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    let viewer = || world.get("/viewers")["viewers"][0].clone();
    world.until("it is known what was sent to it", || viewer()["packets"].as_u64() > Some(0));
    // Looked at every ten seconds, and the second look is the first with something to compare with.
    for seconds in [12, 24] {
        world.until("it has watched for long enough", || viewer()["seconds"].as_u64() > Some(seconds));
    }
    world.until("it is known what it had lately", || viewer()["bitrate"].as_u64() > Some(20_000));
    let viewer = viewer();
    println!("{viewer:#}");
    let loss = viewer["loss"].as_f64().unwrap();
    assert!((0.0..0.5).contains(&loss) && viewer["lost"].is_u64(), "{viewer}");
    assert!(viewer["bytes"].as_u64() > viewer["packets"].as_u64(), "{viewer}");
    // A Janus does not say it: then there is no number, rather than a wrong one.
    assert_eq!(viewer["resent"].is_u64(), by == By::Native, "{viewer}");
    assert_eq!(counted(&world, "viewer_packets_resent_total").is_some(), by == By::Native);
    for histogram in ["viewer_rtt_seconds_count", "viewer_jitter_seconds_count"] {
        assert!(counted(&world, histogram).is_some(), "{histogram}");
    }
    assert!(counted(&world, "viewer_loss_ratio_count") >= Some(1.0));
    assert!(counted(&world, "viewer_packets_sent_total") > Some(100.0));
    assert_eq!(counted(&world, "viewers_in_the_dark"), Some(0.0));
    assert_eq!(
        world.get("/status")["warnings"].as_array().map(|all| all.iter().any(of_the_admin_api)),
        Some(false)
    );
}

fn of_the_admin_api(warning: &Value) -> bool {
    warning.as_str().is_some_and(|warning| warning.contains("admin API"))
}

#[test]
fn a_janus_that_does_not_say_so_serves_viewers_all_the_same() {
    let lab = lab();
    let world = World::start_by(&lab, By::Janus, &[("JANUS_ADMIN_SECRET", "another")]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    world.until("it is said", || {
        world.get("/status")["warnings"].as_array().is_some_and(|all| all.iter().any(of_the_admin_api))
    });
    let status = world.get("/status");
    let warning =
        status["warnings"].as_array().unwrap().iter().find(|warning| of_the_admin_api(warning)).unwrap();
    assert!(warning.as_str().unwrap().contains("Unauthorized"), "{warning}");
    assert_eq!(status["healthy"], json!(true));
    assert!(world.get("/viewers")["viewers"][0]["packets"].is_null());
}
