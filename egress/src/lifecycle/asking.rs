//! How often Redis is asked why nothing comes. Pure: for how long nothing has, how many egresses there are and a draw in; a
//! [`Question`] out.
//!
//! A publisher that pauses is silent at all egresses of its tree at once. So they have a budget together, however many they are, and
//! none asks at the very moment at which all others could.

use std::time::Duration;

use super::standing::{SAID_LATE, SILENT};

/// At most so many others are asked about at a time.
pub const MOST_OTHERS: usize = 8;
/// How often each question is asked at first, and later.
const EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// Until when that is at first.
const AT_FIRST: Duration = Duration::from_secs(15);
/// Commands a second that a question may cost Redis, if nothing comes to any egress of the tree.
const BUDGET: f64 = 5_000.0;

/// What Redis is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the parent is there, and has this node among its children.
    Place,
    /// Whether other egresses have media.
    Others,
}

impl Question {
    const ALL: [Question; 2] = [Question::Place, Question::Others];

    /// No answer counts sooner than after so long a silence.
    fn since(self) -> Duration {
        match self {
            Question::Place => SILENT,
            Question::Others => SAID_LATE,
        }
    }

    /// Commands that it takes, at most: of others their names, and of each what it says and when it lived.
    fn commands(self) -> usize {
        match self {
            Question::Place => 2,
            Question::Others => 1 + 2 * MOST_OTHERS,
        }
    }

    /// How long it has to take until so many egresses have all asked it once.
    fn round(self, egresses: usize) -> Duration {
        Duration::from_secs_f64((egresses * self.commands()) as f64 / BUDGET)
    }
}

/// When which question is to be asked next, as long as nothing comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking([Option<Duration>; 2]);

impl Asking {
    /// What is to be asked now, nothing having come for so long. `drawn`: by chance, from 0 to 1.
    pub fn due(&mut self, silent: Duration, egresses: usize, drawn: f64) -> Option<Question> {
        for (question, next) in Question::ALL.into_iter().zip(&mut self.0) {
            if silent < question.since() {
                continue;
            }
            let round = question.round(egresses);
            let at = *next.get_or_insert_with(|| question.since() + round.mul_f64(drawn));
            if silent >= at {
                let every = EVERY[usize::from(silent >= SILENT + AT_FIRST)].max(round);
                *next = Some(silent + every.mul_f64(0.7 + 0.6 * drawn));
                return Some(question);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// So often it is looked whether there is something to ask.
    const LOOK: usize = 250;

    /// When so many egresses ask what, ms, in this long a silence that began at the same moment at all.
    fn asked(egresses: usize, seconds: usize) -> Vec<Vec<(usize, Question)>> {
        let mut rng = StdRng::seed_from_u64(7);
        let one = |_| {
            let (mut asking, begin) = (Asking::default(), rng.random_range(0..LOOK));
            let mut at = |ms: usize| {
                let silent = Duration::from_millis(ms as u64);
                asking.due(silent, egresses, rng.random()).map(|question| (ms, question))
            };
            (begin..seconds * 1_000).step_by(LOOK).filter_map(&mut at).collect()
        };
        (0..egresses).map(one).collect()
    }

    #[test]
    fn a_tree_in_which_nothing_comes_costs_redis_no_more_than_the_budget() {
        for egresses in [30, 300, 1_000, 5_000] {
            let mut seconds = [0; 60];
            for (ms, question) in asked(egresses, 60).into_iter().flatten() {
                seconds[ms / 1_000] += question.commands();
            }
            // Two questions, and what chance has brought together.
            let most = *seconds.iter().max().unwrap() as f64;
            assert!(most < 2.0 * BUDGET * 1.5, "{egresses} egresses, by second: {seconds:?}");
        }
    }

    #[test]
    fn each_question_is_asked_soon_and_again() {
        let first = |asked: &[(usize, Question)], wanted: Question| {
            asked.iter().find(|(_, question)| *question == wanted).map(|(ms, _)| *ms)
        };
        for (egresses, place, others) in [(2, 1_500, 2_750), (1_000, 1_750, 6_000)] {
            for one in asked(egresses, 60) {
                assert!(first(&one, Question::Place).is_some_and(|ms| ms >= 1_000 && ms < place), "{one:?}");
                assert!(
                    first(&one, Question::Others).is_some_and(|ms| ms >= 2_000 && ms < others),
                    "{one:?}"
                );
                let gaps = one.windows(2).map(|two| two[1].0 - two[0].0);
                assert!(gaps.max().is_some_and(|gap| gap < 14_000), "{one:?}");
            }
        }
    }
}
