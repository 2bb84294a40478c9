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
    let wanted = Event::Publish { application: "live".to_owned(), name: "s1?token=x".to_owned() };
    assert_eq!((events, answer.as_str()), (vec![wanted], ""), "nothing is answered before the decision");
    // Media before the decision is nobody's.
    assert_eq!(encoder.sends(MessageType::Audio, b"early").unwrap().0, []);
    let mut answer = Vec::new();
    encoder.protocol.accept(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("NetStream.Publish.Start"));
    let by_stream_1 = b"\x14\x01\0\0\0\x02\0\x08onStatus";
    assert!(answer.windows(by_stream_1.len()).any(|bytes| bytes == by_stream_1), "{answer:x?}");
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

#[test]
fn the_bitrate_is_read_from_the_metadata() {
    let fields: Amf0Object = [("videodatarate".into(), Amf0Value::Number(2500.7))].into_iter().collect();
    let mut body = Vec::new();
    let mut amf = Amf0Encoder::new(&mut body);
    for word in ["@setDataFrame", "onMetaData"] {
        amf.encode_string(word).unwrap();
    }
    amf.encode_object(&fields).unwrap();
    let mut encoder = Encoder::publishing();
    assert_eq!(encoder.sends(MessageType::DataAMF0, &body).unwrap().0, [Event::Bitrate(2500)]);
    assert_eq!(encoder.sends(MessageType::DataAMF0, &[9; 50]).unwrap().0, []);
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
        (MessageType::CommandAMF0, vec![2; LONGEST_AMF + 1], "too long"),
        (MessageType::SetChunkSize, vec![0, 0, 0, 0], "a chunk size of 0"),
        (MessageType::SetChunkSize, vec![0], "too short"),
    ] {
        let why = Encoder::greeted().sends(kind, &body).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
    let twice = Encoder::publishing().sends(MessageType::CommandAMF0, &publish("s2"));
    assert!(twice.unwrap_err().to_string().contains("twice"));
}

/// AMF is read by recursion: the deepest nesting that is let in must fit into the stack of a worker, 2 MiB as here.
#[test]
fn deep_nesting_harms_nobody() {
    // An object with a field without a name, and so on; arrays of one element each.
    for level in [&[3, 0, 0][..], &[10, 0, 0, 0, 1], &[8, 0, 0, 0, 1, 0, 0]] {
        let start = command("x", |_| {});
        for depth in [MOST_NESTED, LONGEST_AMF / level.len() - start.len()] {
            let nested = level.repeat(depth);
            let whole = [start.clone(), nested.clone()].concat();
            let refused = Encoder::greeted().sends(MessageType::CommandAMF0, &whole);
            assert!(refused.is_err());
            let _ = Encoder::publishing().sends(MessageType::DataAMF0, &nested);
        }
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
