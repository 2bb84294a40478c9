//! What the time is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Ms;

/// Milliseconds since 1970.
pub fn now() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Ms)
}
