//! The session's priority. Where the kernel shares the CPUs out among sessions first (sched(7), "The autogroup feature"),
//! niceness counts among the programs of one session only, so the session itself has to be made to go first.

use std::fs;

use super::NICENESS;

const FILE: &str = "/proc/self/autogroup";

/// While it lives, this session goes first. Without rights, or a kernel that knows no such groups, it changes nothing.
pub struct Session {
    /// What to put back.
    before: Option<String>,
}

impl Session {
    pub fn first() -> Self {
        let before = fs::read_to_string(FILE).ok().and_then(|text| niceness(&text).map(str::to_owned));
        let before = before.filter(|_| fs::write(FILE, NICENESS).is_ok());
        Self { before }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(FILE, before);
        }
    }
}

/// `/autogroup-156 nice 0`
fn niceness(text: &str) -> Option<&str> {
    text.trim_end().rsplit_once("nice ").map(|(_, niceness)| niceness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_niceness_of_a_session_is_read() {
        assert_eq!(niceness("/autogroup-156 nice 0\n"), Some("0"));
        assert_eq!(niceness("/autogroup-3 nice -10\n"), Some("-10"));
        assert_eq!(niceness(""), None);
    }
}
