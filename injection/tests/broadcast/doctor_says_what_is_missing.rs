use std::process::Command;

use crate::common::{API_SECRET, ROOM_SECRET, Scene, rtmp};

/// `injection doctor`: beside a node that runs all is well, and nothing is left in Janus; other secrets, and a Janus that has ended,
/// are said.
#[test]
fn test() {
    let scene = Scene::with("doctor", &[rtmp::PORT]);
    let doctor = |room_secret: &str, arguments: &[&str]| -> (i32, String) {
        let mut command: Command = scene.lab.command("node", env!("CARGO_BIN_EXE_injection"));
        command.args([
            "doctor",
            "--api",
            "0.0.0.0:7070",
            "--node-host",
            "10.77.0.1",
            "--redis-host",
            "127.0.0.1",
        ]);
        command.args(arguments).env(rtmp::PORT.0, rtmp::PORT.1);
        command.env("JANUS_API_SECRET", API_SECRET).env("JANUS_ROOM_SECRET", room_secret);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = doctor(ROOM_SECRET, &[]);
    assert_eq!(code, 0, "{text}");
    for wanted in [
        "ok   GStreamer: all that is needed is installed",
        "ok   HTTP: TCP 0.0.0.0:7070 is this node's, which runs (PID ",
        "ok   audio RTP: UDP 0.0.0.0:5002 is this node's",
        "ok   RTMP: TCP 0.0.0.0:1935 is this node's",
        "ok   Redis: redis://127.0.0.1:6379/0 answers",
        "ok   Janus' plugin: janus.plugin.videoroom",
        "ok   rooms: Janus takes this node's secrets",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(scene.rooms().is_empty(), "it leaves nothing behind");
    let (code, text) = doctor("hunter9", &[]);
    assert!(code == 1 && text.contains("FAIL rooms: ") && text.contains("Unauthorized"), "{text}");
    scene.janus.kill9().unwrap();
    let (code, text) = doctor(ROOM_SECRET, &["--redis-port", "6380"]);
    assert!(code == 1 && text.contains("FAIL Janus: ") && text.contains("FAIL Redis: "), "{text}");
}
