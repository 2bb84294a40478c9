//! What our own page says of its join, in its report.

use std::time::Duration;

use serde::Deserialize;

use super::Stage;

/// A page that says more has been standing still, or is none of ours.
const LONGEST: Duration = Duration::from_secs(60);

/// When it came how far, since it began; and how long the door took that sent it here, if it can see that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Said")]
pub struct PageStages {
    /// Of the answer at `/watch` that brought the page.
    pub door: Option<Duration>,
    /// By [`Stage`].
    pub reached: [Option<Duration>; Stage::ALL.len()],
}

/// As it is sent: milliseconds.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    door_ms: Option<f64>,
    answered_ms: Option<f64>,
    connected_ms: Option<f64>,
    first_packet_ms: Option<f64>,
    first_frame_ms: Option<f64>,
}

impl From<Said> for PageStages {
    fn from(said: Said) -> PageStages {
        let reached = [said.answered_ms, said.connected_ms, said.first_packet_ms, said.first_frame_ms];
        PageStages { door: time(said.door_ms), reached: reached.map(time) }
    }
}

fn time(ms: Option<f64>) -> Option<Duration> {
    let seconds = ms.filter(|ms| *ms >= 0.0)? / 1000.0;
    Some(Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PageStages {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_cannot_be_is_left_out_and_what_is_too_much_is_less() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let read_one = read(
            r#"{"doorMs":12,"answeredMs":40.5,"connectedMs":-1,"firstPacketMs":null,"firstFrameMs":1e300,"more":{}}"#,
        );
        assert_eq!(read_one.door, ms(12));
        assert_eq!(read_one.reached, [Some(Duration::from_micros(40_500)), None, None, ms(60_000)]);
        assert_eq!(read("{}"), PageStages::default());
        assert!(serde_json::from_str::<PageStages>(r#"{"doorMs":"soon"}"#).is_err());
    }
}
