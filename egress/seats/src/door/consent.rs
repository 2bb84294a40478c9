//! Whether somebody who is sent to is there. No I/O.
//!
//! A check says who sent it, by a password; where it came from its sender may have made up. So nothing but answers goes to a way
//! until somebody there has answered a question of ours (RFC 7675), which only who got it can; and never three times the
//! bytes that came by it. Who is sent to is asked again and again, and without an answer for [`VALID`] there is no consent any more.
//! A TCP connection has been answered by the other side's kernel.

use std::time::{Duration, Instant};

use rand::Rng as _;

use super::path::Way;
use super::stun::Question;

/// How long an answer counts (RFC 7675 section 5.1).
pub(crate) const VALID: Duration = Duration::from_secs(30);
/// From one question to the next, to who has answered: between 0.8 and 1.2 of this (section 5.1).
const EVERY: Duration = Duration::from_secs(5);
/// The same, to who has not.
const SOON: Duration = Duration::from_millis(200);
/// How long an answer may take. Whoever is there later is not to profit from what somebody else was asked.
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes that go to who has not answered, for each that came from there (as RFC 9000 section 8.1 has it).
const TIMES: usize = 3;

/// One way's.
#[derive(Clone, Debug)]
pub(crate) struct Consent {
    by_tcp: bool,
    /// When it answered last.
    answered: Option<Instant>,
    /// What was asked and has no answer, and when first.
    question: Option<(Question, Instant)>,
    /// When it is to be asked next.
    due: Instant,
    /// Bytes that may go there unless it has answered.
    left: usize,
}

impl Consent {
    pub(crate) fn new(way: Way, now: Instant) -> Consent {
        let by_tcp = matches!(way, Way::Tcp(_));
        Consent { by_tcp, answered: None, question: None, due: now, left: 0 }
    }

    /// It may be sent to.
    pub(crate) fn is_given(&self, now: Instant) -> bool {
        self.by_tcp || self.answered.is_some_and(|at| now < at + VALID)
    }

    /// When it answered last, if that is what counts.
    pub(crate) fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// Bytes of a check have come.
    pub(crate) fn came(&mut self, bytes: usize, now: Instant) {
        if !self.is_given(now) {
            // A second's worth of checks, so that nothing is saved up.
            self.left = (self.left + TIMES * bytes).min(4096);
            self.due = self.due.min(now + SOON);
        }
    }

    /// Takes as many bytes from what may go there. `false`: they may not.
    pub(crate) fn takes(&mut self, bytes: usize, now: Instant) -> bool {
        if self.is_given(now) {
            return true;
        }
        let enough = self.left >= bytes;
        if enough {
            self.left -= bytes;
        }
        enough
    }

    /// What is to be asked now, if anything: the same once more until it is answered for the first time, then something new.
    pub(crate) fn question(&mut self, now: Instant) -> Option<Question> {
        if self.by_tcp || now < self.due {
            return None;
        }
        let given = self.is_given(now);
        self.due = now + if given { EVERY.mul_f64(rand::rng().random_range(0.8..1.2)) } else { SOON };
        let same = self.question.filter(|(_, asked)| !given && now < *asked + PATIENCE / 2);
        let (question, _) = *self.question.insert(same.unwrap_or_else(|| (Question::new(), now)));
        Some(question)
    }

    /// Something came that may be an answer. `false`: it is none.
    pub(crate) fn hears(&mut self, packet: &[u8], passwords: &[&str], now: Instant) -> bool {
        let question = self.question.filter(|(_, asked)| now < *asked + PATIENCE);
        let answers = question.is_some_and(|(question, _)| question.is_answered_by(packet, passwords));
        if answers {
            self.due = if self.is_given(now) { self.due } else { now + EVERY };
            (self.question, self.answered, self.left) = (None, Some(now), 0);
        }
        answers
    }
}
