//! More egresses, fewer, or neither, and why. Pure.
//!
//! | file | job |
//! |---|---|
//! | `seen.rs` | whether what was seen is the tree, and as it is now |
//! | `places.rs` | viewers and their places |
//! | `more.rs` | what asks for more, and for how many |
//! | `fewer.rs` | whether fewer are enough, by everything that there is to know |
//! | `figures.rs` | what Prometheus says that can be counted on |
//! | `trend.rs` | where the number of viewers is going |
//! | `dead.rs` | what has been dead for so long that it is cleared away |
//! | `numbers.rs` | how all of them count |
//! | `memory.rs` | what one look has to know of those before it |
//!
//! The rules about what is not known:
//!
//! - A tree that was never read, or was read too long ago, or has lost most of its egresses within seconds, which is how Redis looks when
//!   it has lost its data: nothing is done, not even with its slots.
//! - Without Prometheus, or with figures that are too old, the tree's own places go on asking for more. A figure that is not there asks for
//!   nothing; it is not 0. Figures of a part of the egresses may ask for more.
//! - Fewer are wanted only when all is known and fresh: tree, back end, each egress, and figures of all of them.

mod dead;
mod fewer;
mod figures;
mod memory;
mod more;
mod numbers;
mod places;
mod seen;
mod trend;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Urgency};
use crate::books::{Books, count};
use crate::model::{Ms, Observation};
use crate::plan::beyond_maximum;
use crate::settings::Settings;
use crate::words::counted;
use fewer::Fewer;
use figures::Known;
pub use memory::Memory;
use more::{Asking, More, Wants};
use numbers::{ms, rounded};
pub(crate) use numbers::{names, percent};
use places::Places;

/// What is to be done about the number of egresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// More.
    ScaleOut,
    /// Fewer.
    ScaleIn,
    /// Neither.
    #[default]
    Noop,
}

/// What was decided at a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// More, fewer or neither.
    pub verdict: Verdict,
    /// How many egresses more, or fewer; 0 with `NOOP`.
    pub count: u32,
    /// How many more are wanted, whether they can be made or not.
    #[serde(default)]
    pub wanted: u32,
    /// Why, a sentence.
    pub reason: String,
    /// How soon.
    pub urgency: Urgency,
    /// The figures that it was decided by, by name. What is not known is not in it.
    pub metrics: BTreeMap<String, f64>,
    /// What kept it from deciding otherwise, or should be seen to: each a sentence.
    pub warnings: Vec<String>,
    /// The tree is known well enough to do anything with it; else nothing is planned, not even for the slots.
    pub known: bool,
    /// Nothing new is made for the moment, because making failed.
    pub paused: bool,
    /// Nodes that have been dead for so long that they are cleared away.
    pub dead: Vec<String>,
    /// Egresses that live and have been of no use for so long that they are emptied and taken away.
    pub useless: Vec<String>,
}

impl Decision {
    fn noop(reason: impl Into<String>) -> Decision {
        Decision {
            verdict: Verdict::Noop,
            count: 0,
            wanted: 0,
            reason: reason.into(),
            urgency: Urgency::Low,
            metrics: BTreeMap::new(),
            warnings: Vec::new(),
            known: true,
            paused: false,
            dead: Vec::new(),
            useless: Vec::new(),
        }
    }

    fn unknown(reason: String) -> Decision {
        Decision { known: false, warnings: vec![reason.clone()], ..Decision::noop(reason) }
    }
}

/// What is to be done about the number of egresses, and what the next look has to know; [`Memory::planned`] wants to be told what could be planned.
/// `running` are the actions that are recorded
/// and not done yet, those that wait for somebody's approval among them: what they make counts as if it were there.
pub fn decide(
    settings: &Settings,
    memory: &Memory,
    seen: &Observation,
    running: &[Action],
    now: Ms,
) -> (Decision, Memory) {
    let mut memory = memory.clone();
    memory.planned(&[], now);
    let books = Books::new(seen, running);
    if let Err(reason) = seen::is_known(settings, &books, &mut memory, now) {
        memory.fewer = None;
        return (Decision::unknown(reason), memory);
    }
    let was_away = memory.looked.is_none_or(|looked| now.saturating_sub(looked) > ms(settings.pace.stale));
    if was_away {
        memory.fewer = None;
    }
    memory.looked = Some(now);
    // By a clock that was ahead.
    memory.changed = memory.changed.map(|changed| changed.min(now));
    if books.is_changing() {
        memory.changed = Some(now);
    }

    let known = Known::of(seen, settings.pace.stale, now);
    let mut places = Places::of(&books, &known, memory.places);
    memory.trend.learn(places.viewers, places.are_taken(), now);
    places.growth = memory.trend.growth(settings.pace.ahead);
    memory.places = places.each;

    let mut decision = of_number(settings, &books, &known, places, &mut memory, now);
    let dead = dead::dead(settings, &books, &mut memory, now);
    decision.metrics = metrics(&books, &known, &places);
    decision.dead = dead.clear;
    decision.useless = dead.useless;
    decision.warnings.extend(dead.doubt);
    decision.warnings.extend(known.lacking.clone());
    if seen.machines.is_none() {
        let lacking = "no back end says what there is (--provision): nothing is taken away, and slots are left as they are";
        decision.warnings.push(lacking.to_owned());
    }
    let ill: Vec<&str> = books.ill().map(|node| node.id.as_str()).collect();
    if !ill.is_empty() {
        decision.warnings.push(format!("unhealthy: {}", names(&ill)));
    }
    (decision, memory)
}

fn of_number(
    settings: &Settings,
    books: &Books<'_>,
    known: &Known,
    places: Places,
    memory: &mut Memory,
    now: Ms,
) -> Decision {
    if let Some(decision) = of_maximum(settings, books, memory, now) {
        return decision;
    }
    let wants = Wants { settings, books, known, places, now };
    let Asking { now: all, resting, mut warnings } = wants.more(memory);
    let pause = memory.pause(now);
    let mut decision = match strongest(&all) {
        Some(more) => {
            memory.fewer = None;
            let wanted = all.iter().map(|more| more.count).max().unwrap_or(0).min(settings.limits.step_out);
            let decision = match bounded(settings, books, wanted, pause) {
                Ok(count) => {
                    all.iter().for_each(|more| wants.ask(memory, more));
                    let urgency = all.iter().map(|more| more.urgency).max().unwrap_or(more.urgency);
                    let reason = more.reason.clone();
                    Decision { verdict: Verdict::ScaleOut, count, urgency, ..Decision::noop(reason) }
                }
                Err(why) => {
                    warnings.push(why.clone());
                    Decision::noop(format!("more are wanted ({}), but {why}", more.reason))
                }
            };
            Decision { wanted, ..decision }
        }
        None if !resting.is_empty() => {
            memory.fewer = None;
            let why = strongest(&resting).map(|more| more.reason.as_str()).unwrap_or_default();
            let rest = settings.pace.out_rest;
            Decision::noop(format!(
                "more were asked for less than {rest} s ago (pace.out-rest), for this: {why}"
            ))
        }
        None => match fewer::fewer(settings, books, known, &places, memory, now) {
            Fewer::Go(count) => {
                if !settings.dry_run {
                    (memory.changed, memory.fewer) = (Some(now), None);
                }
                let Places { viewers, places, .. } = places;
                let reason = format!(
                    "low usage: {viewers} viewers have {places} places, {} fewer would do",
                    counted(count, "egress", "egresses")
                );
                Decision { verdict: Verdict::ScaleIn, count, ..Decision::noop(reason) }
            }
            Fewer::Needed => Decision::noop("all within normal range"),
            Fewer::NotYet => {
                Decision::noop("fewer egresses would be enough, and have not been for long enough")
            }
            Fewer::Unknown(why) => {
                Decision::noop(format!("fewer egresses may be enough, but not all is known: {why}"))
            }
        },
    };
    decision.warnings.extend(warnings);
    decision.paused = pause.is_some();
    decision
}

/// There are more than there may be, since that has been changed: whatever else is wanted, it is fewer.
fn of_maximum(settings: &Settings, books: &Books<'_>, memory: &mut Memory, now: Ms) -> Option<Decision> {
    let beyond = beyond_maximum(settings, books);
    if beyond == 0 {
        return None;
    }
    memory.fewer = None;
    let (serving, maximum) = (count(books.staying().count()), settings.limits.maximum);
    let serving = counted(serving, "egress serves", "egresses serve");
    let reason = format!("{serving}, and limits.maximum is {maximum}");
    let paused = memory.pause(now).is_some();
    let decision = match fewer::over_maximum(settings, books, beyond) {
        Ok(count) => {
            Decision { verdict: Verdict::ScaleIn, count, urgency: Urgency::High, ..Decision::noop(reason) }
        }
        Err(why) => {
            let reason = format!("{reason}, but {why}");
            Decision { warnings: vec![reason.clone()], ..Decision::noop(reason) }
        }
    };
    Some(Decision { paused, ..decision })
}

/// What is said to be the reason: the most urgent, and of such the one that asks for most.
fn strongest(all: &[More]) -> Option<&More> {
    all.iter().max_by_key(|more| (more.urgency, more.count))
}

/// How many can be made of those that are wanted; or why none.
fn bounded(
    settings: &Settings,
    books: &Books<'_>,
    wanted: u32,
    pause: Option<(u32, Ms)>,
) -> Result<u32, String> {
    if let Some((failures, left)) = pause {
        let left = left.div_ceil(1_000);
        let times = counted(failures, "time", "times");
        return Err(format!("making nodes has failed {times}: it is tried again in {left} s"));
    }
    let limits = &settings.limits;
    // Those that are there already need but be attached.
    let spare = count(books.spare().count());
    let room = limits.maximum.saturating_sub(books.existing()).saturating_add(spare);
    match wanted.min(room) {
        0 => {
            let existing = counted(books.existing(), "egress", "egresses");
            Err(format!("the tree has {existing}, and limits.maximum is {}", limits.maximum))
        }
        count => Ok(count),
    }
}

fn metrics(books: &Books<'_>, known: &Known, places: &Places) -> BTreeMap<String, f64> {
    let number = |value: u32| Some(f64::from(value));
    let all = [
        ("viewers", number(places.viewers)),
        ("viewersExpected", number(places.expected())),
        ("places", number(places.places)),
        ("placesComing", number(places.coming)),
        ("placesTakenPercent", Some(percent(places.viewers, places.places))),
        ("egresses", number(count(books.staying().count()))),
        ("egressesComing", number(books.coming())),
        ("egressesExisting", number(books.existing())),
        ("egressesUnhealthy", number(count(books.ill().count()))),
        ("cpuPercent", known.cpu),
        ("memoryPercent", known.memory),
        ("portPoolPercent", known.port_pool),
        ("dropsPerSecond", known.drops),
        ("overloaded", number(count(known.overloaded.len()))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), rounded(value?)))).collect()
}
