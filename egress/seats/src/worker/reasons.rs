//! What was dropped, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::send::Counts;

/// One reason, by its place among the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(usize);

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $constant:ident = $name:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($constant),* }
        $($(#[doc = $doc])* pub const $constant: Reason = Reason(Place::$constant as usize);)*
        const NAMES: &[&str] = &[$($name),*];
    };
}

reasons! {
    /// What should have been media is no RTP, or shorter than it says.
    MEDIA_MALFORMED = "media_malformed",
    /// A packet of media that no viewer's path would take.
    MEDIA_TOO_LONG = "media_too_long",
    /// A packet of a publication that another has followed already.
    MEDIA_OVER = "media_over",
    /// A packet of media that had come before.
    MEDIA_TWICE = "media_twice",
    /// A packet of media that is older than all that is kept.
    MEDIA_OLD = "media_old",
    /// Packets of media times workers that had too many waiting.
    WORKER_FULL = "worker_full",
    /// Packets that were too old when it was a viewer's turn: the workers have more to do than they can.
    VIEWER_BEHIND = "viewer_behind",
    /// What viewers sent while too much of that waited for a worker.
    FEEDBACK_FULL = "feedback_full",
    /// What somebody sent who has no seat any more.
    FEEDBACK_NO_SEAT = "feedback_no_seat",
    /// RTP of viewers, who have nothing to send.
    FEEDBACK_RTP = "feedback_rtp",
    /// What is not sealed with the viewer's keys.
    FEEDBACK_FORGED = "feedback_forged",
    /// What came a second time.
    FEEDBACK_REPLAYED = "feedback_replayed",
    /// What is no RTCP.
    FEEDBACK_MALFORMED = "feedback_malformed",
    /// Packets that a viewer asked for again beyond its budget.
    NACK_OVER_BUDGET = "nack_over_budget",
    /// Keyframes that a viewer asked for too soon after others.
    KEYFRAME_TOO_SOON = "keyframe_too_soon",
    /// What could not be sealed.
    SEAL_FAILED = "seal_failed",
    /// Not sent: the socket stayed full.
    SEND_FULL = "send_buffer_full",
    /// Not sent: longer than any way takes.
    SEND_TOO_LONG = "send_too_long",
    /// Not sent: the kernel refuses to send there.
    SEND_REFUSED = "send_refused",
    /// Not sent: the viewer's TCP connection was full.
    SEND_TCP_FULL = "send_tcp_full",
}

/// Counts of all reasons.
pub struct Reasons([AtomicU64; NAMES.len()]);

impl Default for Reasons {
    fn default() -> Reasons {
        Reasons([const { AtomicU64::new(0) }; NAMES.len()])
    }
}

impl Reasons {
    /// So many for this reason.
    pub fn count(&self, reason: Reason, number: u64) {
        if number > 0 {
            self.0[reason.0].fetch_add(number, Ordering::Relaxed);
        }
    }

    /// What sending has dropped between two of its counts.
    pub fn sent(&self, before: Counts, now: Counts) {
        self.count(SEND_FULL, now.full - before.full);
        self.count(SEND_TOO_LONG, now.too_long - before.too_long);
        self.count(SEND_REFUSED, now.refused - before.refused);
        self.count(SEND_TCP_FULL, now.slow - before.slow);
    }

    /// All of them by name.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        NAMES.iter().zip(&self.0).map(|(name, count)| (*name, count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_name_and_count() {
        let reasons = Reasons::default();
        reasons.count(MEDIA_MALFORMED, 2);
        reasons.count(SEND_TCP_FULL, 3);
        reasons.sent(Counts::default(), Counts { refused: 4, ..Counts::default() });
        let mut all = reasons.all();
        let counted: Vec<_> = all.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(counted, [("media_malformed", 2), ("send_refused", 4), ("send_tcp_full", 3)]);
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0].0 != pair[1].0));
    }
}
