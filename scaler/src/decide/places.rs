//! Viewers and their places, as they are and as they will be. Pure.

use super::figures::Known;
use super::numbers::percent;
use crate::books::Books;

/// So many percent of all places are as good as all.
const FULL: f64 = 98.0;

/// Places, as they are and as they will be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// Viewers now.
    pub viewers: u32,
    /// How many more are on their way, by the trend.
    pub growth: u32,
    /// Places of egresses that serve. What an overloaded one has free is none.
    pub places: u32,
    /// Places of an egress.
    pub each: Option<u32>,
    /// Places of egresses that are on their way.
    pub coming: u32,
}

impl Places {
    /// Of a tree, by what is so now, without growth. `before`: places of an egress, as they were when there was one.
    pub fn of(books: &Books<'_>, known: &Known, before: Option<u32>) -> Places {
        let mut each: Vec<u32> =
            books.staying().map(|node| node.max_viewers).filter(|most| *most > 0).collect();
        each.sort_unstable();
        let each = each.get(each.len() / 2).copied().or(before);
        let places = books.staying().map(|node| {
            let is_overloaded = known.overloaded.contains(&node.id);
            if is_overloaded { node.viewers.min(node.max_viewers) } else { node.max_viewers }
        });
        let places = places.fold(0, u32::saturating_add);
        let coming = books.coming().saturating_mul(each.unwrap_or(0));
        Places { viewers: books.viewers(), growth: 0, places, each, coming }
    }

    /// Newcomers find no place, or hardly any: nobody knows how many of them wait.
    pub fn are_taken(&self) -> bool {
        self.places == 0 || percent(self.viewers, self.places) >= FULL
    }

    /// Viewers, those that the trend brings among them.
    pub fn expected(&self) -> u32 {
        self.viewers.saturating_add(self.growth)
    }

    /// Places, those that are on their way among them.
    pub fn all(&self) -> u32 {
        self.places.saturating_add(self.coming)
    }
}
