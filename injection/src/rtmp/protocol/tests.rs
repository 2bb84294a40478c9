use proptest::prelude::*;
use scuffle_amf0::encoder::Amf0Encoder;
use scuffle_amf0::{Amf0Object, Amf0Value};
use scuffle_rtmp::chunk::Chunk;

use super::*;

/// An encoder: its handshake, and chunks as it would write them.
struct Encoder {
    protocol: Protocol,
    writer: ChunkWriter,
}

impl Encoder {
    fn greeted() -> Encoder {
        let mut protocol = Protocol::default();
        let mut answer = Vec::new();
        let hello = [&[3][..], &[0; 2 * RTMP_HANDSHAKE_SIZE]].concat();
        // However it is cut.
        for piece in hello.chunks(1000) {
            assert_eq!(protocol.take(piece, &mut answer).unwrap(), []);
        }
        assert!(answer.len() > 1 + 2 * RTMP_HANDSHAKE_SIZE, "{}", answer.len());
        Encoder { protocol, writer: ChunkWriter::default() }
    }

    fn publishing() -> Encoder {
        let mut encoder = Encoder::greeted();
        encoder.sends(MessageType::CommandAMF0, &connect()).unwrap();
        encoder.sends(MessageType::CommandAMF0, &publish("s1")).unwrap();
        encoder.protocol.accept(&mut Vec::new()).unwrap();
        encoder
    }

    fn sends(&mut self, kind: MessageType, body: &[u8]) -> Result<(Vec<Event>, String), ProtocolError> {
        let mut bytes = Vec::new();
        let chunk = Chunk::new(4, 1234, kind, STREAM, Bytes::copy_from_slice(body));
        self.writer.write_chunk(&mut bytes, chunk).unwrap();
        let mut answer = Vec::new();
        let events = self.protocol.take(&bytes, &mut answer)?;
        Ok((events, String::from_utf8_lossy(&answer).into_owned()))
    }
}

fn command(name: &str, write: impl FnOnce(&mut Amf0Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut body = Vec::new();
    let mut encoder = Amf0Encoder::new(&mut body);
    encoder.encode_string(name).unwrap();
    encoder.encode_number(1.0).unwrap();
    write(&mut encoder);
    body
}

fn connect() -> Vec<u8> {
    let fields: Amf0Object = [("app".into(), Amf0Value::String("live".into()))].into_iter().collect();
    command("connect", |encoder| encoder.encode_object(&fields).unwrap())
}

fn publish(name: &str) -> Vec<u8> {
    command("publish", |encoder| {
        encoder.encode_null().unwrap();
        encoder.encode_string(name).unwrap();
        encoder.encode_string("live").unwrap();
    })
}

#[test]
fn an_encoder_is_led_to_its_publication() {
    let mut encoder = Encoder::greeted();
    let (events, answer) = encoder.sends(MessageType::CommandAMF0, &connect()).unwrap();
    assert!(events.is_empty() && answer.contains("NetConnection.Connect.Success"), "{answer}");
    let create = command("createStream", |encoder| encoder.encode_null().unwrap());
    assert!(encoder.sends(MessageType::CommandAMF0, &create).unwrap().1.contains("_result"));
    let (events, answer) = encoder.sends(MessageType::CommandAMF0, &publish("s1?token=x")).unwrap();
    let address =
        Address { application: "live".to_owned(), url: String::new(), name: "s1?token=x".to_owned() };
    let wanted = Event::Publish(address);
    assert_eq!((events, answer.as_str()), (vec![wanted], ""), "nothing is answered before the decision");
    // Media before the decision wait for it.
    assert_eq!(encoder.sends(MessageType::Audio, b"early").unwrap().0, []);
    let mut answer = Vec::new();
    encoder.protocol.accept(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("NetStream.Publish.Start"));
    let by_stream_1 = b"\x14\x01\0\0\0\x02\0\x08onStatus";
    assert!(answer.windows(by_stream_1.len()).any(|bytes| bytes == by_stream_1), "{answer:x?}");
    let early = encoder.protocol.take(&[], &mut Vec::new()).unwrap();
    assert_eq!(early, [Event::Audio { timestamp: 1234, body: b"early"[..].into() }]);
    let (events, _) = encoder.sends(MessageType::Video, &[7; 300]).unwrap();
    assert_eq!(events, [Event::Video { timestamp: 1234, body: vec![7; 300].into() }]);
    let (events, _) = encoder.sends(MessageType::Audio, b"sound").unwrap();
    assert_eq!(events, [Event::Audio { timestamp: 1234, body: b"sound"[..].into() }]);
    let delete = command("deleteStream", |encoder| {
        encoder.encode_null().unwrap();
        encoder.encode_number(1.0).unwrap();
    });
    assert_eq!(encoder.sends(MessageType::CommandAMF0, &delete).unwrap().0, [Event::Finished]);
}

#[test]
fn a_refusal_is_said_in_words() {
    let mut encoder = Encoder::greeted();
    encoder.sends(MessageType::CommandAMF0, &connect()).unwrap();
    encoder.sends(MessageType::CommandAMF0, &publish("s1")).unwrap();
    let mut answer = Vec::new();
    encoder.protocol.refuse("NetStream.Publish.BadName", "somebody is there", &mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    for words in ["onStatus", "error", "NetStream.Publish.BadName", "somebody is there"] {
        assert!(answer.contains(words), "{answer}");
    }
}

/// `onMetaData` with these fields, as an ECMA array or an object.
fn metadata(begin: &[u8]) -> Vec<u8> {
    let bitrate = [&b"\0\x0dvideodatarate\0"[..], &2500.7_f64.to_be_bytes()].concat();
    [b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData", begin, &bitrate, b"\0\0\x09"].concat()
}

#[test]
fn the_bitrate_is_read_from_the_metadata() {
    for (kind, before) in
        [(MessageType::DataAMF0, &b""[..]), (MessageType::DataAMF3, b"\0"), (MessageType::DataAMF3, b"")]
    {
        for begin in [&b"\x08\0\0\0\x01"[..], b"\x03"] {
            let body = [before, &metadata(begin)].concat();
            let events = Encoder::publishing().sends(kind, &body).unwrap().0;
            let Event::Metadata(read) = &events[0] else { panic!("{events:?}") };
            assert_eq!(read.kbits, Some(2500));
        }
    }
}

/// Case A6 of the field: nothing in the metadata ends a publication.
#[test]
fn metadata_that_cannot_be_read_is_ignored() {
    let xmp =
        [&b"\x02\0\x09onXMPData\x03\0\x0bliveXML\x0c\0\0\x50\0"[..], &[b'x'; 0x5000], b"\0\0\x09"].concat();
    let noise: Vec<u8> = (0..450).map(|n| [3, 8, 10, 0x11, 255][n % 5]).collect();
    let bodies = [
        xmp,
        noise,
        vec![3; 450],
        vec![10; 450],
        vec![2; 300_000],
        b"\x08\xff\xff\xff\xff".to_vec(),
        Vec::new(),
    ];
    for body in bodies {
        for kind in [MessageType::DataAMF0, MessageType::DataAMF3] {
            let mut encoder = Encoder::publishing();
            assert_eq!(encoder.sends(kind, &body).unwrap().0, []);
            assert_eq!(encoder.sends(MessageType::Audio, b"x").unwrap().0.len(), 1, "it goes on");
        }
    }
}

/// Case A1 of the field: who has not said what it publishes, and claims what is not there, is sent away.
#[test]
fn what_claims_more_than_it_has_ends_a_stranger() {
    for claim in [&b"\x08\xff\xff\xff\xff"[..], b"\x0a\xff\xff\xff\xff", b"\x0c\xff\xff\xff\xff"] {
        let nested = [b"\x02\0\x0aonMetaData\x03\0\x01a", claim].concat();
        let command = [b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app", claim].concat();
        let (data, of_data) = (MessageType::DataAMF0, MessageType::DataAMF3);
        let (asks, of_asks) = (MessageType::CommandAMF0, MessageType::CommandAMF3);
        for (kind, body) in [(data, claim), (data, &nested), (asks, claim), (asks, &command)] {
            assert!(Encoder::greeted().sends(kind, body).is_err(), "{kind:?} {body:x?}");
        }
        for (kind, body) in [(of_data, claim), (of_data, &nested), (of_asks, claim), (of_asks, &command)] {
            for before in [&b"\0"[..], b""] {
                assert!(
                    Encoder::greeted().sends(kind, &[before, body].concat()).is_err(),
                    "{kind:?} {body:x?}"
                );
            }
        }
    }
}

#[test]
fn what_no_publisher_says_ends_it() {
    let play = command("play", |encoder| {
        encoder.encode_null().unwrap();
        encoder.encode_string("s1").unwrap();
    });
    for (kind, body, words) in [
        (MessageType::CommandAMF0, play, "only publishing"),
        (MessageType::CommandAMF0, publish("s1"), "before it connects"),
        (MessageType::CommandAMF0, vec![2; LONGEST_GREETING + 1], "too long"),
        (MessageType::Video, vec![2; LONGEST_GREETING + 1], "too long"),
        (MessageType::SetChunkSize, vec![0, 0, 0, 0], "a chunk size of 0"),
        (MessageType::SetChunkSize, vec![0], "too short"),
    ] {
        let why = Encoder::greeted().sends(kind, &body).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
    let twice = Encoder::publishing().sends(MessageType::CommandAMF0, &publish("s2"));
    assert!(twice.unwrap_err().to_string().contains("twice"));
}

#[test]
fn other_protocols_are_told_from_their_first_byte() {
    for (first, words) in
        [(b"\x16\x03\x01", "rtmps"), (b"GET", "does not speak RTMP"), (b"\x06\0\0", "rtmpe")]
    {
        let why = Protocol::default().take(first, &mut Vec::new()).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
    assert!(Protocol::default().take(&[3], &mut Vec::new()).is_ok());
}

/// An encoder that waits for no answer sends all of it at once.
#[test]
fn nothing_is_lost_of_what_comes_at_once() {
    let mut encoder = Encoder::greeted();
    let mut bytes = Vec::new();
    for (kind, body) in [
        (MessageType::CommandAMF0, connect()),
        (MessageType::CommandAMF0, publish("s1")),
        (MessageType::DataAMF0, metadata(b"\x03")),
        (MessageType::Video, b"picture".to_vec()),
    ] {
        encoder.writer.write_chunk(&mut bytes, Chunk::new(4, 0, kind, STREAM, body.into())).unwrap();
    }
    let events = encoder.protocol.take(&bytes, &mut Vec::new()).unwrap();
    assert!(matches!(&events[..], [Event::Publish(_)]), "{events:?}");
    encoder.protocol.accept(&mut Vec::new()).unwrap();
    let events = encoder.protocol.take(&[], &mut Vec::new()).unwrap();
    assert!(matches!(&events[..], [Event::Metadata(_), Event::Video { .. }]), "{events:?}");
}

#[test]
fn whoever_waits_for_an_answer_gets_one() {
    let mut encoder = Encoder::greeted();
    for (name, words) in [("_checkbw", "_result"), ("releaseStream", "_result"), ("FCPublish", "onFCPublish")]
    {
        let asked = command(name, |encoder| encoder.encode_null().unwrap());
        let answer = encoder.sends(MessageType::CommandAMF0, &asked).unwrap().1;
        assert!(answer.contains(words), "{name}: {answer}");
    }
    let mut answer = Vec::new();
    let ping = Chunk::new(2, 0, MessageType::UserControlEvent, 0, Bytes::from_static(&[0, 6, 1, 2, 3, 4]));
    let mut bytes = Vec::new();
    encoder.writer.write_chunk(&mut bytes, ping).unwrap();
    encoder.protocol.take(&bytes, &mut answer).unwrap();
    assert!(answer.ends_with(&[0, 7, 1, 2, 3, 4]), "{answer:x?}");
}

#[test]
fn media_in_an_aggregate_are_media() {
    let body = b"\x08\0\0\x01\0\0\x05\0\0\0\0s\0\0\0\x0c\x09\0\0\x01\0\0\x07\0\0\0\0p\0\0\0\x0c";
    let events = Encoder::publishing().sends(MessageType::Aggregate, body).unwrap().0;
    let media = [
        Event::Audio { timestamp: 1234, body: Bytes::from_static(b"s") },
        Event::Video { timestamp: 1236, body: Bytes::from_static(b"p") },
    ];
    assert_eq!(events, media);
    assert_eq!(Encoder::greeted().sends(MessageType::Aggregate, body).unwrap().0, []);
}

/// AMF is read by recursion: whatever is nested must fit into the stack of a worker, 2 MiB as here.
#[test]
fn deep_nesting_harms_nobody() {
    // An object with a field without a name, and so on; arrays of one element each.
    for level in [&[3, 0, 0][..], &[10, 0, 0, 0, 1], &[8, 0, 0, 0, 1, 0, 0]] {
        let whole = [command("x", |_| {}), level.repeat(3000 / level.len())].concat();
        assert!(Encoder::greeted().sends(MessageType::CommandAMF0, &whole).is_err());
        let nested = level.repeat(LONGEST_AMF / level.len());
        assert_eq!(Encoder::publishing().sends(MessageType::DataAMF0, &nested).unwrap().0, []);
    }
}

proptest! {
    #[test]
    fn noise_harms_nobody(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut encoder = Encoder::publishing();
        for piece in &pieces {
            if encoder.protocol.take(piece, &mut Vec::new()).is_err() {
                break;
            }
        }
        let mut stranger = Protocol::default();
        let mut noise = pieces.concat();
        noise.resize(4000, 3);
        let _ = stranger.take(&noise, &mut Vec::new());
    }

    #[test]
    fn noise_in_messages_harms_nobody(kind in 0_u8..24, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Encoder::greeted().sends(MessageType(kind), &body);
        let _ = Encoder::publishing().sends(MessageType(kind), &body);
    }
}
