//! `egress doctor`: beside a node that runs all is well; what is taken away is missed, and what mends it is said.

use std::net::Ipv4Addr;
use std::process::Command;

use lab::{Lab, Turn, TurnLogin};
use serde_json::Value;

use crate::common::{By, World, configure, lab};

/// Exit code and what is printed.
pub fn doctor(lab: &Lab, arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    doctor_of(lab, By::Janus, arguments, env)
}

/// The same of a node with this server.
pub fn doctor_of(lab: &Lab, by: By, arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut command: Command = lab.command("eg", env!("CARGO_BIN_EXE_egress"));
    command.arg("doctor").args(arguments);
    configure(&mut command, by, env);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn test() {
    let lab = lab();
    let _turn = Turn::start(&lab, "view", Ipv4Addr::new(10, 77, 0, 2), TurnLogin::Secret("north")).unwrap();
    let mut world = World::start(&lab);
    let servers = "stun:10.77.0.2:3478,turn:10.77.0.2:3478?transport=udp,turn:10.77.0.2:3478?transport=tcp";
    let env = [("API", "0.0.0.0:7073"), ("ICE_SERVERS", servers), ("TURN_SECRET", "north")];
    let (code, text) = doctor(&lab, &[], &env);
    assert_eq!(code, 0, "{text}");
    for wanted in [
        "ok   HTTP: TCP 0.0.0.0:7073 is this node's, which runs (PID ",
        "ok   video RTP: UDP 0.0.0.0:5004 is this node's",
        "ok   Redis: redis://127.0.0.1:6379/0 answers",
        "ok   NODE_HOST: 10.77.0.1",
        "ok   Janus' version: Janus 1.1",
        "ok   Janus' threads: one for all",
        "ok   mountpoints: Janus takes this node's secrets",
        "ok   Janus' open files: ",
        "ok   stun:10.77.0.2:3478: sees this node as 10.77.0.1:",
        "ok   turn:10.77.0.2:3478?transport=udp: lets clients in and relays",
        "ok   turn:10.77.0.2:3478?transport=tcp: lets clients in and relays",
        // The API is open without a token, and nothing else is to be said.
        "note configuration: the HTTP API on 0.0.0.0:7073 is open",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let printed: Value = serde_json::from_str(&doctor(&lab, &["--json"], &env).1).unwrap();
    assert_eq!(printed[0]["what"], "configuration");

    // Secrets that are not the servers'.
    let wrong = [("JANUS_STREAMING_MOUNTPOINT_SECRET", "x"), ("TURN_SECRET", "x")];
    let (code, text) = doctor(&lab, &[], &[&env[..], &wrong].concat());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("FAIL mountpoints: ") && text.contains("fix: JANUS_API_SECRET is"), "{text}");
    assert!(
        text.contains("FAIL turn:10.77.0.2:3478?transport=udp: it does not let these credentials in"),
        "{text}"
    );
    assert!(text.contains("FAIL turn:10.77.0.2:3478?transport=tcp: it does not"), "{text}");
    let (_, text) = doctor(&lab, &[], &[("JANUS_STREAMING_API_SECRET", "x")]);
    assert!(text.contains("FAIL mountpoints: Janus: Unauthorized"), "{text}");

    // What has ended.
    world.janus_mut().kill9().unwrap();
    let nobody = [
        ("REDIS_URL", "redis://127.0.0.1:6380"),
        ("ICE_SERVERS", "stun:10.77.0.2:9"),
        ("NODE_HOST", "x.invalid"),
    ];
    let (code, text) = doctor(&lab, &[], &nobody);
    assert_eq!(code, 1, "{text}");
    for wanted in [
        "FAIL Redis: Redis at 127.0.0.1:6380 cannot be reached",
        "FAIL Janus: Janus at ws://127.0.0.1:8188: ",
        "FAIL NODE_HOST: x.invalid cannot be looked up",
        "FAIL stun:10.77.0.2:9: ",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    // A configuration that is none is refused as ever.
    let (code, text) = doctor(&lab, &["--janus-url", "http://a"], &[]);
    assert!(code == 64 && text.lines().count() == 1 && text.contains("--janus-url"), "{code}: {text}");
}
