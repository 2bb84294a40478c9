//! When something begins, viewers come within seconds, and behind a proxy all of them from one address: none is refused, all
//! see it. The long form is a measurement: `cargo xtask test media -- a_thousand --ignored --nocapture`; RUSH is another number of
//! viewers.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::node::program;
use lab::relay::Mode;
use lab::studio::{MediaOver, PROXY};
use lab::{Lab, Studio};
use serde_json::Value;

/// How long the viewers may take, and what they say.
const PATIENCE: Duration = Duration::from_secs(90);

fn rush(name: &str, count: usize, within: u32) {
    let lab = Lab::new(name).unwrap();
    // The proxy asks for everybody; nobody's limit but the number of all that join at once is to be met.
    let studio =
        Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &[("MAX_VIEWERS", "2000")]).unwrap();
    studio.proxy_namespace().unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    // Few packets: what is asked is how many can join.
    let publisher = studio.publish("show", &["--fps", "10", "--bitrate", "100"]).unwrap();
    let active = studio.wait_active(0, "show");
    active.unwrap_or_else(|error| panic!("{error:#}{}", publisher.process().tail()));
    let egress = &studio.egresses[0];
    let processes = [("egress", egress.node.process()), ("janus", egress.janus.process())];
    let before = processes.map(|(_, process)| process.cpu().unwrap());
    let mut command = Command::new(program("media-client").unwrap());
    command.args(["crowd", "--endpoint", &studio.whep(0, "show").unwrap()]);
    command.args(["--count", &count.to_string(), "--within", &within.to_string()]);
    let began = Instant::now();
    let viewers = lab.spawn(PROXY, command).unwrap();
    let mut slowest = Duration::ZERO;
    let status = loop {
        let asked = Instant::now();
        assert_eq!(egress.node.get("/healthz").unwrap().status, 200);
        slowest = slowest.max(asked.elapsed());
        if let Some(status) = viewers.status().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "{}", viewers.tail());
        std::thread::sleep(Duration::from_millis(50));
    };
    let log = viewers.log();
    let report: Value = log
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{status}: {log}"));
    println!("{count} in {within} s: {report}");
    for ((what, process), before) in processes.into_iter().zip(before) {
        println!(
            "{what}: {:.1} s of CPU in {:.1} s",
            (process.cpu().unwrap() - before).as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
    }
    println!("the slowest answer to /healthz took {slowest:?}");
    assert!(status.success(), "{log}");
    assert_eq!(report["statuses"]["201"], count, "none is refused: {report}");
    assert_eq!(report["watched"], count, "all see it: {report}{}", studio.diagnosis());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    publisher.stop().unwrap();
}

#[test]
fn fifty_come_within_a_second() {
    rush("t-rush-", 50, 1);
}

#[test]
#[ignore = "a measurement; it wants the machine for itself"]
fn a_thousand_come_within_ten_seconds() {
    let count = std::env::var("RUSH").ok().and_then(|count| count.parse().ok());
    rush("t-rush-", count.unwrap_or(1000), 10);
}
