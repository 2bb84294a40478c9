//! Janus as Debian installs it holds the nodes' ports with its sample mountpoints; Redis without a password answers nobody from
//! another machine. Either is said in one line, with what to do.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Lab, Process, Redis, RedisConfig};

use crate::common::{By, LONG, configure, lab};
use crate::doctor_says_what_is_missing::doctor;

/// From /etc/janus as it is.
fn debian_s_janus(lab: &Lab) -> Process {
    let mut command = Command::new("janus");
    command.args(["-F", "/etc/janus", "--disable-colors", "--log-stdout"]);
    let janus = lab.spawn("eg", command).unwrap();
    until("Janus is there", || janus.log().contains("WebSockets thread started"));
    janus
}

#[test]
fn sample_mountpoints() {
    let lab = lab();
    let janus = debian_s_janus(&lab);
    let _redis = Redis::start(&lab, "eg", RedisConfig::default()).unwrap();
    let who = format!("janus (PID {})", janus.pid());
    let egress = env!("CARGO_BIN_EXE_egress");
    // Whoever is not root does not see what other users' processes hold, and the units are run by such a user.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", egress];
    for program in [&[egress][..], &nobody] {
        let mut command = lab.command("eg", program[0]);
        command.args(&program[1..]);
        configure(&mut command, By::Janus, &[]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("egress: cannot take audio RTP on port 5002: "), "{said}");
        assert!(
            last.contains(&who) && last.contains("`rtp-sample`") && last.contains("deploy/janus"),
            "{said}"
        );
    }
    let (code, text) = doctor(&lab, &[], &[]);
    assert_eq!(code, 1, "{text}");
    for port in ["FAIL audio RTP: UDP 0.0.0.0:5002: ", "FAIL video RTP: UDP 0.0.0.0:5004: "] {
        let line = text.lines().find(|line| line.starts_with(port)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(&who) && line.contains("`rtp-sample`"), "{line}");
    }
    // What does not keep it from its job is a note.
    for note in ["note Janus' secret: ", "note Janus' threads: a thread for each", "ok   audio RTCP: "] {
        assert!(text.contains(note), "{note}\n{text}");
    }
}

#[test]
fn protected_mode() {
    let lab = lab();
    let arguments = ["--protected-mode", "yes"].map(str::to_owned).to_vec();
    let _redis = Redis::start(&lab, "view", RedisConfig { arguments, ..RedisConfig::default() }).unwrap();
    let env = [("REDIS_URL", "redis://10.77.0.2:6379")];
    let egress = crate::common::start_egress(&lab, By::Janus, &env);
    let complaint = "Redis at 10.77.0.2:6379 is in protected mode";
    until("it says so", || egress.log().contains(complaint));
    // Once, although it tries again and again.
    std::thread::sleep(Duration::from_secs(2));
    let log = egress.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(complaint)).collect();
    let of_the_tree = lines.iter().filter(|line| line.contains("node::tree")).count();
    assert!(of_the_tree == 1 && lines.len() <= 2, "and what cannot be written because of it: {lines:#?}");
    assert!(lines.iter().all(|line| line.contains("fix: give it a password")), "{lines:#?}");
    let (code, text) = doctor(&lab, &[], &env);
    assert!(code == 1 && text.contains(&format!("FAIL Redis: {complaint}")), "{text}");
}

fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
