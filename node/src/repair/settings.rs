//! How much is kept, and how long is asked for it.

use std::time::Duration;

use crate::config::Setting;

/// Packets that a history has room for unless told otherwise: 400 ms of 10,000 packets/s.
pub const HISTORY: usize = 4096;
/// Most packets that a history may have room for: 1.5 GiB.
pub const MOST_HISTORY: usize = 1 << 20;
/// A missing packet is given up after this, unless told otherwise.
pub const WITHIN: Duration = Duration::from_millis(150);
/// Nobody waits longer: players have gone on by then.
const LONGEST: u64 = 5_000;

/// How much is kept, of nodes that send media to others.
pub const HISTORY_SETTING: Setting = Setting {
    name: "history",
    value: "PACKETS",
    default: "4096",
    help: "Packets kept, of all streams together, to be sent again to children that have lost them: up to 1.5 kB each, 1048576 at most; 0: none is sent again",
    ..Setting::NEW
};

/// How long is asked.
pub const WITHIN_SETTING: Setting = Setting {
    name: "repair-within",
    value: "MS",
    default: "150",
    help: "Milliseconds within which a lost packet is asked for again of the parent, 5000 at most; what is older than two of that is not sent to children. 0: none is asked for, and children are answered as with 150",
    ..Setting::NEW
};

/// Checks [`HISTORY_SETTING`].
pub fn history(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| *number <= MOST_HISTORY);
    number.ok_or_else(|| format!("must be a whole number of packets from 0 to {MOST_HISTORY}"))
}

/// Checks [`WITHIN_SETTING`].
pub fn within(text: &str) -> Result<Duration, String> {
    let number = text.trim().parse().ok().filter(|number| *number <= LONGEST);
    number
        .map(Duration::from_millis)
        .ok_or_else(|| format!("must be milliseconds, a whole number from 0 to {LONGEST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_have_meant_is_refused() {
        assert_eq!((history("0"), history(" 4096")), (Ok(0), Ok(HISTORY)));
        assert_eq!((within("0"), within("150 ")), (Ok(Duration::ZERO), Ok(WITHIN)));
        for text in ["", "-1", "1.5", "1048577", "many"] {
            assert!(history(text).is_err() && within(text).is_err(), "{text}");
        }
    }
}
