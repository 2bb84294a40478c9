//! Our own page measures how a viewer fares, and its server makes distributions of that, whatever serves it. Whoever says so too
//! often is not heard, nor who is not connected.

use std::fs::{self, File};
use std::process::Command;

use lab::Lab;
use serde_json::json;

use crate::common::{By, World, browser, lab, on_both, seen};

on_both!(the_page_says_so);

/// The sum of a metric's series, those that have this label.
fn counted(world: &World<'_>, name: &str, label: &str) -> f64 {
    let metrics = world.get("/metrics").as_str().unwrap_or_default().to_owned();
    let start = format!("media_tree_egress_{name}{{");
    let series = metrics.lines().filter(|line| line.starts_with(&start) && line.contains(label));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn the_page_says_so(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    world.session("show", 4001, [7777, 8888]);
    let sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=show").unwrap();
    world.until("the page has said how it fares", || counted(&world, "page_reports_total", "taken") == 1.0);
    assert_eq!(seen(&browser, "reports"), 1.0);
    assert_eq!(counted(&world, "page_loss_ratio_count", ""), 1.0);
    assert_eq!(counted(&world, "page_jitter_seconds_count", ""), 1.0);
    // Of two at once one comes too soon after the other.
    let report = "fetch(join.resource + '/report', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })";
    for _ in 0..2 {
        browser.run(report).unwrap();
    }
    world.until("it is refused", || counted(&world, "page_reports_total", "refused") >= 1.0);
    let in_the_dark = |why: &str| counted(&world, "viewers_in_the_dark", why);
    assert_eq!((in_the_dark("nothing_comes"), in_the_dark("not_sent")), (0.0, 0.0));
    promtool_has_nothing_to_say(&lab, &world);
    for process in &sending {
        process.kill9().unwrap();
    }
    world.until("it sees nothing", || in_the_dark("nothing_comes") == 1.0);
    assert_eq!(in_the_dark("not_sent"), 0.0);
}

/// With everything that an egress can show.
fn promtool_has_nothing_to_say(lab: &Lab, world: &World<'_>) {
    let path = lab.directory().join("metrics");
    fs::write(&path, world.get("/metrics").as_str().unwrap()).unwrap();
    let said = Command::new("promtool").args(["check", "metrics"]).stdin(File::open(&path).unwrap()).output();
    let said = said.expect("promtool is not installed: run `cargo xtask setup`");
    assert!(said.stderr.is_empty() && said.stdout.is_empty(), "{said:?}");
}

#[test]
fn who_makes_it_up_is_not_heard() {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let (status, head, _) = world.request("POST", "/whep/endpoint/s1", &[], "");
    assert_eq!(status, 201, "{head}");
    let location =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("location: ").map(str::to_owned));
    let viewer = location.unwrap().trim().rsplit('/').next().unwrap().to_owned();
    let report = |viewer: &str, kind: &str, body: &str| {
        let path = format!("/whep/endpoint/s1/{viewer}/report");
        world.request("POST", &path, &[("Content-Type", kind)], body)
    };
    let json = "application/json";
    let long = format!("{{\"ms\":1,\"more\":\"{}\"}}", "x".repeat(1024));
    for (who, kind, body, status) in [
        ("nobody", json, "{}", 404),
        (&viewer, "text/plain", "{}", 415),
        (&viewer, json, "{", 400),
        (&viewer, json, "[1]", 400),
        (&viewer, json, &long, 413),
        // Its connection is not up.
        (&viewer, json, r#"{"ms":1000,"received":1,"rttMs":31}"#, 409),
    ] {
        let (found, _, answer) = report(who, kind, body);
        assert_eq!(found, status, "{who} {body}: {answer}");
    }
    let counts = ["taken", "refused"].map(|result| counted(&world, "page_reports_total", result));
    assert_eq!(counts, [0.0, 1.0]);
    assert_eq!(counted(&world, "page_rtt_seconds_count", ""), 0.0);
    // A page of another origin may say so, too.
    let (status, head, _) = world.request(
        "OPTIONS",
        &format!("/whep/endpoint/s1/{viewer}/report"),
        &[("Origin", "http://a")],
        "",
    );
    assert!(status == 204 && head.to_lowercase().contains("accept-post: application/json"), "{head}");
}
