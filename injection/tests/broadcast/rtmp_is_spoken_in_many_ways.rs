use std::time::Duration;

use serde_json::json;

use crate::common::handmade::{
    AUDIO, BASELINE, COMMAND, DATA, Encoder, Tag, VIDEO, Wire, again, chunks, field, message, number,
    recording, text,
};
use crate::common::{Scene, rtmp, until_within};

/// A busy machine takes some seconds for a publication.
const LATE: Duration = Duration::from_secs(30);

/// How an encoder comes to its publication.
type Asks<'a> = &'a dyn Fn(&mut Wire, &str);

/// Cases A4 and A6 of the field: Enhanced RTMP, addresses cut anywhere, metadata of any kind, commands by AMF3, all at once. Whoever
/// says it publishes H264 and AAC.
#[test]
fn test() {
    let scene = Scene::with("rtmp-ways", &[rtmp::PORT, ("WHIP_TOKEN", "T")]);
    let tags = again(&recording(2, BASELINE, &[]), 60);
    let asks: Asks = &|wire, name| wire.publishes("live", &format!("{name}?token=T"));
    let key: Asks = &|wire, name| wire.publishes(&format!("live/{name}?token=T"), "");
    let token: Asks = &|wire, name| wire.publishes("live?token=T", name);
    let instance: Asks = &|wire, name| wire.publishes("live/_definst_", &format!("{name}?token=T"));
    let at_once: Asks = &|wire, name| at_once(wire, name, &tags[..40]);
    let ways: [(&str, Asks, Vec<Tag>); 10] = [
        ("enhanced", asks, tags.iter().map(|tag| enhanced(tag, false)).collect()),
        ("enhanced-without-offset", asks, tags.iter().map(|tag| enhanced(tag, true)).collect()),
        ("key-in-application", key, tags.clone()),
        ("token-in-application", token, tags.clone()),
        ("default-instance", instance, tags.clone()),
        ("metadata-of-any-kind", asks, strange_metadata().into_iter().chain(tags.clone()).collect()),
        ("without-metadata", asks, tags.iter().filter(|tag| tag.kind != DATA).cloned().collect()),
        ("amf3", &by_amf3, tags.clone()),
        ("aggregates", asks, aggregates(&tags)),
        ("all-at-once", at_once, tags[40..].to_vec()),
    ];
    for some in ways.chunks(4) {
        let encoders: Vec<(&str, Encoder)> = some
            .iter()
            .map(|(name, asks, tags)| {
                let wish = json!({ "sessionId": name });
                assert_eq!(scene.ask("POST", "/session/create", &wish.to_string()).0, 201);
                let mut wire = Wire::greeted(scene.lab);
                asks(&mut wire, name);
                (*name, Encoder::on(wire, tags.clone()))
            })
            .collect();
        for (name, encoder) in &encoders {
            until_within(LATE, &format!("{name} publishes"), || {
                encoder.goes_on();
                scene.session(name)["publisher"]["state"] == "publishing"
            });
            let mut codecs = scene.session(name)["publisher"]["codecs"].as_array().unwrap().clone();
            codecs.sort_by_key(ToString::to_string);
            assert_eq!(codecs, ["h264", "opus"], "{name}");
        }
    }
}

/// By the four letters of Enhanced RTMP.
fn enhanced(tag: &Tag, without_offset: bool) -> Tag {
    let body = match (tag.kind, tag.is_config()) {
        (VIDEO, true) => [b"\x90avc1", &tag.body[5..]].concat(),
        (VIDEO, false) => {
            let frame = tag.body[0] & 0xf0 | 0x80;
            match without_offset {
                true => [&[frame | 3][..], b"avc1", &tag.body[5..]].concat(),
                false => [&[frame | 1][..], b"avc1", &tag.body[2..]].concat(),
            }
        }
        (AUDIO, config) => [&[if config { 0x90 } else { 0x91 }][..], b"mp4a", &tag.body[2..]].concat(),
        _ => tag.body.clone(),
    };
    Tag { body, ..tag.clone() }
}

fn strange_metadata() -> Vec<Tag> {
    let xmp =
        [text("onXMPData"), vec![3], field("liveXML", [&b"\x0c\0\0\x50\0"[..], &[b'x'; 0x5000]].concat())]
            .concat();
    let bodies = [
        xmp,
        (0..450).map(|n| (n * 7 % 256) as u8).collect(),
        vec![3; 450],
        vec![10; 450],
        [text("@setDataFrame"), text("onMetaData")].concat(),
        [text("onTextData"), vec![3; 70_000]].concat(),
        Vec::new(),
    ];
    bodies.map(|body| Tag { kind: DATA, timestamp: 0, body }).to_vec()
}

/// Encoders that say they speak AMF3 put a byte in front, which says that AMF0 follows.
fn by_amf3(wire: &mut Wire, name: &str) {
    let object =
        [field("app", text("live")), field("objectEncoding", number(3.0)), b"\0\0\x09".to_vec()].concat();
    wire.says(&message(3, COMMAND, 0, &[text("connect"), number(1.0), vec![3], object].concat()));
    wire.hears("NetConnection.Connect.Success");
    for (transaction, command) in [(2.0, "releaseStream"), (3.0, "FCPublish")] {
        let body = [vec![0], text(command), number(transaction), vec![5], text(name)].concat();
        wire.says(&message(3, 17, 0, &body));
    }
    wire.hears("onFCPublish");
    wire.says(&message(3, 17, 0, &[vec![0], text("createStream"), number(4.0), vec![5]].concat()));
    let key = format!("{name}?token=T");
    let publish = [vec![0], text("publish"), number(5.0), vec![5], text(&key), text("live")].concat();
    wire.says(&message(3, 17, 0, &publish));
    wire.hears("NetStream.Publish.Start");
    wire.says(&message(2, 1, 0, &65_536_u32.to_be_bytes()));
}

/// Ten messages in one.
fn aggregates(tags: &[Tag]) -> Vec<Tag> {
    let mut all: Vec<Tag> = tags.iter().take(3).cloned().collect();
    for ten in tags[3..].chunks(10) {
        let mut body = Vec::new();
        for tag in ten {
            body.push(tag.kind);
            body.extend_from_slice(&(tag.body.len() as u32).to_be_bytes()[1..]);
            body.extend_from_slice(&tag.timestamp.to_be_bytes()[1..]);
            body.extend_from_slice(&[0; 4]);
            body.extend_from_slice(&tag.body);
            body.extend_from_slice(&(tag.body.len() as u32 + 11).to_be_bytes());
        }
        all.push(Tag { kind: 22, timestamp: ten[0].timestamp, body });
        // Paced by an empty picture for each of its own.
        let pictures = ten.iter().filter(|tag| tag.kind == VIDEO).count();
        all.extend(std::iter::repeat_n(
            Tag { kind: VIDEO, timestamp: ten[0].timestamp, body: Vec::new() },
            pictures,
        ));
    }
    all
}

/// Waits for no answer at all.
fn at_once(wire: &mut Wire, name: &str, tags: &[Tag]) {
    let mut all = crate::common::handmade::asking("live", &format!("{name}?token=T"));
    all.extend(message(2, 1, 0, &65_536_u32.to_be_bytes()));
    for tag in tags {
        all.extend(chunks(65_536, if tag.kind == VIDEO { 6 } else { 4 }, tag.kind, tag.timestamp, &tag.body));
    }
    wire.says(&all);
}
