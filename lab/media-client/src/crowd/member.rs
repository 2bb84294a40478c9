//! [`Members`]: what is known of each viewer of a crowd.

use std::time::{Duration, Instant};

use crate::socket;
use crate::watcher::{Seen, Shared, locked};
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
    /// When it was to come, and when it did: somebody of this process made no other request any more.
    pub due: Instant,
    pub asked: Instant,
    /// Status of the answer, and when it came.
    pub answer: Option<(u16, Instant)>,
    pub seen: Shared,
    /// What it had seen elsewhere before.
    past: Vec<Shared>,
    /// Its seat, among all that there are here.
    pub id: u64,
    /// What is to be deleted.
    pub resource: Option<Resource>,
    /// It has been told where it could go if its server were gone.
    pub knows: bool,
    /// How it went on elsewhere, and why it did not.
    pub moves: Vec<Move>,
    pub failed_moves: Vec<String>,
    pub left: bool,
    /// Whether it saw something in the end; `None` before.
    at_the_end: Option<bool>,
    pub error: Option<String>,
}

/// It went on elsewhere.
pub struct Move {
    /// When, since the first was to come.
    pub at: Duration,
    /// How long it saw nothing.
    pub dark: Duration,
    pub why: &'static str,
    pub steps: Steps,
}

/// How long before it saw the new one's picture each step of a move was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// It asked for it.
    pub asked: Duration,
    /// It was answered.
    pub answered: Duration,
    /// The first packet came that could be opened.
    pub first_packet: Duration,
}

impl Steps {
    /// Of what has been seen at the new one, and when the picture was there: by the clock that packets have. Without a picture: now.
    pub fn of(seen: &Seen) -> (Steps, u64) {
        let picture = seen.picture.unwrap_or_else(Instant::now);
        let before = |step: Option<Instant>| step.map(|at| picture - at).unwrap_or_default();
        let steps = Steps {
            asked: before(seen.offered),
            answered: before(seen.answered),
            first_packet: before(seen.first_packet),
        };
        (steps, socket::now().saturating_sub(picture.elapsed().as_nanos() as u64))
    }
}

impl Members {
    /// Somebody asks; gives the number by which he is known, and what he shares.
    pub fn add(&mut self, visitor: bool, due: Instant) -> (usize, Shared) {
        let seen = Shared::default();
        self.all.push(Member {
            visitor,
            due,
            asked: Instant::now(),
            answer: None,
            seen: seen.clone(),
            past: Vec::new(),
            id: self.all.len() as u64,
            resource: None,
            knows: false,
            moves: Vec::new(),
            failed_moves: Vec::new(),
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

    /// It is elsewhere now. Gives the seat that is to be given up: the one before, or this one if it has left meanwhile.
    pub fn moves_to(
        &mut self,
        id: u64,
        resource: Resource,
        seen: Shared,
        moved: Move,
    ) -> Option<(u64, Resource)> {
        let Some(before) = self.resource.as_mut() else { return Some((id, resource)) };
        let before = std::mem::replace(before, resource);
        self.past.push(std::mem::replace(&mut self.seen, seen));
        self.moves.push(moved);
        self.knows = false;
        Some((std::mem::replace(&mut self.id, id), before))
    }

    /// All that it has seen, wherever it was.
    pub fn seen(&self) -> Seen {
        let mut all = self.past.iter().chain([&self.seen]).map(|seen| locked(seen).clone());
        let first = all.next().unwrap_or_default();
        all.fold(first, Seen::then)
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
