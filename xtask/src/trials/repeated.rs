//! Tests that failed and were tried again alone: whoever reads only the last lines is to know of them, too, because a test that
//! passes at its second trial is the next one that fails.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use super::Verdict;

/// A test that passes only after so many trials alone is none.
const MOST_ALONE: u32 = 2;

/// A test that was tried again.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// What it is one of: `namespace tests`.
    pub of: String,
    pub test: String,
    /// What disturbed its first trial.
    pub cause: String,
    /// How often it was tried alone.
    pub alone: u32,
    pub verdict: Verdict,
}

/// Those of all parts, in the order in which they were tried.
static ALL: Mutex<Vec<Repeated>> = Mutex::new(Vec::new());

/// One more.
pub fn note(repeated: Repeated) {
    ALL.lock().unwrap_or_else(PoisonError::into_inner).push(repeated);
}

/// Prints them all, the last thing that the tests say.
///
/// # Errors
/// Names those that were tried too often, whether they passed or not.
pub fn told() -> Result<()> {
    let all = std::mem::take(&mut *ALL.lock().unwrap_or_else(PoisonError::into_inner));
    if !all.is_empty() {
        crate::sh::say(format!("tests that failed and were tried again alone:\n{}", table(&all)));
    }
    judge(&all)
}

fn judge(all: &[Repeated]) -> Result<()> {
    let tests: Vec<&str> =
        all.iter().filter(|one| one.alone > MOST_ALONE).map(|one| one.test.as_str()).collect();
    if !tests.is_empty() {
        bail!("tried alone more than {MOST_ALONE} times: {}; find out what they wait for", tests.join(", "));
    }
    Ok(())
}

fn table(all: &[Repeated]) -> String {
    let rows = all.iter().map(|one| {
        let Repeated { of, test, cause, alone, verdict } = one;
        let verdict = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::NotJudged => "not judged",
        };
        format!("| {of} | {test} | {cause} | {alone} | {verdict} |")
    });
    let head = ["| part | test | disturbed | alone | then |", "|---|---|---|---|---|"].map(str::to_owned);
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(test: &str, alone: u32, verdict: Verdict) -> Repeated {
        let (of, cause) = ("namespace tests".to_owned(), "other tests ran beside it".to_owned());
        Repeated { of, test: test.to_owned(), cause, alone, verdict }
    }

    #[test]
    fn who_needs_many_trials_fails_even_if_the_last_one_passed() {
        let two = repeated("two", 2, Verdict::Passed);
        assert!(judge(&[repeated("one", 1, Verdict::Passed), two.clone()]).is_ok());
        let error = judge(&[two, repeated("three", 3, Verdict::Passed)]).unwrap_err().to_string();
        assert!(error.contains("three") && !error.contains("two,"), "{error}");
    }

    #[test]
    fn a_row_says_which_test_why_how_often_and_what_came_of_it() {
        let shown = table(&[repeated("loops::end", 1, Verdict::Passed)]);
        let row = "| namespace tests | loops::end | other tests ran beside it | 1 | passed |";
        assert_eq!(shown.lines().last(), Some(row));
    }
}
