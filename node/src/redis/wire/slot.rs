//! Slots of a Redis Cluster: which of 16,384 a key is in, and which key a command goes by. Pure.

use redis::{Arg, Cmd};

/// How many there are.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: of what is in its first braces, if there is anything, or else of all of it.
pub fn of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let length = rest.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// The slot that a command goes to; `None`: any server will do. All keys of a command are in one slot: the server sees to
/// that.
pub fn of_command(command: &Cmd) -> Option<u16> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    });
    let name = words.next()?.to_ascii_uppercase();
    let key = match name.as_slice() {
        b"PING" | b"CONFIG" | b"SCRIPT" | b"ROLE" | b"INFO" | b"CLUSTER" | b"PUBLISH" | b"UNWATCH" => None,
        // EVAL script numkeys key …
        b"EVAL" | b"EVALSHA" => match words.nth(1) {
            Some(b"0") | None => None,
            Some(_) => words.next(),
        },
        _ => words.next(),
    };
    key.map(of)
}

/// CRC-16/XMODEM, as the Cluster specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::key;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `redis-cli CLUSTER KEYSLOT` says.
        for (key, slot) in [
            ("foo", 12_182),
            ("{user1000}.following", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
        ] {
            assert_eq!(of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(of(b"{user1000}.following"), of(b"{user1000}.followers"));
        assert_eq!(of(b"foo{bar}{zap}"), of(b"bar"));
    }

    #[test]
    fn keys_that_are_written_together_are_in_one_slot() {
        let slot = |key: &str| of(key.as_bytes());
        assert_eq!(slot(key::ACTIVE_SESSIONS), slot(key::INDEXED_SESSIONS));
        let tree = "tree-1";
        assert_eq!(slot(&key::session_index(tree)), slot(&key::session_version(tree)));
        assert_eq!(slot(&key::session_index(tree)), slot(&key::session_claims(tree)));
        assert_eq!(slot(&key::session_index(tree)), slot(&key::sweeper(tree)));
        assert_eq!(slot(&key::sweeper_lease(tree)), slot(&key::sweeper(tree)));
        for key in [key::ACTIVE_SESSIONS, key::ACTIVE_MOUNTPOINTS, &key::directory(tree)] {
            assert_eq!(slot(&key::sweeper(key)), slot(key), "{key}");
        }
        for key in [key::children("relay-1"), key::parent("relay-1"), key::standby("relay-1")] {
            assert_eq!(slot(&key::beside(&key)), slot(&key));
        }
    }

    #[test]
    fn a_command_goes_where_its_key_is() {
        let command = |line: &str| {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(words.collect::<Vec<_>>());
            of_command(&command)
        };
        assert_eq!(command("GET foo"), Some(12_182));
        assert_eq!(command("EVAL text 2 foo bar x"), Some(12_182));
        assert_eq!(command("EVAL text 0 x"), None);
        assert_eq!(command("ping"), None);
    }
}
