use std::fs;
use std::time::Duration;

use crate::common::handmade::{COMMAND, DATA, Wire, asking, message, text};
use crate::common::{Receiver, Scene, rtmp, until};

/// Case A1 of the field and its like: without a token, without connecting. Whoever says it is sent away; whoever publishes
/// beside it loses nothing, and the node takes no room for what it was promised.
#[test]
fn test() {
    let scene = Scene::with("rtmp-str", &[rtmp::PORT]);
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let encoder = scene.encodes("s1", "s1", rtmp::BASELINE);
    let before = memory(scene.injection.pid());
    // One that goes no farther than half a handshake.
    let mut slow = Wire::dial(scene.lab);
    slow.says(&[3; 700]);

    let claims: [&[u8]; 5] = [
        b"\x08\xff\xff\xff\xff",
        b"\x0a\xff\xff\xff\xff",
        b"\x0c\xff\xff\xff\xff",
        b"\x08\xff\xff\xff\xff\0\x01a\x0a\xff\xff\xff\xff",
        b"\x10\xff\xff",
    ];
    let command = [text("connect"), b"\0\x3f\xf0\0\0\0\0\0\0\x03\0\x01a".to_vec()].concat();
    let data = [text("@setDataFrame"), text("onMetaData"), b"\x08\0\0\0\x01\0\x01a".to_vec()].concat();
    for claim in claims {
        for (kind, in_front) in [(DATA, &[][..]), (COMMAND, &[]), (COMMAND, &command), (DATA, &data)] {
            // By AMF3, too, with and without the byte that says that it is none.
            for (kind, switch) in [(kind, &[][..]), (kind - 3, &[0]), (kind - 3, &[])] {
                let mut stranger = Wire::greeted(scene.lab);
                stranger.says(&message(3, kind, 0, &[switch, in_front, claim].concat()));
                assert!(stranger.is_closed_within(Duration::from_secs(2)), "{kind} {in_front:x?} {claim:x?}");
            }
        }
    }
    let nested =
        |level: &[u8]| message(3, COMMAND, 0, &[text("x"), level.repeat(12_000 / level.len())].concat());
    let long =
        [&message(2, 1, 0, &[0x7f, 0xff, 0xff, 0xff])[..], &[6, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0]];
    let streams = (3..64_u8).chain(3..64).flat_map(|id| [0, id, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0]);
    let begun: Vec<u8> = streams.collect();
    let hostile = [
        ("objects in objects", nested(b"\x03\0\x01a")),
        ("lists in lists", nested(b"\x0a\0\0\0\x01")),
        ("a chunk of 16 MB", long.concat()),
        ("a chunk size of 0", message(2, 1, 0, &[0; 4])),
        ("a header that never came", vec![0xc5]),
        ("chunks without end", [begun, vec![7; 20_000]].concat()),
        ("another version", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in hostile {
        let mut stranger =
            if what == "another version" { Wire::dial(scene.lab) } else { Wire::greeted(scene.lab) };
        let _ = stranger.tries(&bytes);
        assert!(stranger.is_closed_within(Duration::from_secs(2)), "{what}");
    }

    // Nothing in the metadata of one that publishes ends it, either: its media begin to be waited for.
    scene.ask("POST", "/session/create", r#"{"sessionId":"s2"}"#);
    let mut publisher = Wire::greeted(scene.lab);
    publisher.says(&asking("live", "s2"));
    publisher.hears("NetStream.Publish.Start");
    for claim in claims {
        publisher.says(&message(4, DATA, 0, &[&data[..], claim].concat()));
    }
    assert!(!publisher.is_closed_within(Duration::from_secs(1)));
    drop(publisher);

    assert!(slow.is_closed_within(Duration::from_secs(11)), "it has 10 s to say what it publishes");
    let grown = memory(scene.injection.pid()).saturating_sub(before);
    assert!(grown < 64 << 10, "the node has grown by {grown} KiB");
    let count = receiver.count();
    until("media go on", || (0..2).all(|kind| receiver.count()[kind] > count[kind] + 25));
    assert_eq!(encoder.status().unwrap(), None, "{}", encoder.log());
    assert_eq!(scene.session("s1")["publications"], 1);
    assert!(scene.injection.log().matches(" WARN ").count() < 60, "a log is not for strangers to fill");
}

/// Resident, in KiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
