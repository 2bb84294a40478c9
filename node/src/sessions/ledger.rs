//! What the server tells of the set of active sessions (keyspace notifications name a key, but no member).
//!
//! An injection writes `sessions:active` and `sessions:indexed:…` in one go, and says the rest in an event: the server tells
//! of both, and there is nothing to read. Whoever types `SADD sessions:active show` writes the one only. So the two are
//! weighed against each other, and what is left over after a moment is a reason to read.

use std::time::Duration;

use crate::contract::key;

/// How long the other half of a pair is waited for.
pub const SETTLE: Duration = Duration::from_millis(20);

/// Weighs what is told of the two sets.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    balance: i64,
    since: Option<Duration>,
    /// The last that was told of each set was a removal: the `del` of a set that is empty by it says nothing more.
    removed: [bool; 2],
}

impl Ledger {
    /// The server tells of a command on a key. True when it is one of the two sets.
    pub fn hear(&mut self, changed: &str, command: &[u8], now: Duration) -> bool {
        let set = match changed {
            key::ACTIVE_SESSIONS => 0,
            key::INDEXED_SESSIONS => 1,
            _ => return false,
        };
        let removal = command == b"srem";
        if std::mem::replace(&mut self.removed[set], removal) && command == b"del" {
            return true;
        }
        self.balance += if set == 0 { 1 } else { -1 };
        self.since = (self.balance != 0).then(|| self.since.unwrap_or(now));
        true
    }

    /// When what is left over is a reason to read.
    pub fn due(&self) -> Option<Duration> {
        self.since.map(|since| since + SETTLE)
    }

    /// What there is is about to be read: nothing is left over.
    pub fn settle(&mut self) {
        *self = Ledger { removed: self.removed, ..Ledger::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    /// When a look is due after these, told at one moment.
    fn due(told: &[(&str, &[u8])]) -> Option<Duration> {
        let mut ledger = Ledger::default();
        for (key, command) in told {
            assert!(ledger.hear(key, command, NOW));
        }
        ledger.due()
    }

    #[test]
    fn an_injection_s_change_is_no_reason_to_read() {
        let (active, indexed) = (key::ACTIVE_SESSIONS, key::INDEXED_SESSIONS);
        assert_eq!(due(&[(active, b"sadd"), (indexed, b"sadd")]), None);
        let emptied = [(active, b"srem".as_slice()), (active, b"del"), (indexed, b"srem"), (indexed, b"del")];
        assert_eq!(due(&emptied), None, "both sets are empty now");
        assert_eq!(due(&[(indexed, b"srem"), (indexed, b"del"), (active, b"srem")]), None, "one is not");
        assert!(!Ledger::default().hear("sessions:injection-1", b"sadd", NOW));
    }

    #[test]
    fn what_is_typed_by_hand_is() {
        let (active, indexed) = (key::ACTIVE_SESSIONS, key::INDEXED_SESSIONS);
        for told in [
            vec![(active, b"sadd".as_slice())],
            vec![(active, b"srem")],
            vec![(active, b"del")],
            vec![(active, b"sadd"), (indexed, b"sadd"), (active, b"sadd")],
            vec![(active, b"srem"), (active, b"del")],
            vec![(indexed, b"del")],
        ] {
            assert_eq!(due(&told), Some(NOW + SETTLE), "{told:?}");
        }
    }

    #[test]
    fn a_half_is_waited_for() {
        let mut ledger = Ledger::default();
        ledger.hear(key::ACTIVE_SESSIONS, b"sadd", NOW);
        ledger.hear(key::INDEXED_SESSIONS, b"sadd", NOW + SETTLE / 2);
        assert_eq!(ledger.due(), None);
        ledger.hear(key::ACTIVE_SESSIONS, b"sadd", NOW * 2);
        assert_eq!(ledger.due(), Some(NOW * 2 + SETTLE), "from the one that is left over");
        ledger.settle();
        assert_eq!(ledger.due(), None);
    }
}
