//! What is counted of each session: the liveliest have series of their own.

use std::cmp::Reverse;

use node::media::Kind;
use node::metrics::{MOST_SESSIONS, Scrape};
use prometheus::Result;

use crate::view::{Details, Sample};

/// Viewers of all sessions that have no series of their own.
const OTHERS: &str = "others";

/// A session: its name, what is known of it, what it has counted.
type Session<'a> = (&'a str, &'a Details, [u64; 4]);

/// Everything that a series says of one session.
pub fn sessions(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let counted = sample.counted.iter().copied().chain(std::iter::repeat([0; 4]));
    let all = sample.mountpoints.iter().zip(counted).filter_map(|(mountpoint, counted)| {
        Some((mountpoint.session_id.as_str(), mountpoint.more.as_ref()?, counted))
    });
    let (shown, others) = most_telling(all.collect());
    let hidden = others.len() as f64;
    scrape.one_gauge("sessions_not_shown", "Sessions without series of their own.", hidden)?;
    // The sum is right all the same.
    let rest: usize = others.iter().map(|(_, details, _)| details.viewers).sum();
    let rest = (!others.is_empty()).then_some(([OTHERS], rest as f64));
    let viewers = shown.iter().map(|(session, details, _)| ([*session], details.viewers as f64)).chain(rest);
    scrape.gauge("active_viewers", "Viewers whose connection is up.", ["session_id"], viewers)?;
    let of = |first: usize| {
        shown.iter().flat_map(move |(session, _, counted)| {
            let pair = Kind::BOTH.into_iter().zip(&counted[first..first + 2]);
            pair.map(move |(kind, count)| ([*session, kind.name()], *count as f64))
        })
    };
    let labels = ["session_id", "stream_type"];
    scrape.counter("session_rtp_packets_received_total", "RTP packets of a session.", labels, of(0))?;
    scrape.counter("session_republished_total", "How often a stream began anew.", labels, of(2))
}

/// Those that are shown: what is watched most, then what comes; and the others.
fn most_telling(mut all: Vec<Session<'_>>) -> (Vec<Session<'_>>, Vec<Session<'_>>) {
    if all.len() <= MOST_SESSIONS {
        return (all, Vec::new());
    }
    all.sort_by_key(|(_, details, [audio, video, ..])| {
        (Reverse(details.viewers), !details.active, Reverse(audio + video))
    });
    let others = all.split_off(MOST_SESSIONS);
    (all, others)
}
