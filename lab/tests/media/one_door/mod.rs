//! One door for a whole tree, and what goes wrong with those behind it: the cases of `lab/failures.tsv`.

mod a_killed_egress_is_passed_over;
mod a_viewer_without_a_goodbye_is_forgotten;
mod any_node_is_the_door;
mod redis_crashes_and_returns;

use std::time::{Duration, Instant};

use lab::{Lab, NodeProcess, Publisher, Studio, Viewers, http};
use serde_json::Value;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

/// A broadcast that reaches all egresses.
fn broadcast(studio: &Studio<'_>) -> Publisher {
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &[]).unwrap();
    for egress in 0..studio.egresses.len() {
        let active = studio.wait_active(egress, "show");
        active.unwrap_or_else(|error| panic!("{error:#}\npublisher: {}", publisher.process().tail()));
    }
    publisher
}

/// The door of a node, for programs.
fn door(node: std::net::SocketAddr) -> String {
    format!("http://{node}/watch/show")
}

/// Viewers that come by these doors, two by each.
fn view(studio: &Studio<'_>, doors: &[String], arguments: &[&str]) -> Viewers {
    Viewers::start(studio.lab(), lab::studio::VIEWERS, doors, 2, arguments).unwrap()
}

/// All of them see pictures.
fn watch(studio: &Studio<'_>, viewers: &Viewers, count: usize) {
    viewers
        .wait_until(PATIENCE, |views| {
            views.viewers.len() == count && views.viewers.iter().all(|seen| seen.frames > 30)
        })
        .unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
}

/// What a node answers to a program that asks where to watch: status and JSON.
fn asked(lab: &Lab, ns: &str, port: u16, query: &str) -> (u16, Value) {
    let path = format!("/watch/{query}");
    let accept = [("Accept", "application/json")];
    let node = (std::net::Ipv4Addr::LOCALHOST, port).into();
    let answer = http::request(lab, ns, node, "GET", &path, &accept, "").unwrap();
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

/// How many watch at an egress, as it says.
fn watching(node: &NodeProcess<'_>) -> u64 {
    let status: Value = serde_json::from_str(&node.get("/status").unwrap().body).unwrap();
    status["viewers"]["connected"].as_u64().unwrap()
}

fn until(what: &str, studio: &Studio<'_>, so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}{}", studio.diagnosis());
        std::thread::sleep(POLL);
    }
    began.elapsed()
}

/// Those who have nothing to do with it have joined once and lost nothing.
fn are_unharmed(viewers: &Viewers) {
    for seen in &viewers.report().viewers {
        assert_eq!((seen.joins, seen.video_lost, seen.audio_lost), (1, 0, 0), "{seen:?}");
    }
}
