//! What a publisher asks for, without I/O: the commands of RTMP 1.0 section 7.2, of which few concern a publisher.

use super::amf::{self, AmfError, Value};

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What an answer refers to; 0 if none is wanted.
    pub transaction: f64,
    /// What is asked for.
    pub command: Command,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be connected to an application: `app`, and the address that the encoder was given, `tcUrl`.
    Connect { application: String, url: String },
    /// A message stream.
    CreateStream,
    /// To publish under a name. What kind of publication it is (live, record, append), nobody asks.
    Publish { name: String },
    /// To watch.
    Play,
    /// To end.
    End,
    /// To announce a publication, as Adobe's encoder does, which waits for an answer.
    Announce { name: String },
    /// Anything else.
    Other,
}

/// Reads the body of a command message.
pub fn read(body: &[u8]) -> Result<Call, AmfError> {
    let mut values = amf::values(body)?.into_iter();
    let Some(Value::Text(name)) = values.next() else { return Err(AmfError::Unknown) };
    let mut rest: Vec<Value> = values.collect();
    let transaction = match rest.first() {
        Some(Value::Number(number)) => *number,
        _ => 0.0,
    };
    let text = |value: &Value| value.text().map(str::to_owned);
    // Behind a null, which some leave away.
    let first_text = rest.iter().find_map(text).unwrap_or_default();
    let command = match name.as_str() {
        "connect" => {
            let object = rest.iter_mut().find(|value| matches!(value, Value::Fields(_)));
            let object = object.map_or(Value::Other, |object| std::mem::replace(object, Value::Other));
            let of = |name| object.field(name).and_then(text).unwrap_or_default();
            Command::Connect { application: of("app"), url: of("tcUrl") }
        }
        "createStream" => Command::CreateStream,
        "publish" => Command::Publish { name: first_text },
        "play" | "play2" => Command::Play,
        "deleteStream" | "closeStream" | "close" => Command::End,
        "FCPublish" => Command::Announce { name: first_text },
        _ => Command::Other,
    };
    Ok(Call { transaction, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"\0\x3f\xf0\0\0\0\0\0\0";

    fn call(parts: &[&[u8]]) -> Result<Call, AmfError> {
        read(&parts.concat())
    }

    #[test]
    fn publishing_needs_a_name_at_most() {
        let publish = b"\x02\0\x07publish";
        let named = |name: &str| Command::Publish { name: name.to_owned() };
        let table: [(&[&[u8]], &str); 6] = [
            (&[publish, ONE, b"\x05\x02\0\x02s1\x02\0\x04live"], "s1"),
            // Without a type, without a null, without a transaction, with an empty name, without one.
            (&[publish, ONE, b"\x05\x02\0\x02s1"], "s1"),
            (&[publish, ONE, b"\x02\0\x02s1"], "s1"),
            (&[publish, b"\x05\x02\0\x02s1"], "s1"),
            (&[publish, ONE, b"\x05\x02\0\0\x02\0\x04live"], ""),
            (&[publish, ONE], ""),
        ];
        for (parts, name) in table {
            assert_eq!(call(parts).unwrap().command, named(name), "{parts:x?}");
        }
    }

    #[test]
    fn an_application_is_found_in_any_kind_of_object() {
        let fields = b"\0\x03app\x02\0\x04live\0\x05tcUrl\x02\0\x06rtmp:x\0\0\x09";
        let wanted = Command::Connect { application: "live".to_owned(), url: "rtmp:x".to_owned() };
        for begin in [&b"\x03"[..], b"\x08\0\0\0\x02", b"\x08\0\0\0\0", b"\x10\0\x01C"] {
            let call = call(&[b"\x02\0\x07connect", ONE, begin, fields]).unwrap();
            assert_eq!((call.transaction, &call.command), (1.0, &wanted), "{begin:x?}");
        }
        let nothing = Command::Connect { application: String::new(), url: String::new() };
        assert_eq!(call(&[b"\x02\0\x07connect", ONE]).unwrap().command, nothing);
    }

    #[test]
    fn other_commands_are_told_apart() {
        for (name, command) in [
            ("createStream", Command::CreateStream),
            ("play2", Command::Play),
            ("deleteStream", Command::End),
            ("FCPublish", Command::Announce { name: String::new() }),
            ("_checkbw", Command::Other),
        ] {
            let marker = [2, 0, name.len() as u8];
            assert_eq!(call(&[&marker, name.as_bytes(), ONE]).unwrap().command, command);
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert!(read(b"").is_err() && read(ONE).is_err());
        assert_eq!(read(b"\x02\0\x01x\x08\xff\xff\xff\xff"), Err(AmfError::Cut));
    }
}
