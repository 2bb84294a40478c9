//! What a handshake thread does next. No I/O.
//!
//! Whoever has begun is finished before others begin. His player waits, and asks again for what does not come; of those who have
//! not begun nobody knows yet that they wait. So a rush makes the last of them wait, and none of them wait in vain.

use std::collections::{HashMap, HashSet, VecDeque};

use super::pool::Task;
use crate::peer::Seat;

/// Things done for those who have begun before somebody else begins all the same: nobody keeps all others out for ever by talking.
const IN_A_ROW: usize = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Agenda {
    /// Of those who have begun.
    begun: VecDeque<Task>,
    /// Those who are to begin, in the order in which they came; some may be gone.
    newcomers: VecDeque<Seat>,
    /// What each of them has sent: first that he begins.
    theirs: HashMap<Seat, Vec<Task>>,
    /// Things done since somebody began.
    in_a_row: usize,
}

impl Agenda {
    /// There is one more thing to do.
    pub(crate) fn put(&mut self, task: Task) {
        let seat = task.seat();
        match &task {
            Task::Begin { .. } => {
                self.newcomers.push_back(seat);
                self.theirs.insert(seat, vec![task]);
            }
            // It has never begun.
            Task::Part(_) if self.theirs.remove(&seat).is_some() => {}
            _ => match self.theirs.get_mut(&seat) {
                Some(theirs) => theirs.push(task),
                None => self.begun.push_back(task),
            },
        }
    }

    /// What is to be done now.
    pub(crate) fn next(&mut self) -> Option<Task> {
        if self.begun.is_empty() || self.in_a_row >= IN_A_ROW {
            self.let_in();
        }
        self.in_a_row += 1;
        self.begun.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.theirs.is_empty()
    }

    /// Those who have begun and for whom there is something to do.
    pub(crate) fn waiting(&self) -> HashSet<Seat> {
        self.begun.iter().map(Task::seat).collect()
    }

    fn let_in(&mut self) {
        self.in_a_row = 0;
        while let Some(seat) = self.newcomers.pop_front() {
            if let Some(theirs) = self.theirs.remove(&seat) {
                theirs.into_iter().rev().for_each(|task| self.begun.push_front(task));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::Path;

    fn path() -> Path {
        Path::Udp(([192, 0, 2, 1], 1).into())
    }

    fn begin(seat: u64) -> Task {
        Task::Begin { seat: Seat(seat), begins: true, fingerprints: Vec::new(), path: path() }
    }

    fn says(seat: u64) -> Task {
        Task::Datagram(Seat(seat), path(), Vec::new())
    }

    /// What is done until there is nothing to do: whose turn it is, and whether he begins then.
    fn done(agenda: &mut Agenda, most: usize) -> Vec<(u64, bool)> {
        let tasks = std::iter::from_fn(|| agenda.next()).take(most);
        tasks.map(|task| (task.seat().0, matches!(task, Task::Begin { .. }))).collect()
    }

    #[test]
    fn who_has_begun_is_finished_before_others_begin() {
        let mut agenda = Agenda::default();
        for seat in 1..=3 {
            agenda.put(begin(seat));
            agenda.put(says(seat));
        }
        assert_eq!(done(&mut agenda, 2), [(1, true), (1, false)]);
        // His next flight comes when others have waited for long.
        agenda.put(says(1));
        agenda.put(says(2));
        assert_eq!(
            agenda.waiting(),
            HashSet::from([Seat(1)]),
            "the other one waits for his turn, not to be finished"
        );
        let rest = [(1, false), (2, true), (2, false), (2, false), (3, true), (3, false)];
        assert_eq!(done(&mut agenda, 100), rest);
        assert!(agenda.is_empty());
    }

    #[test]
    fn nobody_keeps_others_out_by_talking() {
        let mut agenda = Agenda::default();
        agenda.put(begin(1));
        assert_eq!(done(&mut agenda, 1), [(1, true)]);
        (0..100).for_each(|_| agenda.put(says(1)));
        (2..=4).for_each(|seat| agenda.put(begin(seat)));
        let begun = done(&mut agenda, 3 * (IN_A_ROW + 1)).into_iter().filter(|(_, begins)| *begins);
        assert_eq!(begun.map(|(seat, _)| seat).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn who_leaves_before_he_has_begun_is_no_work() {
        let mut agenda = Agenda::default();
        agenda.put(begin(1));
        agenda.put(says(1));
        agenda.put(begin(2));
        agenda.put(Task::Part(Seat(1)));
        assert_eq!(done(&mut agenda, 100), [(2, true)]);
        agenda.put(Task::Part(Seat(2)));
        assert_eq!(done(&mut agenda, 100), [(2, false)]);
    }
}
