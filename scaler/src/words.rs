//! Numbers as people say them. Pure.

use std::fmt::Display;

/// So many of something: `1 egress`, `2 egresses`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, more: &str) -> String {
    let what = if count == N::from(1) { one } else { more };
    format!("{count} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let said = [0_u32, 1, 2].map(|count| counted(count, "egress", "egresses"));
        assert_eq!(said, ["0 egresses", "1 egress", "2 egresses"]);
    }
}
