//! Names for what is new.

/// Gives names that nobody else has: what it is made with is used by nobody else.
#[derive(Clone, Debug)]
pub struct Ids {
    stem: String,
    given: u32,
}

impl Ids {
    /// `stem` is of letters and digits and never used again: such as the leader's fencing number and the time, in base 36.
    pub fn new(stem: impl Into<String>) -> Ids {
        Ids { stem: stem.into(), given: 0 }
    }

    /// The next: `STEM`, `STEM-1`, `STEM-2` and so on.
    pub fn take(&mut self) -> String {
        let given = self.given;
        self.given += 1;
        if given == 0 { self.stem.clone() } else { format!("{}-{given}", self.stem) }
    }
}
