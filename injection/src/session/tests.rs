use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn new(json: &str) -> NewSession {
    serde_json::from_str(json).unwrap()
}

fn other() -> Taken {
    Taken { id: "s0".to_owned(), same_tree: true, room: Some(1234), ssrcs: [1111, 2222].map(Ssrc).to_vec() }
}

/// 1, 2, 3 …
fn counter() -> impl FnMut() -> u32 {
    let mut last = 0;
    move || {
        last += 1;
        last
    }
}

#[test]
fn what_is_given_is_taken() {
    let new = new(r#"{"sessionId":"s1","roomId":"77","audioSsrc":7777,"videoSsrc":8888,
            "recipients":[{"host":"10.0.0.7","audioPort":5002,"videoPort":5004}]}"#);
    let session = decide(new, &[other()], || unreachable!("nothing is allotted"), 9).unwrap();
    assert_eq!((session.room, session.ssrcs, session.created), (77, [7777, 8888].map(Ssrc).into(), 9));
    assert_eq!(session.recipients[0].host, "10.0.0.7");
}

#[test]
fn what_is_missing_is_allotted_and_not_what_others_have() {
    let taken =
        Taken { id: "s0".to_owned(), same_tree: true, room: Some(1), ssrcs: [2, 3].map(Ssrc).to_vec() };
    let session = decide(new(r#"{"sessionId":"s1","videoSsrc":4}"#), &[taken], counter(), 0).unwrap();
    assert_eq!((session.room, session.ssrcs), (2, [5, 4].map(Ssrc).into()));
}

#[test]
fn bad_input_and_duplicates_are_refused_in_words() {
    let table = [
        (r#"{}"#, false, "sessionId is missing"),
        (r#"{"sessionId":""}"#, false, "sessionId must be"),
        (r#"{"sessionId":"a b"}"#, false, "sessionId must be"),
        (r#"{"sessionId":".."}"#, false, "sessionId must be"),
        (r#"{"sessionId":"s1","audioSsrc":0}"#, false, "audioSsrc must be"),
        (r#"{"sessionId":"s1","videoSsrc":4294967296}"#, false, "videoSsrc must be"),
        (r#"{"sessionId":"s1","audioSsrc":5,"videoSsrc":5}"#, false, "must differ"),
        (r#"{"sessionId":"s1","roomId":0}"#, false, "roomId must be"),
        (r#"{"sessionId":"s1","roomId":9007199254740992}"#, false, "roomId must be"),
        (
            r#"{"sessionId":"s1","recipients":[{"host":"","audioPort":1,"videoPort":2}]}"#,
            false,
            "no host name",
        ),
        (r#"{"sessionId":"s1","recipients":[{"host":"a","audioPort":0,"videoPort":2}]}"#, false, "port 0"),
        (
            r#"{"sessionId":"s1","recipients":[{"host":"0.0.0.0","audioPort":1,"videoPort":2}]}"#,
            false,
            "nobody's address",
        ),
        (
            r#"{"sessionId":"s1","recipients":[{"host":"::ffff:224.0.0.5","audioPort":1,"videoPort":2}]}"#,
            false,
            "multicast",
        ),
        (
            r#"{"sessionId":"s1","recipients":[{"host":"255.255.255.255","audioPort":1,"videoPort":2}]}"#,
            false,
            "broadcast",
        ),
        (r#"{"sessionId":"s0"}"#, true, "session s0 exists"),
        (r#"{"sessionId":"s1","audioSsrc":1111}"#, true, "SSRC 1111 belongs to session s0"),
        (r#"{"sessionId":"s1","videoSsrc":1111}"#, true, "SSRC 1111 belongs to session s0"),
        (r#"{"sessionId":"s1","roomId":1234}"#, true, "room 1234 belongs to session s0"),
    ];
    for (json, exists, words) in table {
        let refusal = decide(new(json), &[other()], counter(), 0).unwrap_err();
        assert_eq!(refusal.is_conflict(), exists, "{json}: {refusal}");
        assert!(refusal.to_string().contains(words), "{json}: {refusal}");
    }
}

#[test]
fn json_that_is_not_a_new_is_refused() {
    for json in [
        r#"{"sessionId":7}"#,
        r#"{"sessionId":"s1","audioSsrc":"many"}"#,
        r#"{"sessionId":"s1","audioSsrc":1.5}"#,
        r#"{"sessionId":"s1","audioSsrc":-1}"#,
        r#"{"sessionId":"s1","recipients":"all"}"#,
        r#"{"sessionId":"s1","recipients":[{"host":"a"}]}"#,
    ] {
        assert!(serde_json::from_str::<NewSession>(json).is_err(), "{json}");
    }
}

#[test]
fn another_tree_has_ssrcs_and_rooms_of_its_own_but_not_names() {
    let elsewhere = Taken { same_tree: false, ..other() };
    let same = new(r#"{"sessionId":"s1","roomId":1234,"audioSsrc":1111,"videoSsrc":2222}"#);
    assert!(decide(same, std::slice::from_ref(&elsewhere), counter(), 0).is_ok());
    assert!(decide(new(r#"{"sessionId":"s0"}"#), &[elsewhere], counter(), 0).is_err());
}

#[test]
fn a_hash_that_is_not_whole_is_refused_by_name() {
    let session = decide(new(r#"{"sessionId":"s1"}"#), &[], counter(), 0).unwrap();
    let fields = |without: &str| -> BTreeMap<String, String> {
        let fields = session.fields("injection-1", "tree-1", true).into_iter();
        fields.filter(|(name, _)| *name != without).map(|(name, value)| (name.to_owned(), value)).collect()
    };
    for name in ["roomId", "audioSsrc", "videoSsrc"] {
        let error = Session::of("s1", &fields(name)).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    assert!(Session::of("s1", &fields("recipients")).is_ok());
    // No publisher could be told where it is.
    for name in ["s/1", "s 1", "..", ""] {
        assert!(Session::of(name, &fields("")).is_err_and(|why| why.contains("part of addresses")), "{name}");
    }
}

proptest! {
    #[test]
    fn no_two_sessions_of_a_tree_share_anything(seeds in proptest::collection::vec(0_u32..40, 200)) {
        let mut taken: Vec<Taken> = Vec::new();
        let mut seeds = seeds.into_iter().chain(41..);
        for n in 0..12 {
            let new = NewSession { session_id: Some(format!("s{n}")), ..NewSession::default() };
            let session = decide(new, &taken, || seeds.next().unwrap(), 0).unwrap();
            taken.push(session.taken());
        }
        let ssrcs: BTreeSet<Ssrc> = taken.iter().flat_map(|taken| taken.ssrcs.clone()).collect();
        let rooms: BTreeSet<_> = taken.iter().map(|taken| taken.room).collect();
        prop_assert_eq!((ssrcs.len(), rooms.len()), (24, 12));
        prop_assert!(!ssrcs.contains(&Ssrc(0)));
    }

    #[test]
    fn what_is_written_is_read_back(
        room in 1..=LARGEST_ROOM, audio in 1..u32::MAX, ports in (1..u16::MAX, 1..u16::MAX), host in "[a-z0-9.:-]{1,20}",
        codec in proptest::option::of("vp8|h264"),
    ) {
        let recipient = Recipient { host, audio_port: ports.0, video_port: ports.1 };
        let session = Session {
            id: "s1".to_owned(), room, ssrcs: [audio, audio + 1].map(Ssrc).into(), recipients: vec![recipient], codec,
            created: 1, updated: 2,
        };
        let fields = session.fields("i", "t", true).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        prop_assert_eq!(Session::of("s1", &fields).unwrap(), session);
        // By whoever writes records himself: Janus would draw a number for it.
        let mut none: BTreeMap<String, String> = fields;
        none.insert("roomId".to_owned(), "0".to_owned());
        prop_assert!(Session::of("s1", &none).is_err_and(|why| why.contains("roomId")));
    }
}
