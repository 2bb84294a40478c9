//! Whether what was seen is the tree, and as it is now. Pure.

use std::collections::BTreeSet;

use node::overview::State;

use super::memory::Memory;
use super::numbers::ms;
use crate::books::Books;
use crate::model::Ms;
use crate::settings::Settings;

/// A tree that has lost more than half of its egresses is believed to have after so long; registrations that Redis lost are back by then.
const BELIEVED: Ms = 10_000;
/// With fewer egresses than this, half of them are no many.
const FEW: usize = 4;
/// So many looks without news of the tree are one too many,
const MISSED: f64 = 3.0;
/// if they are at least so many seconds.
const SOON: f64 = 10.0;

/// Whether what was seen is the tree, and as it is now.
pub fn is_known(settings: &Settings, books: &Books<'_>, memory: &mut Memory, now: Ms) -> Result<(), String> {
    let seen = books.seen();
    let problem = || seen.problem.as_deref().map(|problem| format!(": {problem}")).unwrap_or_default();
    let read = seen.read.ok_or_else(|| format!("the tree could not be read yet{}", problem()))?;
    let age = now.saturating_sub(read);
    if age > ms((settings.pace.look * MISSED).max(SOON)) {
        return Err(format!("the tree was last read {} s ago{}", age / 1_000, problem()));
    }
    let serving: BTreeSet<String> = books.staying().map(|node| node.id.clone()).collect();
    let stayed = |name: &&String| !books.is_going(name);
    let before: Vec<&String> = memory.serving.iter().filter(stayed).collect();
    let left = before.iter().filter(|name| is_in_place(books, name)).count();
    if before.len() >= FEW && left * 2 < before.len() {
        let lost = memory.lost.map_or(now, |lost| lost.min(now));
        memory.lost = Some(lost);
        if now - lost < BELIEVED {
            return Err(format!(
                "{} of {} egresses are missing all at once: it is seen whether they come back, as they do when Redis has lost its data",
                before.len() - left,
                before.len()
            ));
        }
    }
    memory.lost = None;
    memory.serving = serving;
    Ok(())
}

/// It serves, or says itself why it does not. What has lost its place with Redis' data does neither.
fn is_in_place(books: &Books<'_>, name: &str) -> bool {
    books.node(name).is_some_and(|node| {
        let says_why = matches!(node.state, State::CutOff | State::Degraded | State::Draining);
        node.serves() || says_why && node.parent.is_some()
    })
}
