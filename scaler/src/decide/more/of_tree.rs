//! What the tree itself asks for: as many as there are to be, places for viewers, and one for each that has too much to do.

use super::{Cause, More, Wants};
use crate::action::Urgency;
use crate::books::count;
use crate::decide::memory::Memory;
use crate::decide::numbers::{between, names, percent};
use crate::decide::places::Places;

impl Wants<'_> {
    pub(super) fn baseline(&self) -> Option<More> {
        let (staying, coming) = (self.staying(), self.books.coming());
        let baseline = self.settings.limits.baseline;
        let count = baseline.checked_sub(staying + coming).filter(|count| *count > 0)?;
        let (urgency, ill) = self.ill();
        let reason = format!(
            "{staying} egresses serve, {coming} are on their way, and there are to be {baseline} at least{ill}"
        );
        Some(More { cause: Cause::Baseline, count, urgency, reason, value: f64::from(staying) })
    }

    /// What lacks since nodes do not do their job is urgent.
    fn ill(&self) -> (Urgency, String) {
        let ill: Vec<&str> = self.books.ill().map(|node| node.id.as_str()).collect();
        if ill.is_empty() {
            return (Urgency::High, String::new());
        }
        (Urgency::Critical, format!("; unhealthy: {}", names(&ill)))
    }

    pub(super) fn of_places(&self) -> Option<More> {
        let Places { viewers, growth, places, coming, each } = self.places;
        let (thresholds, ready) = (&self.settings.thresholds, self.settings.limits.ready_places);
        let (expected, all) = (self.places.expected(), self.places.all());
        let taken = percent(expected, all);
        let is_short = taken > thresholds.places_out;
        let is_unready = all < expected.saturating_add(ready);
        if !is_short && !is_unready {
            return None;
        }
        let aim = f64::from(expected) * 100.0 / between(thresholds.places_out, thresholds.places_in);
        let wanted = (aim.ceil() as u32).max(expected.saturating_add(ready));
        let count = match each {
            Some(each) if each > 0 => wanted.saturating_sub(all).div_ceil(each).max(1),
            // Nobody has said yet how many an egress takes: with one it is known.
            _ if self.books.coming() > 0 => return None,
            _ => 1,
        };
        let (mut urgency, ill) = self.ill();
        if expected > 0 && expected >= all {
            urgency = Urgency::Critical;
        }
        let soon = match growth {
            0 => String::new(),
            _ => format!(" and {growth} more are expected within {} s", self.settings.pace.ahead),
        };
        let arriving = if coming == 0 { String::new() } else { format!(" ({coming} more on their way)") };
        let limit = if is_short {
            format!("more than {} % taken", thresholds.places_out)
        } else {
            format!("fewer than {ready} free")
        };
        let reason = format!("{viewers} viewers have {places} places{arriving}{soon}: {limit}{ill}");
        Some(More { cause: Cause::Places, count, urgency, reason, value: taken })
    }

    pub(super) fn overloaded(&self, memory: &Memory) -> Option<More> {
        let is_new =
            |name: &&str| self.known.overloaded.contains(*name) && !memory.overloaded.contains_key(*name);
        let staying: Vec<&str> = self.books.staying().map(|node| node.id.as_str()).filter(is_new).collect();
        if staying.is_empty() {
            return None;
        }
        Some(More {
            cause: Cause::Overloaded,
            count: count(staying.len()),
            urgency: Urgency::Critical,
            reason: format!("unhealthy nodes, more than 90 % of CPU or memory in use: {}", names(&staying)),
            value: f64::from(count(staying.len())),
        })
    }
}
