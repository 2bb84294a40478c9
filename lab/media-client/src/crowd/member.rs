//! [`Members`]: what is known of each viewer of a crowd.

use std::time::{Duration, Instant};

use crate::socket;
use crate::watcher::{Shared, locked};
use crate::wish::Resource;

/// Who has had no packet of video for so long does not watch.
const STALLED: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Members {
    pub all: Vec<Member>,
}

pub struct Member {
    /// Comes and goes, rather than stay until the end.
    pub visitor: bool,
    pub asked: Instant,
    /// Status of the answer, and when it came.
    pub answer: Option<(u16, Instant)>,
    pub seen: Shared,
    /// What is to be deleted.
    pub resource: Option<Resource>,
    pub left: bool,
    /// Whether it saw something in the end; `None` before.
    at_the_end: Option<bool>,
    pub error: Option<String>,
}

impl Members {
    /// Somebody asks; gives the number by which he is known, and what he shares.
    pub fn add(&mut self, visitor: bool) -> (usize, Shared) {
        let seen = Shared::default();
        self.all.push(Member {
            visitor,
            asked: Instant::now(),
            answer: None,
            seen: seen.clone(),
            resource: None,
            left: false,
            at_the_end: None,
            error: None,
        });
        (self.all.len() - 1, seen)
    }

    /// Notes who watches, before all leave; gives how many there are.
    pub fn close(&mut self) -> usize {
        for member in &mut self.all {
            member.at_the_end = Some(member.watches());
        }
        self.all.len()
    }
}

impl Member {
    pub fn answered(&mut self, status: u16) {
        self.answer = Some((status, Instant::now()));
    }

    /// True while video comes; of the end once all were told to leave.
    pub fn watches(&self) -> bool {
        self.at_the_end.unwrap_or_else(|| {
            let last = locked(&self.seen).video.last();
            !self.left
                && last.is_some_and(|last| socket::now().saturating_sub(last) < STALLED.as_nanos() as u64)
        })
    }
}
