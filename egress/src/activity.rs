//! Whether a mountpoint has something to show: from what came in here and from what the server says it got. Pure.

use std::time::Duration;

use node::media::{Kind, PerKind, Ssrc};

/// A stream that is silent for longer has stalled.
pub const STALLED: Duration = Duration::from_millis(1500);

/// `active`, and why not. An active one has a reason, too, when one of its two streams is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// RTP arrives, and the server gets it.
    pub active: bool,
    /// None comes because the node is cut off from its tree, and not because nobody publishes.
    pub cut_off: bool,
    /// What is missing.
    pub reason: Option<String>,
}

/// How it stands with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// It is not there, or refused the mountpoint.
    Gone(String),
    /// It has the mountpoint; time since the last packet, where known.
    Has(PerKind<Option<Duration>>),
}

/// When a stream of a mountpoint last came in.
#[derive(Clone, Copy, Debug)]
pub struct StreamAge {
    /// SSRC.
    pub ssrc: Ssrc,
    /// Time since the last packet came in here.
    pub age: Option<Duration>,
}

/// Judges. `server`: its name.
pub fn judge(streams: PerKind<StreamAge>, served: &Served, server: &str) -> Activity {
    let ages = match served {
        Served::Gone(why) => return Activity { reason: Some(why.clone()), ..Activity::default() },
        Served::Has(ages) => ages,
    };
    let missing: Vec<String> =
        streams.into_iter().filter_map(|(kind, stream)| missing(kind, stream, ages[kind], server)).collect();
    let reason = (!missing.is_empty()).then(|| missing.join("; "));
    Activity { active: missing.len() < 2, cut_off: false, reason }
}

fn missing(
    kind: Kind,
    StreamAge { ssrc, age }: StreamAge,
    served: Option<Duration>,
    server: &str,
) -> Option<String> {
    match (age, served) {
        (None, _) => Some(format!("no {kind} has come yet (SSRC {ssrc})")),
        (Some(age), _) if age > STALLED => {
            Some(format!("no {kind} for {} s (SSRC {ssrc})", age.as_secs().max(1)))
        }
        (_, Some(age)) if age > STALLED => {
            Some(format!("{kind} arrives, but {server} has not got any for {} s", age.as_secs().max(1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_active_while_rtp_really_arrives() {
        let ms = |ms: Option<u64>| ms.map(Duration::from_millis);
        // Ours, Janus', active, in the reason.
        type Row<'a> = ([Option<u64>; 2], [Option<u64>; 2], bool, &'a str);
        let table: [Row<'_>; 7] = [
            ([Some(20), Some(33)], [Some(20), Some(33)], true, ""),
            ([Some(20), Some(33)], [None, None], true, ""),
            (
                [None, None],
                [Some(9), Some(9)],
                false,
                "no audio has come yet (SSRC 1); no video has come yet",
            ),
            ([Some(20), Some(3100)], [Some(20), Some(3100)], true, "no video for 3 s (SSRC 2)"),
            ([Some(1501), Some(1501)], [None, None], false, "no audio for 1 s"),
            ([Some(20), Some(33)], [Some(2000), Some(9000)], false, "Janus has not got any for 9 s"),
            ([Some(20), None], [Some(20), Some(90_000)], true, "no video has come yet"),
        ];
        for (ours, janus, active, reason) in table {
            let streams = PerKind {
                audio: StreamAge { ssrc: Ssrc(1), age: ms(ours[0]) },
                video: StreamAge { ssrc: Ssrc(2), age: ms(ours[1]) },
            };
            let found = judge(streams, &Served::Has(janus.map(ms).into()), "Janus");
            assert_eq!(found.active, active, "{ours:?} {janus:?}");
            let said = found.reason.unwrap_or_default();
            assert!(said.contains(reason) && said.is_empty() == reason.is_empty(), "{said}");
        }
    }

    #[test]
    fn without_a_server_nothing_is_active() {
        let stream = StreamAge { ssrc: Ssrc(1), age: Some(Duration::ZERO) };
        let found = judge([stream, stream].into(), &Served::Gone("Janus is gone".to_owned()), "Janus");
        assert_eq!(found, Activity { reason: Some("Janus is gone".to_owned()), ..Activity::default() });
    }
}
