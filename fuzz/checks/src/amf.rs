//! AMF0: commands and metadata of an encoder.
use injection::rtmp::amf::{self, Value};
use injection::rtmp::{command, metadata};

/// Values in a value, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Fields(fields) => 1 + fields.iter().map(|(_, value)| count(value)).sum::<usize>(),
        _ => 1,
    }
}

/// The body of a message.
pub fn amf(data: &[u8]) {
    if let Ok(values) = amf::values(data) {
        let all: usize = values.iter().map(count).sum();
        assert!(all <= data.len(), "each value takes a byte at least");
    }
    if let Some(metadata) = metadata::read(data) {
        assert!(metadata.kbits.is_none_or(|kbits| (1..=1_000_000).contains(&kbits)));
    }
    let _ = command::read(data);
}
