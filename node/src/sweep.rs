//! What killed nodes left in a set of names that each have a hash: in time the hash expires, and the name stays. Pure.

use std::collections::BTreeSet;

/// Goes round a set, a part at a time (SSCAN), again and again.
#[derive(Debug)]
pub struct Sweep {
    /// Where to go on.
    pub cursor: String,
    /// Had no hash when they were last looked at.
    suspects: BTreeSet<String>,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { cursor: "0".to_owned(), suspects: BTreeSet::new() }
    }
}

impl Sweep {
    /// Of members, each with whether it has a hash, those that had none before either: one that is just being written may be
    /// seen between its place in the set and its hash.
    pub fn gone(&mut self, seen: impl Iterator<Item = (String, bool)>) -> Vec<String> {
        let mut gone = Vec::new();
        for (member, has_hash) in seen {
            let suspected = self.suspects.remove(&member);
            match (has_hash, suspected) {
                (true, _) => {}
                (false, true) => gone.push(member),
                (false, false) => drop(self.suspects.insert(member)),
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_hash_twice_is_swept() {
        let mut sweep = Sweep::default();
        let mut gone = |seen: &[(&str, bool)]| {
            sweep.gone(seen.iter().map(|(member, has_hash)| ((*member).to_owned(), *has_hash)))
        };
        assert_eq!(gone(&[("e1:a", true), ("e2:b", false), ("e3:c", false)]), [""; 0]);
        assert_eq!(gone(&[("e1:a", true), ("e2:b", true), ("e3:c", false)]), ["e3:c"]);
        assert_eq!(gone(&[("e2:b", false)]), [""; 0], "it had one in between");
        assert_eq!(gone(&[("e2:b", false)]), ["e2:b"]);
    }
}
