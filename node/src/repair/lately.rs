//! What became of what was missing in the last two minutes, and what to say when too much of it never came.

use std::collections::VecDeque;
use std::time::Duration;

use super::figures::Asking;
use super::nanoseconds;

/// What is looked back at.
const TIME: Duration = Duration::from_secs(120);
/// What was counted is remembered so often, ns.
const EVERY: u64 = 10_000_000_000;
/// More given up than so many a second is worth a warning, as it is to the alert LossNotRepaired.
const A_SECOND: u64 = 1;

/// What had been counted, every ten seconds in which anything was.
#[derive(Clone, Debug, Default)]
pub struct Lately {
    former: VecDeque<(u64, Asking)>,
}

impl Lately {
    /// Something is about to be counted, at that time (ns), besides all this.
    pub fn before(&mut self, figures: &Asking, now: u64) {
        let is_due = |(at, _): &(u64, Asking)| now.saturating_sub(*at) >= EVERY;
        if self.former.back().is_none_or(is_due) {
            self.former.push_back((now, *figures));
            while self.former.len() as u64 > nanoseconds(TIME) / EVERY + 1 {
                self.former.pop_front();
            }
        }
    }

    /// What was counted in the last two minutes, of all this.
    pub fn of(&self, figures: &Asking, now: u64) -> Asking {
        let from = now.saturating_sub(nanoseconds(TIME));
        let first = self.former.iter().find(|(at, _)| *at >= from);
        first.map(|(_, before)| *figures - *before).unwrap_or_default()
    }
}

/// What an operator should know of that, and what to do. `within`: what is missing longer is given up.
pub fn warning(lately: &Asking, round_trip: Option<Duration>, within: Duration) -> Option<String> {
    let given_up = lately.given_up();
    if given_up <= A_SECOND * TIME.as_secs() {
        return None;
    }
    let is_far = round_trip.is_some_and(|round_trip| round_trip > within / 3);
    let why = if lately.too_many > lately.expired {
        "most were missing at once, more than are asked for: the way from the parent stood still, or is overloaded".to_owned()
    } else if lately.repaired == 0 {
        "nothing that was asked for has come: does UDP get to the parent's RTCP ports, and does it keep a --history?".to_owned()
    } else if is_far {
        format!(
            "an answer takes {} of the {} ms that there are: a longer --repair-within, or a parent that is nearer",
            round_trip.unwrap_or_default().as_millis(),
            within.as_millis()
        )
    } else {
        "the way loses too much, or the parent lacks it, too: its repair_refused_total says".to_owned()
    };
    Some(format!(
        "{given_up} lost packets were not repaired in the last {} minutes, and all below lack them; {why}",
        TIME.as_secs() / 60
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(time: u64) -> u64 {
        time * 1_000_000_000
    }

    fn expired(expired: u64) -> Asking {
        Asking { expired, ..Asking::default() }
    }

    #[test]
    fn two_minutes_are_looked_back_at_and_no_more() {
        let (mut lately, mut figures) = (Lately::default(), expired(0));
        assert_eq!(lately.of(&figures, seconds(5)), expired(0), "nothing yet");
        for second in 0..1_000 {
            lately.before(&figures, seconds(second));
            figures.expired += 2;
            let wanted = 2 * (second + 1).min(121);
            let found = lately.of(&figures, seconds(second)).expired;
            assert!(found <= wanted && found + 20 >= wanted, "{found} of {wanted} at {second}");
        }
        assert!(lately.former.len() <= 13);
        assert!(lately.of(&figures, seconds(1_060)).expired.abs_diff(120) <= 20);
        assert_eq!(lately.of(&figures, seconds(1_200)), expired(0), "nothing since");
        lately.before(&figures, seconds(2_000));
        figures.expired += 7;
        assert_eq!(lately.of(&figures, seconds(2_000)), expired(7));
    }

    #[test]
    fn what_is_repaired_or_useless_is_no_reason_and_little_is_none_either() {
        let within = Duration::from_millis(150);
        let much =
            Asking { missing: 9_000, repaired: 5_000, late: 3_000, useless: 880, expired: 120, ..expired(0) };
        assert_eq!(warning(&much, None, within), None);
        let said = |asking: Asking, trip: Option<u64>| {
            warning(&asking, trip.map(Duration::from_millis), within).unwrap()
        };
        let more = Asking { expired: 121, ..much };
        for (asking, trip, words) in [
            (
                more,
                Some(20),
                "121 lost packets were not repaired in the last 2 minutes, and all below lack them",
            ),
            (more, Some(20), "the way loses too much"),
            (more, Some(51), "an answer takes 51 of the 150 ms"),
            (Asking { repaired: 0, ..more }, None, "--history?"),
            (Asking { too_many: 122, ..more }, Some(20), "243 lost packets"),
            (Asking { too_many: 122, ..more }, Some(51), "more than are asked for"),
        ] {
            let said = said(asking, trip);
            assert!(said.contains(words) && !said.contains('\n'), "{said}");
        }
    }
}
