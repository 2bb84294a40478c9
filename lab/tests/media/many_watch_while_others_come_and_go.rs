//! Whoever watches loses nothing by those who come and go, by each of the servers that an egress has; and what is lost on the way
//! from the native one is sent again. The long forms are measurements, of a machine's own choice of SERVER, VIEWERS and SECONDS:
//! `cargo xtask test media -- many_watch_for_minutes --ignored --nocapture`, and of JOINERS at once while WATCHERS watch, `… --
//! two_thousand_come_at_once --ignored --nocapture` (with `ulimit -n 20000`).

use std::process::Command;
use std::time::{Duration, Instant};

use lab::client::crowd;
use lab::node::program;
use lab::relay::Mode;
use lab::studio::{MediaOver, PROXY};
use lab::{Lab, Process, Studio};
use serde_json::Value;

/// What 1,000 viewers of one egress may ask in a test.
const LIMITS: [(&str, &str); 2] = [("MAX_CLIENT_REQUESTS", "1000"), ("MAX_VIEWERS", "5000")];

/// 1.4 Mbit/s: snow takes the bitrate that its size needs at the least, whatever the encoder is told.
const FULL: [&str; 7] = ["--busy", "--bitrate", "1300", "--width", "320", "--height", "180"];

/// A broadcast by that server, and what happens meanwhile. `publisher`: arguments of `media-client publish`.
fn broadcast<T>(
    server: &str,
    name: &str,
    publisher: &[&str],
    happens: impl FnOnce(&Lab, &Studio<'_>) -> T,
) -> T {
    let lab = Lab::new(name).unwrap();
    let more = [&LIMITS[..], &[("SERVER", server)]].concat();
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &more).unwrap();
    studio.proxy_namespace().unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", publisher).unwrap();
    let active = studio.wait_active(0, "show");
    active.unwrap_or_else(|error| panic!("{error:#}{}", publisher.process().tail()));
    let result = happens(&lab, &studio);
    publisher.stop().unwrap();
    result
}

/// A broadcast, and a crowd; gives its report.
fn watched_by(server: &str, name: &str, publisher: &[&str], arguments: &[&str]) -> Value {
    let report = broadcast(server, name, publisher, |lab, studio| {
        crowd(lab, PROXY, &studio.whep(0, "show").unwrap(), arguments).unwrap()
    });
    println!("{server}: {report}");
    report
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Those who stay saw everything from their first packet to the end.
fn lost_nothing(report: &Value) {
    for (what, wanted) in [("joined", "asked"), ("watching", "asked")] {
        assert_eq!(report[what], report[wanted], "{what}: {report}");
    }
    assert_eq!((&report["lost"], &report["errors"]), (&0.into(), &serde_json::json!({})), "{report}");
}

fn stay(server: &str) {
    let arguments = ["--count", "20", "--within", "1", "--stay", "6", "--churn", "10", "--visit", "1"];
    let report = watched_by(server, &format!("t-stay-{server}-"), &[], &arguments);
    lost_nothing(&report);
    let visitors = &report["visitors"];
    assert_eq!((&visitors["joined"], &visitors["errors"]), (&60.into(), &serde_json::json!({})), "{report}");
}

#[test]
fn janus_keeps_those_who_stay() {
    stay("janus");
}

#[test]
fn native_keeps_those_who_stay() {
    stay("native");
}

/// Each viewer loses two packets in a hundred. (Janus answers half of the requests; its viewers are not tried.)
#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let arguments = ["--count", "5", "--within", "0", "--stay", "8", "--loss", "2"];
    let report = watched_by("native", "t-loss-", &["--busy", "--bitrate", "500"], &arguments);
    assert_eq!(report["watching"], report["asked"], "{report}");
    // What was lost a moment before the end comes too late.
    let (lost, late) = (report["videoLost"].as_u64().unwrap(), report["late"].as_u64().unwrap());
    assert!(late > 20 && lost * 10 < late, "{lost} lost and {late} sent again: {report}");
}

#[test]
#[ignore = "a measurement; it wants the machine for itself"]
fn many_watch_for_minutes() {
    let server = setting("SERVER", "native");
    let (viewers, seconds) = (setting("VIEWERS", "1000"), setting("SECONDS", "300"));
    let arguments =
        ["--count", &viewers, "--within", "20", "--stay", &seconds, "--churn", "20", "--visit", "5"];
    let report = watched_by(&server, "t-minutes-", &FULL, &arguments);
    assert_eq!((&report["watching"], &report["lost"]), (&report["asked"], &0.into()), "{report}");
}

/// Viewers, in a process.
struct Crowd(Process);

impl Crowd {
    /// Its last report.
    fn report(&self) -> Option<Value> {
        self.0.log().lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Waits until so many are, or have been, what is counted by that name; no longer than they may take.
    fn until(&self, what: &str, wanted: &str) {
        let (began, wanted) = (Instant::now(), wanted.parse::<u64>().unwrap());
        while self.report().is_none_or(|report| report[what] != wanted)
            && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Light packets for those who come: what is asked is how many can join, and what that does to others.
#[test]
#[ignore = "a measurement; it wants the machine for itself"]
fn two_thousand_come_at_once() {
    let (watchers, joiners) = (setting("WATCHERS", "100"), setting("JOINERS", "2000"));
    let light = ["--fps", "10", "--bitrate", "100"];
    let (watched, joined) = broadcast(&setting("SERVER", "native"), "t-at-once-", &light, |lab, studio| {
        let start = |count: &str, more: &[&str]| {
            let mut command = Command::new(program("media-client").unwrap());
            command
                .args(["crowd", "--endpoint", &studio.whep(0, "show").unwrap(), "--count", count])
                .args(more);
            Crowd(lab.spawn(PROXY, command).unwrap())
        };
        let there = start(&watchers, &["--within", "2", "--stay", "600", "--every", "500"]);
        there.until("watching", &watchers);
        let egress = studio.egresses[0].node.process();
        let (before, began) = (egress.cpu().unwrap(), Instant::now());
        let seconds = setting("SECONDS", "30");
        // All ask at once: none is kept waiting by its own process.
        let at_once = ["--within", "0", "--requests", &setting("REQUESTS", &joiners)];
        let come = start(&joiners, &[&at_once[..], &["--stay", &seconds, "--every", "100"]].concat());
        come.until("watched", &joiners);
        let (took, cpu) = (began.elapsed(), egress.cpu().unwrap() - before);
        println!(
            "{joiners} came within {took:.1?}, in which the egress took {cpu:.1?} of CPU, media included"
        );
        come.0.wait(Duration::from_secs(600)).unwrap();
        there.0.terminate().unwrap();
        (there.report().unwrap(), come.report().unwrap())
    });
    println!("who watched: {watched}\nwho came: {joined}");
    assert_eq!(joined["watching"], joined["asked"], "{joined}");
    assert_eq!((&watched["watching"], &watched["lost"]), (&watched["asked"], &0.into()), "{watched}");
    assert_eq!(joined["lost"], 0, "{joined}");
}
