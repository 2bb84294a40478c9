use std::process::Command;
use std::time::Duration;

use lab::Process;
use serde_json::json;

use crate::common::{Receiver, Scene, rtmp, until_within};

/// A busy machine takes some seconds for a publication, and the first gst-launch on one looks through all plugins.
const LATE: Duration = Duration::from_secs(60);

const BOTH: &[&str] = &["h264", "opus"];
const PICTURE: &[&str] = &["h264"];
const SOUND: &[&str] = &["opus"];

/// Name, options of ffmpeg's, what is published, and whether its video is encoded anew.
const FFMPEG: [(&str, &[&str], &[&str], bool); 9] = [
    ("ffmpeg-main", &["-profile:v", "main", "-bf", "3", "-g", "50", "-c:a", "aac", "-ac", "1"], BOTH, true),
    ("ffmpeg-444", &["-pix_fmt", "yuv444p", "-g", "50", "-c:a", "aac", "-ar", "48000"], BOTH, true),
    ("ffmpeg-slices", &["-profile:v", "baseline", "-slices", "4", "-g", "25", "-c:a", "aac"], BOTH, false),
    (
        "ffmpeg-slow",
        &["-profile:v", "baseline", "-r", "2", "-g", "2", "-c:a", "aac", "-ar", "22050"],
        BOTH,
        false,
    ),
    (
        "ffmpeg-no-metadata",
        &["-profile:v", "baseline", "-g", "25", "-flvflags", "no_metadata", "-c:a", "aac"],
        BOTH,
        false,
    ),
    (
        "ffmpeg-headers",
        &["-profile:v", "baseline", "-g", "25", "-bsf:v", "dump_extra", "-c:a", "aac"],
        BOTH,
        false,
    ),
    ("ffmpeg-sound", &["-vn", "-c:a", "aac"], SOUND, false),
    ("ffmpeg-picture", &["-an", "-profile:v", "baseline", "-g", "25"], PICTURE, false),
    ("ffmpeg-picture-high", &["-an", "-profile:v", "high", "-preset", "veryfast", "-g", "25"], PICTURE, true),
];

/// A line of the table below.
type Launch = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], bool);

const TEST_PICTURE: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1";
const TEST_SOUND: &str = "audiotestsrc is-live=true ! audioconvert";

/// The same for GStreamer: encoder of video, of audio, muxer and sink. `rtmpsink` is librtmp, which OBS has, too.
const GSTREAMER: [Launch; 5] = [
    ("gst-rtmp2", BASELINE, "avenc_aac", "flvmux name=mux streamable=true ! rtmp2sink", BOTH, false),
    ("gst-librtmp", BASELINE, "voaacenc", "flvmux name=mux ! rtmpsink", BOTH, false),
    (
        "gst-openh264",
        "openh264enc gop-size=25 ! h264parse",
        "voaacenc",
        "flvmux name=mux streamable=true ! rtmp2sink",
        BOTH,
        false,
    ),
    (
        "gst-high",
        "x264enc bframes=2 key-int-max=25",
        "avenc_aac",
        "flvmux name=mux streamable=true ! rtmpsink",
        BOTH,
        true,
    ),
    ("gst-picture", BASELINE, "", "flvmux name=mux streamable=true ! rtmp2sink", PICTURE, false),
];
const BASELINE: &str = "x264enc tune=zerolatency key-int-max=25 ! video/x-h264,profile=baseline";

/// Encoders that nobody here wrote, each with a session of its own: what they send comes out as H264 and Opus.
#[test]
fn test() {
    let scene = Scene::with("rtmp-makes", &[rtmp::PORT]);
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let ffmpeg = FFMPEG.map(|(name, options, codecs, anew)| (name, ffmpeg(name, options), codecs, anew));
    let gstreamer = GSTREAMER.map(|(name, video, audio, sink, codecs, anew)| {
        (name, gstreamer(name, video, audio, sink), codecs, anew)
    });
    let mut encoders: Vec<_> = ffmpeg.into_iter().chain(gstreamer).collect();
    let mut n = 0;
    while !encoders.is_empty() {
        let some: Vec<(&str, Process, &[&str], bool, u32)> = encoders
            .drain(..encoders.len().min(4))
            .map(|(name, command, codecs, anew)| {
                n += 1;
                let wish = json!({ "sessionId": name, "audioSsrc": 1000 + n, "videoSsrc": 2000 + n });
                assert_eq!(scene.ask("POST", "/session/create", &wish.to_string()).0, 201);
                (name, scene.lab.spawn("far", command).unwrap(), codecs, anew, n)
            })
            .collect();
        for (name, encoder, codecs, anew, n) in &some {
            until_within(LATE, &format!("{name} publishes"), || {
                assert_eq!(encoder.status().unwrap(), None, "{name}: {}", encoder.log());
                scene.session(name)["publisher"]["state"] == "publishing"
            });
            let publisher = scene.session(name)["publisher"].clone();
            let via = if *anew { "rtmp-encoded-anew" } else { "rtmp" };
            assert_eq!((&publisher["codecs"], &publisher["via"]), (&json!(codecs), &json!(via)), "{name}");
            for (kind, codec, ssrc) in [(0, "opus", 1000 + n), (1, "h264", 2000 + n)] {
                let wanted = codecs.contains(&codec);
                let comes = || {
                    receiver.packets(kind).iter().filter(|packet| packet.header.ssrc.0 == ssrc).count() > 10
                };
                match wanted {
                    true => drop(until_within(LATE, &format!("{name}'s {codec}"), comes)),
                    false => assert!(!comes(), "{name} has no {codec}"),
                }
            }
        }
    }
}

fn ffmpeg(name: &str, options: &[&str]) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    ffmpeg.args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "300k"]);
    if !options.contains(&"-pix_fmt") {
        ffmpeg.args(["-pix_fmt", "yuv420p"]);
    }
    ffmpeg.args(options).args(["-f", "flv"]).arg(format!("rtmp://10.77.0.1/live/{name}"));
    ffmpeg
}

fn gstreamer(name: &str, video: &str, audio: &str, sink: &str) -> Command {
    let mut text =
        format!("{sink} location=rtmp://10.77.0.1/live/{name} {TEST_PICTURE} ! {video} ! queue ! mux.");
    if !audio.is_empty() {
        text += &format!(" {TEST_SOUND} ! {audio} ! queue ! mux.");
    }
    let mut launch = Command::new("gst-launch-1.0");
    launch.arg("-q").args(text.split_whitespace());
    launch
}
