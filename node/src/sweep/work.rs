//! What is left over, and which step follows which until it is gone. Pure: what a step came to in, the next step out.

use std::fmt;

/// Something that is left over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    /// A session of an injection that is gone.
    Session {
        /// Its name.
        id: String,
        /// Whose it was.
        injection: String,
    },
    /// A session that has ended, and is in the tree's index still.
    Ghost {
        /// Its name.
        id: String,
    },
    /// An active session without a hash.
    BareSession {
        /// Its name.
        id: String,
    },
    /// A mountpoint of an egress that is gone.
    Mountpoint {
        /// The egress.
        egress: String,
        /// Its session.
        session: String,
    },
    /// An active mountpoint without a hash.
    BareMountpoint {
        /// The egress.
        egress: String,
        /// Its session.
        session: String,
    },
    /// The entry in the directory of a node that is gone.
    Entry {
        /// The node.
        node: String,
    },
}

/// Where several keys are in one slot of a Cluster, and so are changed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `sessions:active` and those of them that are indexed.
    Sessions,
    /// Index, version and claims of the tree.
    Tree,
    /// `mountpoints:active`.
    Mountpoints,
    /// The directory.
    Directory,
    /// The set that its node has of such: `sessions:{injection}`, `mountpoints:{egress}`.
    Own,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is written there that it is to go, and by which fence.
    Doom(Place),
    /// Whether it is wanted after all: its node is registered, or its hash is there.
    Look,
    /// Its hash says that it is over, unless somebody has renewed it lately.
    End,
    /// It goes from there, if it is doomed still and by the same fence.
    Strike(Place),
    /// It goes from the tree's index with all that it claims, on the same condition, and everybody is told.
    Tell,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is wanted: its node is there, or has written it since.
    Wanted,
    /// Another injection has made a session of this name since.
    Others,
    /// Somebody who took the lease later was here.
    Fenced(u64),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone.
    Swept,
    /// It stays.
    Kept,
    /// Another sweeper has taken over.
    Fenced(u64),
}

/// One thing on its way out.
#[derive(Clone, Debug)]
pub struct Work {
    /// What it is.
    pub leftover: Leftover,
    at: usize,
    outcome: Option<Outcome>,
    others: bool,
}

impl Leftover {
    /// In this order, so that what is found by a place is the last that goes from there: whoever does it again finds it.
    fn steps(&self) -> &'static [Step] {
        use Place::{Directory, Mountpoints, Own, Sessions, Tree};
        use Step::{Doom, End, Look, Strike, Tell};
        match self {
            Leftover::Session { .. } => {
                &[Doom(Sessions), Doom(Tree), Doom(Own), Look, End, Strike(Own), Strike(Sessions), Tell]
            }
            Leftover::Ghost { .. } => &[Doom(Tree), Look, Tell],
            Leftover::BareSession { .. } => &[Doom(Sessions), Doom(Tree), Look, Tell, Strike(Sessions)],
            Leftover::Mountpoint { .. } => {
                &[Doom(Mountpoints), Doom(Own), Look, End, Strike(Mountpoints), Strike(Own)]
            }
            Leftover::BareMountpoint { .. } => {
                &[Doom(Mountpoints), Doom(Own), Look, Strike(Own), Strike(Mountpoints)]
            }
            Leftover::Entry { .. } => &[Doom(Directory), Look, Strike(Directory)],
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Session { id, injection } => write!(f, "session {id} of {injection}"),
            Leftover::Ghost { id } => write!(f, "session {id}, which had ended"),
            Leftover::BareSession { id } => write!(f, "session {id}, which nobody has"),
            Leftover::Mountpoint { egress, session } | Leftover::BareMountpoint { egress, session } => {
                write!(f, "mountpoint of {session} at {egress}")
            }
            Leftover::Entry { node } => write!(f, "node {node}"),
        }
    }
}

impl Work {
    /// From the beginning.
    pub fn new(leftover: Leftover) -> Work {
        Work { leftover, at: 0, outcome: None, others: false }
    }

    /// What is to be done now. `None`: it has ended.
    pub fn next(&self) -> Option<Step> {
        if self.outcome.is_some() { None } else { self.leftover.steps().get(self.at).copied() }
    }

    /// What that came to.
    pub fn answered(&mut self, answer: Answer) {
        if self.next().is_none() {
            return;
        }
        match answer {
            Answer::Fenced(by) => self.outcome = Some(Outcome::Fenced(by)),
            Answer::Wanted => self.outcome = Some(Outcome::Kept),
            // Only the dead injection's own set has it wrongly.
            Answer::Others => {
                self.others = true;
                let own = self.leftover.steps().iter().position(|step| *step == Step::Strike(Place::Own));
                self.at = own.unwrap_or(usize::MAX);
            }
            Answer::Done if self.others => self.outcome = Some(Outcome::Kept),
            Answer::Done => self.at += 1,
        }
        if self.next().is_none() && self.outcome.is_none() {
            self.outcome = Some(Outcome::Swept);
        }
    }

    /// How it ended, when it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Leftover; 6] {
        let [a, b] = ["a", "b"].map(str::to_owned);
        [
            Leftover::Session { id: a.clone(), injection: b.clone() },
            Leftover::Ghost { id: a.clone() },
            Leftover::BareSession { id: a.clone() },
            Leftover::Mountpoint { egress: b.clone(), session: a.clone() },
            Leftover::BareMountpoint { egress: b, session: a.clone() },
            Leftover::Entry { node: a },
        ]
    }

    /// All that is done until it ends, if each step comes to what is said.
    fn done(leftover: Leftover, answer: impl Fn(Step) -> Answer) -> (Vec<Step>, Outcome) {
        let mut work = Work::new(leftover);
        let mut steps = Vec::new();
        while let Some(step) = work.next() {
            steps.push(step);
            work.answered(answer(step));
        }
        (steps, work.outcome().unwrap())
    }

    #[test]
    fn nothing_goes_before_it_is_doomed_there_and_then_looked_at() {
        for leftover in all() {
            let (steps, outcome) = done(leftover.clone(), |_| Answer::Done);
            assert_eq!(outcome, Outcome::Swept, "{leftover}");
            let at = |wanted: Step| steps.iter().position(|step| *step == wanted);
            let look = at(Step::Look).unwrap();
            for (number, step) in steps.iter().enumerate() {
                let doom = match step {
                    Step::Doom(_) => number,
                    Step::Strike(place) => at(Step::Doom(*place)).unwrap(),
                    Step::Tell => at(Step::Doom(Place::Tree)).unwrap(),
                    Step::Look | Step::End => continue,
                };
                assert!(doom < look && (number == doom || look < number), "{leftover}: {steps:?}");
            }
        }
    }

    #[test]
    fn what_is_wanted_stays_whenever_it_shows() {
        for leftover in all() {
            let (steps, _) = done(leftover.clone(), |_| Answer::Done);
            for last in &steps {
                for (answer, wanted) in
                    [(Answer::Wanted, Outcome::Kept), (Answer::Fenced(7), Outcome::Fenced(7))]
                {
                    let so = |step: Step| if step == *last { answer } else { Answer::Done };
                    let (taken, outcome) = done(leftover.clone(), so);
                    assert_eq!((taken.last(), outcome), (Some(last), wanted), "{leftover}");
                }
            }
        }
    }

    #[test]
    fn a_session_that_another_injection_has_made_is_taken_from_the_dead_ones_set_only() {
        let [session, ..] = all();
        let so = |step: Step| if step == Step::End { Answer::Others } else { Answer::Done };
        let (steps, outcome) = done(session, so);
        assert_eq!(steps[4..], [Step::End, Step::Strike(Place::Own)]);
        assert_eq!(outcome, Outcome::Kept);
    }
}
