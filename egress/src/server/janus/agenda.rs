//! Which viewer's handle Janus is asked about next, and when: one question at a time, however many viewers there are and however
//! many of them have just come. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two questions at least: Janus answers in its own time, which viewers need.
pub const PACE: Duration = Duration::from_millis(10);
/// Each viewer is asked about once in so long.
pub const EVERY: Duration = Duration::from_secs(10);
/// Who has just come is asked about for so long, until something has been sent to it.
pub const COMES_FOR: Duration = Duration::from_secs(5);
/// So many of these at once; the others' first packets are not seen.
pub const MOST_COMING: usize = 32;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask about this handle now.
    Ask(u64),
    /// Nothing, until then.
    At(Instant),
    /// Nothing, until somebody comes.
    Idle,
}

/// Those who are asked about. Both queues are in the order of `due`.
#[derive(Debug, Default)]
pub struct Agenda {
    coming: VecDeque<Coming>,
    standing: VecDeque<Due>,
    /// When there may be another question.
    free: Option<Instant>,
    /// The last one was about somebody who comes, and others waited.
    others_first: bool,
}

#[derive(Debug)]
struct Due {
    handle: u64,
    at: Instant,
}

#[derive(Debug)]
struct Coming {
    due: Due,
    until: Instant,
}

impl Agenda {
    /// A viewer's connection is up. Call it once for each.
    pub fn comes(&mut self, handle: u64, now: Instant) {
        if self.coming.len() < MOST_COMING {
            self.coming.push_back(Coming { due: Due { handle, at: now }, until: now + COMES_FOR });
        }
        self.standing.push_back(Due { handle, at: now + EVERY });
    }

    /// Something has been sent to it.
    pub fn has_begun(&mut self, handle: u64) {
        self.coming.retain(|coming| coming.due.handle != handle);
    }

    /// It has gone.
    pub fn goes(&mut self, handle: u64) {
        self.has_begun(handle);
        self.standing.retain(|due| due.handle != handle);
    }

    /// All have.
    pub fn clear(&mut self) {
        *self = Agenda::default();
    }

    /// What is to be done now. A handle that is to be asked about counts as asked.
    pub fn next(&mut self, now: Instant) -> Next {
        self.coming.retain(|coming| coming.until > now);
        let due = [self.coming.front().map(|coming| coming.due.at), self.standing.front().map(|due| due.at)];
        let Some(first) = due.into_iter().flatten().min() else { return Next::Idle };
        let earliest = self.free.map_or(first, |free| free.max(first));
        if earliest > now {
            return Next::At(earliest);
        }
        let [is_coming, is_standing] = due.map(|at| at.is_some_and(|at| at <= now));
        let about_coming = is_coming && !(is_standing && self.others_first);
        self.others_first = about_coming;
        self.free = Some(now + PACE);
        let handle = if about_coming { self.ask_coming(now) } else { self.ask_standing(now) };
        handle.map_or(Next::Idle, Next::Ask)
    }

    fn ask_coming(&mut self, now: Instant) -> Option<u64> {
        let mut coming = self.coming.pop_front()?;
        let handle = coming.due.handle;
        coming.due.at = now + PACE;
        self.coming.push_back(coming);
        Some(handle)
    }

    fn ask_standing(&mut self, now: Instant) -> Option<u64> {
        let Due { handle, .. } = self.standing.pop_front()?;
        self.standing.push_back(Due { handle, at: now + EVERY });
        Some(handle)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Who is asked about within a time, and how often.
    fn asked(agenda: &mut Agenda, from: Instant, span: Duration) -> BTreeMap<u64, usize> {
        let (mut now, mut asked) = (from, BTreeMap::new());
        while now < from + span {
            match agenda.next(now) {
                Next::Ask(handle) => *asked.entry(handle).or_default() += 1,
                Next::At(at) => {
                    assert!(at > now, "it waits for what is now");
                    now = at;
                }
                Next::Idle => break,
            }
        }
        asked
    }

    #[test]
    fn nobody_is_asked_about_while_nobody_is_there() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        assert_eq!(agenda.next(now), Next::Idle);
        agenda.comes(1, now);
        assert_eq!(agenda.next(now), Next::Ask(1));
        assert_eq!(agenda.next(now), Next::At(now + PACE));
        agenda.has_begun(1);
        assert_eq!(agenda.next(now), Next::At(now + EVERY));
        agenda.goes(1);
        assert_eq!(agenda.next(now), Next::Idle);
    }

    #[test]
    fn who_gets_nothing_is_asked_about_for_a_while_only() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        agenda.comes(1, now);
        let first = asked(&mut agenda, now, COMES_FOR)[&1];
        assert!((400..=500).contains(&first), "{first}");
        assert_eq!(asked(&mut agenda, now + COMES_FOR, Duration::from_secs(30))[&1], 3);
    }

    #[test]
    fn a_crowd_costs_no_more_questions_and_nobody_is_forgotten() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        (0..300).for_each(|handle| agenda.comes(handle, now));
        let all = asked(&mut agenda, now, EVERY * 3);
        assert!(all.values().sum::<usize>() <= 3000);
        assert!(all.len() == 300 && all.values().all(|count| *count >= 2), "{all:?}");
        // Who comes now is not kept waiting by those who are there, nor do they wait for it.
        let later = now + EVERY * 3;
        (1000..1100).for_each(|handle| agenda.comes(handle, later));
        let all = asked(&mut agenda, later, EVERY);
        assert!((0..300).all(|handle| all.contains_key(&handle)), "{all:?}");
        assert!((1000..1000 + MOST_COMING as u64).all(|handle| all[&handle] > 5), "{all:?}");
    }
}
