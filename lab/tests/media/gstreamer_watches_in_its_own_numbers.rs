//! GStreamer's own WebRTC, by the numbers that its `whepsrc` has by default, watches VP8 and H264 with sound from the native server.

use std::process::Command;
use std::time::{Duration, Instant};

use lab::node::program;
use lab::relay::Mode;
use lab::studio::{MediaOver, VIEWERS};
use lab::{Lab, Process, Studio};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn gstreamer_watches_in_its_own_numbers() {
    let lab = Lab::new("t-whepsrc-").unwrap();
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [1, 1], &[("SERVER", "native")]).unwrap();
    for (codec, ssrcs) in [("vp8", [7777, 8888]), ("h264", [7778, 8889])] {
        studio.create_session(codec, ssrcs).unwrap();
        let publisher = studio.publish(codec, &["--codec", codec]).unwrap();
        studio.wait_active(0, codec).unwrap();
        let mut command = Command::new(program("media-client").unwrap());
        command.args(["webrtcbin", "--endpoint", &studio.whep(0, codec).unwrap()]);
        let player = lab.spawn(VIEWERS, command).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while decoded(&player, "pictures") < 30 || decoded(&player, "sound") < 50 {
            let wrong = Instant::now() > deadline || player.status().unwrap().is_some();
            assert!(!wrong, "{codec}: {}{}", player.tail(), studio.diagnosis());
            std::thread::sleep(Duration::from_millis(20));
        }
        player.terminate().unwrap();
        publisher.stop().unwrap();
    }
}

/// What it says that it has decoded.
fn decoded(player: &Process, what: &str) -> u64 {
    let log = player.log();
    let said: Option<Value> = log.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    said.and_then(|said| said[what].as_u64()).unwrap_or_default()
}
