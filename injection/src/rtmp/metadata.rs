//! What an encoder says of its media before it sends them (`onMetaData`), without I/O. It is used where it can be read, and nothing
//! depends on it.

use node::media::PerKind;

use super::amf::{self, Value};

/// What was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The video's bitrate, in kbit/s.
    pub kbits: Option<u32>,
    /// Which media there will be.
    pub announced: PerKind<bool>,
}

/// Largest bitrate that is believed, in kbit/s.
const MOST_KBITS: f64 = 1e6;

/// Reads the body of a data message. `None`: it is not about that, or cannot be read.
pub fn read(body: &[u8]) -> Option<Metadata> {
    let values = amf::values(body).ok()?;
    let about = values.iter().position(|value| value.text() == Some("onMetaData"))?;
    let fields = values[about + 1..].iter().find(|value| matches!(value, Value::Fields(_)))?;
    let kbits = fields.field("videodatarate").and_then(Value::number);
    let has = |flag: &str, codec: &str| match fields.field(flag) {
        Some(Value::Boolean(there)) => *there,
        _ => match fields.field(codec) {
            // 0 is a codec of long ago, and what some say for none.
            Some(Value::Number(codec)) => *codec != 0.0,
            Some(Value::Text(codec)) => !codec.is_empty(),
            _ => false,
        },
    };
    Some(Metadata {
        kbits: kbits.filter(|kbits| (1.0..=MOST_KBITS).contains(kbits)).map(|kbits| kbits as u32),
        announced: PerKind { audio: has("hasAudio", "audiocodecid"), video: has("hasVideo", "videocodecid") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &[u8]) -> Vec<u8> {
        [&[0, name.len() as u8][..], name.as_bytes(), value].concat()
    }

    fn number(value: f64) -> Vec<u8> {
        [&[0][..], &value.to_be_bytes()].concat()
    }

    fn message(begin: &[u8], fields: &[Vec<u8>]) -> Vec<u8> {
        [b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData", begin, &fields.concat(), b"\0\0\x09"].concat()
    }

    /// ffmpeg, OBS and GStreamer send an ECMA array, others an object.
    #[test]
    fn bitrate_and_media_are_read_from_arrays_and_objects() {
        let fields = [field("videodatarate", &number(2500.7)), field("audiocodecid", &number(10.0))];
        for begin in [&b"\x08\0\0\0\x02"[..], b"\x08\0\0\0\0", b"\x08\0\0\0\x63", b"\x03"] {
            let metadata = read(&message(begin, &fields)).unwrap();
            assert_eq!(metadata.kbits, Some(2500));
            assert_eq!(metadata.announced, PerKind { audio: true, video: false });
        }
        // Without the word in front.
        let bare = message(b"\x03", &fields)[16..].to_vec();
        assert_eq!(read(&bare).unwrap().kbits, Some(2500));
    }

    #[test]
    fn what_is_announced_may_be_said_in_several_ways() {
        let table = [
            (vec![field("hasVideo", b"\x01\x01"), field("hasAudio", b"\x01\x00")], [false, true]),
            (vec![field("videocodecid", b"\x02\0\x04avc1")], [false, true]),
            (vec![field("audiocodecid", &number(0.0)), field("videocodecid", b"\x02\0\0")], [false, false]),
            (vec![field("hasAudio", b"\x01\x00"), field("audiocodecid", &number(10.0))], [false, false]),
        ];
        for (fields, [audio, video]) in table {
            let metadata = read(&message(b"\x03", &fields)).unwrap();
            assert_eq!(metadata.announced, PerKind { audio, video }, "{fields:x?}");
        }
    }

    #[test]
    fn nothing_that_cannot_be_read_is_used() {
        for kbits in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let fields = [field("videodatarate", &number(kbits))];
            assert_eq!(read(&message(b"\x03", &fields)), Some(Metadata::default()), "{kbits}");
        }
        for nothing in [
            &b""[..],
            b"\x02\0\x09onXMPData\x03\0\0\x09",
            &[3; 450],
            &[8; 450],
            &[10; 450],
            b"\x02\0\x0aonMetaData",
        ] {
            assert_eq!(read(nothing), None, "{nothing:x?}");
        }
    }
}
