//! Names become those of files, containers and Pods: what all of these take, and nothing that means something to a shell or a path.

use super::Trouble;

/// Longest name: that of a DNS label.
const LONGEST: usize = 63;

/// Refuses what could be no node or tree of ours.
pub fn check(name: &str) -> Result<(), Trouble> {
    let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= LONGEST;
    if fine {
        return Ok(());
    }
    Err(Trouble::lasting(format!(
        "{name:?} cannot be the name of a node or tree that is made: at most {LONGEST} letters, digits, '-', '_' and '.', a letter or \
         digit first"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_path_is_refused() {
        for fine in ["egress-1", "tree-1", "A.b_c", &"x".repeat(63)] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for wrong in ["", ".", "..", "../x", "a/b", "-x", ".x", "a b", "a\n", "ü", &"x".repeat(64)] {
            assert!(check(wrong).is_err_and(|trouble| !trouble.again), "{wrong}");
        }
    }
}
