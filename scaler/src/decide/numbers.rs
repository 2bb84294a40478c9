//! Figures and names, as all who decide count and say them.

use crate::model::Ms;

/// A quarter of the way from where more are wanted to where fewer are.
pub fn between(out: f64, r#in: f64) -> f64 {
    out - (out - r#in) / 4.0
}

/// Nothing is as good as one, so that it is a number in any case.
pub fn percent(part: u32, of: u32) -> f64 {
    f64::from(part) / f64::from(of.max(1)) * 100.0
}

/// As many digits as are of use, and as are the same again after they have been JSON.
pub fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Seconds of settings.
pub fn ms(seconds: f64) -> Ms {
    (seconds * 1_000.0) as Ms
}

/// Some names, for a sentence.
pub fn names(all: &[&str]) -> String {
    const MOST: usize = 5;
    let shown = all.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
