//! ffmpeg as an encoder that speaks RTMP.

use std::process::Command;
use std::time::Duration;

use lab::Process;

use super::{Scene, until_within};

/// Where it publishes.
pub const PORT: (&str, &str) = ("RTMP_LISTEN", "1935");
/// The same, as encoders reach it.
const INJECTION: &str = "10.77.0.1:1935";
/// H264 of the baseline profile, a keyframe every 4 s.
pub const BASELINE: &[&str] = &["-profile:v", "baseline", "-tune", "zerolatency", "-g", "100"];
/// As encoders are set for players that buffer: the High profile with B-frames, a keyframe every 40 s.
pub const HIGH: &[&str] = &["-profile:v", "high", "-bf", "2", "-g", "1000"];

impl Scene {
    /// Publishes to a stream key; `video` are x264's options.
    pub fn encoder(&self, key: &str, video: &[&str]) -> Process {
        self.encoder_at(INJECTION, key, video)
    }

    /// The same, to somewhere else.
    pub fn encoder_at(&self, server: &str, key: &str, video: &[&str]) -> Process {
        let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "600k"];
        self.ffmpeg(server, key, &[&x264, video].concat(), "aac")
    }

    /// With any codecs.
    pub fn encoder_with(&self, key: &str, video: &[&str], audio: &str) -> Process {
        self.ffmpeg(INJECTION, key, video, audio)
    }

    fn ffmpeg(&self, server: &str, key: &str, video: &[&str], audio: &str) -> Process {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args([
            "-hide_banner",
            "-nostdin",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25",
        ]);
        ffmpeg.args([
            "-re",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=44100",
            "-pix_fmt",
            "yuv420p",
        ]);
        ffmpeg.args(video).args(["-c:a", audio, "-f", "flv"]).arg(format!("rtmp://{server}/live/{key}"));
        self.lab.spawn("far", ffmpeg).unwrap()
    }

    /// Publishes, and waits until media comes.
    pub fn encodes(&self, key: &str, session: &str, video: &[&str]) -> Process {
        let encoder = self.encoder(key, video);
        until_within(Duration::from_secs(30), "media comes by RTMP", || {
            assert_eq!(encoder.status().unwrap(), None, "{}", encoder.log());
            self.session(session)["publisher"]["state"] == "publishing"
        });
        encoder
    }
}
