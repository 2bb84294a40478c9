//! What becomes of RTMP connections: counted, and written down as far as a log can take it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many warnings …
const LINES: u32 = 20;
/// … in this time.
const WHILE: Duration = Duration::from_secs(10);

/// Why a connection ended before it published, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many of its address, or in all, are connected and publish nothing.
    Crowded,
    /// It may not publish, or not there.
    Denied,
    /// It is no RTMP, or not as a publisher speaks it.
    Malformed,
    /// It did not say in time what it publishes.
    Silent,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 4] = [Refusal::Crowded, Refusal::Denied, Refusal::Malformed, Refusal::Silent];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Crowded => "crowded",
            Refusal::Denied => "denied",
            Refusal::Malformed => "malformed",
            Refusal::Silent => "silent",
        }
    }
}

/// The books.
#[derive(Debug)]
pub struct Books {
    refused: [AtomicU64; Refusal::ALL.len()],
    began: Instant,
    lines: Mutex<Lines>,
}

impl Default for Books {
    fn default() -> Self {
        Books { refused: Default::default(), began: Instant::now(), lines: Mutex::default() }
    }
}

impl Books {
    /// A connection ended before it published.
    pub fn refuse(&self, refusal: Refusal, from: SocketAddr, why: &str) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
        self.warn(&format!("RTMP from {from}: refused: {why}"));
    }

    /// How many ended so.
    pub fn refused(&self) -> [(&'static str, u64); Refusal::ALL.len()] {
        Refusal::ALL.map(|refusal| (refusal.name(), self.refused[refusal as usize].load(Ordering::Relaxed)))
    }

    /// Something that strangers can cause as often as they like: what is too much for a log is seen with `--log debug` only.
    pub fn warn(&self, line: &str) {
        match self.lines.lock().unwrap_or_else(PoisonError::into_inner).may(self.began.elapsed()) {
            Some(0) => tracing::warn!("{line}"),
            Some(left_out) => {
                tracing::warn!("{line} (and {left_out} warnings about RTMP before it were left out)")
            }
            None => tracing::debug!("{line}"),
        }
    }
}

/// Lets some warnings through, and then none for a while.
#[derive(Debug, Default)]
struct Lines {
    since: Duration,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// May a line be written? `Some` says how many were left out since the last one.
    fn may(&mut self, now: Duration) -> Option<u64> {
        if now >= self.since + WHILE {
            (self.since, self.written) = (now, 0);
        }
        if self.written >= LINES {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let (mut lines, at) = (Lines::default(), Duration::from_secs);
        let written =
            |lines: &mut Lines, now, count| (0..count).filter_map(|_| lines.may(now)).collect::<Vec<_>>();
        assert_eq!(written(&mut lines, at(0), 1000).len(), 20);
        assert!(written(&mut lines, at(9), 1000).is_empty());
        assert_eq!(written(&mut lines, at(10), 2), [1980, 0]);
        assert_eq!(written(&mut lines, at(30), 1), [0]);
    }

    #[test]
    fn every_refusal_is_counted_under_its_name() {
        let books = Books::default();
        for refusal in Refusal::ALL {
            books.refuse(refusal, ([10, 0, 0, 1], 1).into(), "why");
        }
        books.refuse(Refusal::Malformed, ([10, 0, 0, 1], 1).into(), "why");
        assert_eq!(books.refused(), [("crowded", 1), ("denied", 1), ("malformed", 2), ("silent", 1)]);
    }
}
