//! Viewers who see nothing: their connection is up, and nothing is sent to them.

use std::collections::BTreeSet;
use std::time::Duration;

use node::media::PerKind;

use super::{Egress, locked};
use crate::activity::Served;
use crate::mountpoints::Mountpoint;

/// Nothing for longer is dark.
const DARK: Duration = Duration::from_secs(1);

/// Viewers in the dark, by what is the matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dark {
    /// Nothing of their session comes to this node.
    pub nothing_comes: usize,
    /// It comes, and the server sends them none.
    pub not_sent: usize,
}

/// What is the matter with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    NothingComes,
    NotSent,
}

/// Judges a session. `ages`: since its streams came last; `served`: how it stands with the server.
fn why(ages: PerKind<Option<Duration>>, served: &Served) -> Option<Why> {
    let is_fresh =
        |ages: PerKind<Option<Duration>>| ages.into_array().into_iter().flatten().any(|age| age <= DARK);
    let is_known = |ages: PerKind<Option<Duration>>| ages.into_array().iter().any(Option::is_some);
    match served {
        _ if !is_fresh(ages) => Some(Why::NothingComes),
        Served::Gone(_) => Some(Why::NotSent),
        Served::Has(theirs) => (is_known(*theirs) && !is_fresh(*theirs)).then_some(Why::NotSent),
    }
}

impl Egress {
    /// How many viewers see nothing at this moment.
    pub(super) fn dark(&self) -> Dark {
        let (mountpoints, waiting): (Vec<Mountpoint>, Vec<String>) = {
            let books = self.books();
            (books.all().cloned().collect(), books.waiting().cloned().collect())
        };
        let mut dark = Dark::default();
        // Of a session that has no mountpoint at present nothing is taken.
        dark.nothing_comes += waiting.iter().map(|session| self.audience.of(session)).sum::<usize>();
        let mut lit = BTreeSet::new();
        for mountpoint in mountpoints {
            let viewers = self.audience.of(&mountpoint.session);
            let ages = self.media.ages(&mountpoint).map(|stream| stream.age);
            match why(ages, &self.served(&mountpoint)) {
                _ if viewers == 0 => {}
                Some(Why::NothingComes) => dark.nothing_comes += viewers,
                Some(Why::NotSent) => dark.not_sent += viewers,
                None => drop(lit.insert(mountpoint.session)),
            }
        }
        let idle = locked(&self.quality).idle().clone();
        if !idle.is_empty() {
            let seated = self.audience.seated(None);
            dark.not_sent +=
                seated.iter().filter(|one| idle.contains(&one.seat) && lit.contains(&one.session)).count();
        }
        dark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_is_who_is_sent_nothing_whoever_is_to_blame() {
        let ages = |audio: Option<u64>, video: Option<u64>| {
            PerKind::from([audio, video].map(|age| age.map(Duration::from_millis)))
        };
        let (fine, old) = (ages(Some(20), Some(5000)), ages(Some(1100), None));
        let has = |audio, video| Served::Has(ages(audio, video));
        for (here, served, wanted) in [
            (fine, has(Some(20), Some(30)), None),
            (fine, has(None, None), None),
            (fine, has(Some(1500), None), Some(Why::NotSent)),
            (fine, Served::Gone("Janus is gone".to_owned()), Some(Why::NotSent)),
            (old, has(Some(20), Some(30)), Some(Why::NothingComes)),
            (ages(None, None), Served::Gone(String::new()), Some(Why::NothingComes)),
        ] {
            assert_eq!(why(here, &served), wanted, "{here:?} {served:?}");
        }
    }
}
