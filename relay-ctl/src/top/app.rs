//! What keys and readings do to the view. Pure: the time goes in.

use std::time::Instant;

use super::model::{Picture, Reading, Sort, picture};

/// What the loop has to know of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Leave.
    Quit,
    /// Sort by something else.
    Sort,
    /// Hold the picture, or let it go on.
    Pause,
    /// The other table takes the scrolling.
    Focus,
    /// Scroll by so many rows; negative: up.
    Scroll(i32),
    /// Scroll by so many pages.
    Page(i32),
}

/// Which table is scrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The streams.
    #[default]
    Streams,
    /// The children.
    Children,
}

/// State of the view.
#[derive(Debug, Default)]
pub struct App {
    last: Option<(Instant, Reading)>,
    /// What is shown; `None` before the first reading.
    pub picture: Option<Picture>,
    /// Why the last reading failed.
    pub trouble: Option<String>,
    /// By what rows are sorted.
    pub sort: Sort,
    /// The picture is held.
    pub paused: bool,
    /// Which table is scrolled.
    pub focus: Focus,
    /// First row shown: streams, children. Drawing brings them within what there is.
    pub offsets: [usize; 2],
    /// Rows that fit, as drawing found: streams, children.
    pub pages: [usize; 2],
}

impl App {
    /// A reading arrived, or why there is none.
    pub fn arrived(&mut self, reading: Result<Reading, String>, now: Instant) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(why) => {
                self.trouble = Some(why);
                return;
            }
        };
        self.trouble = None;
        if !self.paused {
            let before = self.last.as_ref().map(|(then, old)| (old, now.saturating_duration_since(*then)));
            let mut picture = picture(reading.clone(), before);
            picture.sort(self.sort);
            self.picture = Some(picture);
        }
        self.last = Some((now, reading));
    }

    /// A key was pressed; false: leave.
    pub fn pressed(&mut self, key: Key) -> bool {
        let at = self.focus as usize;
        match key {
            Key::Quit => return false,
            Key::Sort => {
                self.sort = self.sort.next();
                self.offsets = [0; 2];
                if let Some(picture) = &mut self.picture {
                    picture.sort(self.sort);
                }
            }
            Key::Pause => self.paused = !self.paused,
            Key::Focus => {
                self.focus = if self.focus == Focus::Streams { Focus::Children } else { Focus::Streams };
            }
            Key::Scroll(rows) => self.offsets[at] = self.offsets[at].saturating_add_signed(rows as isize),
            Key::Page(pages) => {
                let rows = pages as isize * self.pages[at].max(1) as isize;
                self.offsets[at] = self.offsets[at].saturating_add_signed(rows);
            }
        }
        true
    }

    /// Drawing found that so many of so many rows fit.
    pub fn fits(&mut self, table: Focus, rows: usize, page: usize) -> usize {
        let at = table as usize;
        self.pages[at] = page;
        self.offsets[at] = self.offsets[at].min(rows.saturating_sub(page.max(1)));
        self.offsets[at]
    }
}

#[cfg(test)]
mod tests;
