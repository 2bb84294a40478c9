//! An egress is cut from the tree, another drained, another killed with -9: all who watched there go on at the next one, and those
//! who watched elsewhere lose nothing. Prints a table: how many moved, and how long they saw nothing.
//!
//! The long form is a measurement: `cargo xtask test media -- two_hundred_viewers --ignored --nocapture`; SERVER is what serves them
//! (native, janus), VIEWERS another number.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::client::percentile;
use lab::node::program;
use lab::relay::Mode;
use lab::studio::{MediaOver, PROXY};
use lab::{Lab, Process, Studio};
use node::contract::key;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Viewers who go where they are sent.
struct Crowd {
    process: Process,
}

impl Crowd {
    fn of(lab: &Lab, studio: &Studio<'_>, count: usize) -> Crowd {
        let mut command = Command::new(program("media-client").unwrap());
        command.args(["crowd", "--follow", "--within", "2", "--stay", "600", "--every", "200"]);
        command.args(["--count", &count.to_string()]);
        for egress in [0, 1] {
            command.args(["--endpoint", &studio.whep(egress, "show").unwrap()]);
        }
        Crowd { process: lab.spawn(PROXY, command).unwrap() }
    }

    fn report(&self) -> Value {
        let log = self.process.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    fn until(&self, what: &str, studio: &Studio<'_>, so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let report = self.report();
            if so(&report) {
                return report;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}: {report}{}",
                studio.diagnosis()
            );
            std::thread::sleep(POLL);
        }
    }
}

fn until(what: &str, studio: &Studio<'_>, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}{}", studio.diagnosis());
        std::thread::sleep(POLL);
    }
}

/// Cut off, drained, killed; so many viewers, half of them at each egress to begin with.
fn all_move(server: &str, count: usize, name: &str) {
    let lab = Lab::new(name).unwrap();
    let more = [("MAX_CLIENT_REQUESTS", "1000"), ("MAX_VIEWERS", "1000"), ("SERVER", server)];
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [2, 2], &more).unwrap();
    studio.proxy_namespace().unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &["--fps", "25", "--bitrate", "300"]).unwrap();
    for egress in [0, 1] {
        let active = studio.wait_active(egress, "show");
        active.unwrap_or_else(|error| panic!("{error:#}{}", publisher.process().tail()));
    }
    let crowd = Crowd::of(&lab, &studio, count);
    // Everybody watches, and knows where else to go.
    let settled = |what: &str| {
        crowd.until(what, &studio, |report| {
            (&report["watching"], &report["moves"]["prepared"]) == (&count.into(), &count.into())
        })
    };
    let entry = |egress: &str| studio.redis.cli(&["HGET", &key::directory("tree-1"), egress]).unwrap();
    let mut moved = 0;
    let mut row = |what: &str, of: usize, does: &dyn Fn()| {
        let began = Instant::now();
        does();
        let report = crowd.until(what, &studio, |report| report["moves"]["count"] == moved + of);
        let took = began.elapsed();
        let mut each = report["moves"]["each"].as_array().unwrap().clone();
        each.sort_by(|one, other| one["at"].as_f64().unwrap().total_cmp(&other["at"].as_f64().unwrap()));
        let times = |what: &str| -> Vec<f64> {
            each[moved..].iter().map(|one| one[what].as_f64().unwrap()).collect()
        };
        let ms = |what: &str, share| percentile(&times(what), share).unwrap_or_default();
        let step = |what: &str| format!("{:.0}, {:.0}", ms(what, 0.5), ms(what, 0.99));
        let line = format!(
            "| {what} | {of} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {} | {} |",
            took.as_secs_f64(),
            ms("darkMs", 0.5),
            ms("darkMs", 0.99),
            ms("darkMs", 1.0),
            step("askedMs"),
            step("answeredMs"),
            step("firstPacketMs"),
        );
        moved += of;
        line
    };

    settled("all watch");
    let cut = row("cut off", count / 2, &|| studio.leave(0).unwrap());
    until("it is known", &studio, || entry("egress-1").contains("\"cutOff\":true"));
    studio.join(0).unwrap();
    studio.wait_active(0, "show").unwrap();
    until("it is back", &studio, || entry("egress-1").contains("\"cutOff\":false"));

    settled("all are at egress-2");
    let node = &studio.egresses[1].node;
    let drained = row("drained", count, &|| drop(node.send("POST", "/drain", "{}").unwrap()));
    until("nobody is left", &studio, || node.get("/drain").unwrap().body.contains("\"drained\""));
    // What they know of egress-2 is of before as long as they have not heard that there is nowhere to go.
    crowd.until("they know that it drains", &studio, |report| report["moves"]["prepared"] == 0);
    node.send("DELETE", "/drain", "").unwrap();
    until("it is back", &studio, || entry("egress-2").contains("\"draining\":false"));

    settled("all are at egress-1");
    let killed = row("killed with -9", count, &|| studio.egresses[0].node.kill9().unwrap());
    crowd.until("all watch again", &studio, |report| report["watching"] == count);
    crowd.process.terminate().unwrap();
    publisher.stop().unwrap();
    let report = crowd.report();
    println!(
        "\n{count} viewers, {server}\n| an egress is | moved | all within, s | dark p50, ms | p99 | most | another asked after (p50, p99) | answered | first packet |\n|---|---|---|---|---|---|---|---|---|"
    );
    [cut, drained, killed].iter().for_each(|row| println!("{row}"));
    println!(
        "lost packets: {}, of {}; moves that failed at first: {}",
        report["lost"], report["packets"], report["moves"]["failed"]
    );
    assert_eq!(report["lost"], 0, "{report}{}", studio.diagnosis());
}

#[test]
fn ten_viewers() {
    all_move("native", 10, "t-move-");
}

/// Janus cannot move anybody: its viewers are told by the egress, and gone when that is.
#[test]
fn four_viewers_of_janus() {
    all_move("janus", 4, "t-move-janus-");
}

#[test]
#[ignore = "a measurement; it wants the machine for itself"]
fn two_hundred_viewers() {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let count = setting("VIEWERS", "200").parse().unwrap();
    all_move(&setting("SERVER", "native"), count, "t-move-many-");
}
