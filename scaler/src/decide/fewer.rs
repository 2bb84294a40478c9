//! Whether fewer egresses are enough. Pure.

use super::figures::Known;
use super::memory::Memory;
use super::numbers::{between, ms, names, percent};
use super::places::Places;
use crate::books::{Books, count};
use crate::model::Ms;
use crate::plan::leaving;
use crate::settings::Settings;

/// How many can go; or why none does.
#[derive(Debug, PartialEq, Eq)]
pub enum Fewer {
    /// So many.
    Go(u32),
    /// None: there is enough to do for all, or nobody may go.
    Needed,
    /// They could, and it is not time yet.
    NotYet,
    /// It cannot be known, and so none goes: why.
    Unknown(String),
}

/// Whether some have been of no use for long enough, by everything that there is to know.
pub fn fewer(
    settings: &Settings,
    books: &Books<'_>,
    known: &Known,
    places: &Places,
    memory: &mut Memory,
    now: Ms,
) -> Fewer {
    let can = can_go(settings, books, known, places);
    let Ok(going @ 1..) = can else {
        memory.fewer = None;
        return can.map_or_else(Fewer::Unknown, |_| Fewer::Needed);
    };
    let since = memory.fewer.map_or(now, |since| since.min(now));
    memory.fewer = Some(since);
    let pace = &settings.pace;
    let rests = memory.changed.is_some_and(|changed| now.saturating_sub(changed) < ms(pace.in_rest));
    if now - since < ms(pace.in_after) || rests {
        return Fewer::NotYet;
    }
    Fewer::Go(going)
}

/// How many of those beyond the maximum go now, without waiting for a quiet time or asking Prometheus; or why none does.
pub fn over_maximum(settings: &Settings, books: &Books<'_>, beyond: u32) -> Result<u32, String> {
    if books.is_changing() {
        return Err("others are being made or taken away".to_owned());
    }
    all_is_known(books)?;
    let most = beyond.min(settings.limits.step_in);
    match count(leaving(settings, books, books.viewers(), most).len()) {
        0 => {
            Err("none can go: their viewers or a session have no other place, or people made them".to_owned())
        }
        going => Ok(going),
    }
}

/// Who carries what, and what there is; or what is not known of it.
fn all_is_known(books: &Books<'_>) -> Result<(), String> {
    if let Some(why) = &books.seen().carriers_unknown {
        return Err(format!("it is not known who carries which session: {why}"));
    }
    if let Some(problem) = &books.seen().problem {
        return Err(format!("the tree could not be read this time: {problem}"));
    }
    if books.seen().machines.is_none() {
        return Err("the back end does not say what there is".to_owned());
    }
    let doubtful: Vec<&str> = books.doubtful().collect();
    if !doubtful.is_empty() {
        return Err(format!("nobody has heard of {} for some seconds", names(&doubtful)));
    }
    Ok(())
}

/// How many can go as things are.
fn can_go(settings: &Settings, books: &Books<'_>, known: &Known, places: &Places) -> Result<u32, String> {
    let thresholds = &settings.thresholds;
    let expected = places.expected();
    // Most of the time there is no more to it.
    if percent(expected, places.places) >= thresholds.places_in {
        return Ok(0);
    }
    let going = count(leaving(settings, books, expected, settings.limits.step_in).len());
    if going == 0 || books.is_changing() || books.coming() > 0 {
        return Ok(0);
    }
    if let Some(lacking) = &known.lacking {
        return Err(lacking.clone());
    }
    all_is_known(books)?;
    let below = |value: Option<f64>, r#in: f64| value.is_none_or(|value| value < r#in);
    let is_idle = below(known.cpu, thresholds.cpu_in)
        && below(known.memory, thresholds.memory_in)
        && below(known.port_pool, thresholds.port_pool_in)
        && known.drops.is_none_or(|drops| drops <= thresholds.drops_out)
        && known.overloaded.is_empty();
    if !is_idle {
        return Ok(0);
    }
    // Those that stay get the others' work.
    let staying = f64::from(count(books.staying().count()));
    let fits = |going: &u32| {
        let left = (staying - f64::from(*going)).max(1.0);
        let grown = |value: Option<f64>, out, r#in| {
            value.is_none_or(|value| value * staying / left <= between(out, r#in))
        };
        grown(known.cpu, thresholds.cpu_out, thresholds.cpu_in)
            && grown(known.memory, thresholds.memory_out, thresholds.memory_in)
    };
    Ok((1..=going).rev().find(fits).unwrap_or(0))
}
