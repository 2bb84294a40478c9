//! `--cpus`: over which CPUs streams are spread.

use std::collections::BTreeSet;
use std::str::FromStr;

use relay_common::layout::MAX_SPREAD;

use super::{ConfigError, bad};

/// Where the kernel says which CPUs there are.
pub const ONLINE: &str = "/sys/devices/system/cpu/online";

/// CPUs that copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cpus {
    /// So many, the first that are online.
    Count(usize),
    /// These.
    List(BTreeSet<u32>),
}

impl FromStr for Cpus {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Cpus, ConfigError> {
        let cpus = match text.trim().parse() {
            Ok(count) => Some(Cpus::Count(count)),
            Err(_) => list(text).map(Cpus::List),
        };
        let size = match &cpus {
            None => 0,
            Some(Cpus::Count(count)) => *count,
            Some(Cpus::List(list)) => list.len(),
        };
        match cpus {
            Some(cpus) if (1..=MAX_SPREAD).contains(&size) => Ok(cpus),
            _ => bad(format!(
                "say how many CPUs shall copy, 1 to {MAX_SPREAD}, or which (0,2 or 4-7; one alone: 3-3)"
            )),
        }
    }
}

impl Cpus {
    /// Their numbers. `online`: what [`ONLINE`] says.
    pub fn of(&self, online: &str) -> Result<Vec<u32>, ConfigError> {
        let there = list(online).unwrap_or_default();
        match self {
            Cpus::Count(count) if *count > there.len() => {
                bad(format!("--cpus {count}: only {} are online ({})", there.len(), online.trim()))
            }
            Cpus::Count(count) => Ok(there.into_iter().take(*count).collect()),
            Cpus::List(wanted) => match wanted.difference(&there).next() {
                Some(cpu) => bad(format!(
                    "--cpus: there is no CPU {cpu}, or it is offline (online: {})",
                    online.trim()
                )),
                None => Ok(wanted.iter().copied().collect()),
            },
        }
    }
}

/// The kernel's way to write CPUs: `0,2-4`.
fn list(text: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // No machine has more, and a mistake shall not take all memory.
        if first > last || last > 65_535 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, online: &str) -> Result<Vec<u32>, String> {
        text.parse::<Cpus>().and_then(|cpus| cpus.of(online)).map_err(|error| error.0)
    }

    #[test]
    fn a_number_is_how_many_and_a_list_is_which() {
        assert_eq!(chosen("2", "0-3\n"), Ok(vec![0, 1]));
        assert_eq!(chosen("2", "1,3,5"), Ok(vec![1, 3, 5][..2].to_vec()));
        assert_eq!(chosen("3,0", "0-3"), Ok(vec![0, 3]));
        assert_eq!(chosen("1-2,3", "0-3"), Ok(vec![1, 2, 3]));
        assert_eq!(chosen("3-3", "0-3"), Ok(vec![3]));
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        assert!(chosen("5", "0-3").unwrap_err().contains("only 4 are online (0-3)"));
        assert!(chosen("0,7", "0-3").unwrap_err().contains("no CPU 7"));
        for text in ["", "0", "65", "two", "1-", "-1", "3-1", "0-64", "1,,2", "0-4294967295"] {
            assert!(chosen(text, "0-127").unwrap_err().contains("say how many CPUs"), "{text}");
        }
    }
}
