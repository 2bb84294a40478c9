//! What Janus' admin API says of a viewer's handle (`handle_info`), read. Pure.
//!
//! Times there are whole milliseconds, and 0 before a viewer has reported: what is 0 is not known.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::Figures;

/// No round trip, and no jitter, is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A viewer's handle.
#[derive(Clone, Debug, PartialEq)]
pub struct HandleInfo {
    /// What was sent to the viewer, and what it has reported.
    pub figures: Figures,
    /// Something of the picture has been sent, or of the sound where no picture is offered.
    pub has_begun: bool,
}

impl HandleInfo {
    /// Reads what came at that time; `None`: it has no media yet.
    pub fn read(info: &Value, at: Instant) -> Option<HandleInfo> {
        let media = info["webrtc"]["media"].as_object()?;
        let media: Vec<Medium> = media.values().filter_map(Medium::read).collect();
        let first = media.iter().find(|medium| medium.is_video).or(media.first())?;
        let sum = |of: fn(&Medium) -> u64| media.iter().map(of).fold(0, u64::saturating_add);
        let figures = Figures {
            at,
            packets: sum(|medium| medium.packets),
            bytes: sum(|medium| medium.bytes),
            lost: sum(|medium| medium.lost),
            repairs: None,
            rtt: first.rtt.or_else(|| media.iter().find_map(|medium| medium.rtt)),
            jitter: first.jitter.filter(|_| first.is_video),
            estimate: None,
        };
        Some(HandleInfo { figures, has_begun: first.packets > 0 })
    }
}

/// A medium that is sent.
struct Medium {
    is_video: bool,
    packets: u64,
    bytes: u64,
    lost: u64,
    rtt: Option<Duration>,
    jitter: Option<Duration>,
}

impl Medium {
    fn read(medium: &Value) -> Option<Medium> {
        let is_video = match medium["type"].as_str()? {
            "video" => true,
            "audio" => false,
            _ => return None,
        };
        if medium["direction"]["send"] == Value::Bool(false) {
            return None;
        }
        let (out, reported) = (&medium["stats"]["out"], &medium["rtcp"]["main"]);
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        Some(Medium {
            is_video,
            packets: count(&out["packets"]),
            bytes: count(&out["bytes"]),
            // Of duplicates there may be more than losses (RFC 3550 section 6.4.1): then it is below 0, and counts for none.
            lost: count(&reported["lost-by-remote"]),
            rtt: time(&reported["rtt"]),
            jitter: time(&reported["jitter-remote"]),
        })
    }
}

fn time(ms: &Value) -> Option<Duration> {
    ms.as_u64().filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn medium(kind: &str, packets: i64, lost: i64, rtt: i64, jitter: i64) -> Value {
        json!({ "type": kind, "direction": { "send": true, "recv": false },
            "rtcp": { "main": { "base": 90000, "rtt": rtt, "lost": 0, "lost-by-remote": lost, "jitter-local": 0, "jitter-remote": jitter } },
            "stats": { "in": { "packets": 0 }, "out": { "packets": packets, "bytes": packets * 1000, "nacks": 0 } } })
    }

    fn read(audio: Value, video: Value) -> Option<HandleInfo> {
        HandleInfo::read(&json!({ "webrtc": { "media": { "a": audio, "v": video } } }), Instant::now())
    }

    #[test]
    fn what_was_sent_is_of_all_media_and_times_are_of_video() {
        let info = read(medium("audio", 50, 2, 17, 4), medium("video", 100, 5, 31, 9)).unwrap();
        let Figures { packets, bytes, lost, rtt, jitter, repairs, .. } = info.figures;
        assert_eq!((packets, bytes, lost), (150, 150_000, 7));
        assert_eq!((rtt, jitter), (Some(Duration::from_millis(31)), Some(Duration::from_millis(9))));
        assert!(info.has_begun && repairs.is_none());
    }

    #[test]
    fn what_has_not_been_reported_is_not_zero() {
        let info = read(medium("audio", 50, 0, 17, 4), medium("video", 0, -3, 0, 0)).unwrap();
        assert_eq!((info.figures.lost, info.figures.jitter), (0, None));
        assert_eq!(info.figures.rtt, Some(Duration::from_millis(17)), "by the sound's reports");
        assert!(!info.has_begun, "a picture is offered, and nothing of it has been sent");
    }

    #[test]
    fn sound_alone_is_enough_where_no_picture_is_sent() {
        let mut video = medium("video", 0, 0, 0, 0);
        video["direction"]["send"] = json!(false);
        let info = read(medium("audio", 1, 0, 0, 4), video).unwrap();
        assert!(info.has_begun && info.figures.jitter.is_none());
    }

    #[test]
    fn nonsense_is_nothing() {
        for info in [json!(null), json!({ "webrtc": {} }), json!({ "webrtc": { "media": { "a": 3 } } })] {
            assert_eq!(HandleInfo::read(&info, Instant::now()), None, "{info}");
        }
        let odd = json!({ "type": "video", "stats": { "out": { "packets": -1, "bytes": "many" } },
            "rtcp": { "main": { "rtt": u64::MAX } } });
        let info = read(json!({ "type": "data" }), odd).unwrap();
        assert_eq!((info.figures.packets, info.figures.bytes, info.figures.rtt), (0, 0, Some(LONGEST)));
    }
}
