use node::http::wish::MOST_CANDIDATES;
use proptest::prelude::*;

use super::*;

fn offer(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n{media}")
}

const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\na=mid:a\r\na=rtcp-mux\r\n";
const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 AV1/90000\r\n\
    a=rtpmap:97 vp8/90000\r\na=mid:v\r\na=rtcp-mux\r\n";

/// Video with H264 in these kinds, by payload types from 100 on.
fn h264(kinds: &[&str]) -> String {
    let numbers =
        (100..).take(kinds.len()).map(|number: u8| number.to_string()).collect::<Vec<_>>().join(" ");
    let mut text = format!("m=video 9 UDP/TLS/RTP/SAVPF {numbers}\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n");
    for (number, kind) in (100..).zip(kinds) {
        text += &format!("a=rtpmap:{number} h264/90000\r\n");
        if !kind.is_empty() {
            text += &format!("a=fmtp:{number} {kind}\r\n");
        }
    }
    text
}

fn parsed(media: &str) -> Offer {
    Offer::parse(&offer(media)).unwrap_or_else(|why| panic!("{media}: {why}"))
}

#[test]
fn offers_that_can_be_carried_are_taken() {
    for (media, [audio, video]) in [
        (AUDIO.to_owned(), [true, false]),
        (VIDEO.to_owned(), [false, true]),
        (format!("{AUDIO}{VIDEO}a=sendonly\r\n"), [true, true]),
        // Names are in any case (RFC 8866 section 6.6).
        (AUDIO.replace("opus", "Opus"), [true, false]),
        (VIDEO.replace("vp8", "Vp8"), [false, true]),
        // GStreamer bundles like that.
        (AUDIO.replace("audio 9", "audio 0") + "a=bundle-only\r\n", [true, false]),
        // The first of two that will not do is no reason to refuse the second.
        (format!("{}{VIDEO}", VIDEO.replace("vp8", "VP9")), [false, true]),
        (format!("{VIDEO}a=inactive\r\n{AUDIO}"), [true, false]),
    ] {
        let read = parsed(&media);
        assert_eq!(
            (read.users.as_slice(), read.sends()),
            (&["abcd".to_owned()][..], PerKind { audio, video })
        );
    }
}

#[test]
fn others_are_refused_in_words() {
    let table = [
        ("garbage".to_owned(), "no SDP offer"),
        (String::new(), "no SDP offer"),
        // The parser's own assertion failed at that (found by the fuzz target `sdp_offer`).
        (offer(&format!("{AUDIO}noise\r\na=sendonly\r\n")), "'noise' is no line of one"),
        (offer(""), "neither audio nor video"),
        (offer(&format!("{AUDIO}a=recvonly\r\n")), "neither audio nor video"),
        (offer(&AUDIO.replace("audio 9", "audio 0")), "neither audio nor video"),
        (offer(&format!("a=inactive\r\n{AUDIO}")), "neither audio nor video"),
        (offer(AUDIO).replace("a=ice-ufrag:abcd\r\n", ""), "no ice-ufrag"),
    ];
    for (text, words) in table {
        let Err(OfferError::Malformed(why)) = Offer::parse(&text) else { panic!("{text} was taken") };
        assert!(why.contains(words), "{why}");
    }
    for (text, words) in [
        (AUDIO.replace("opus", "PCMU"), "audio must be opus; offered: PCMU"),
        (AUDIO.replace("48000", "16000"), "audio must be opus; offered: opus"),
        (VIDEO.replace("vp8", "VP9"), "video must be VP8 or H264; offered: AV1, VP9"),
        (
            h264(&["profile-level-id=64001f;packetization-mode=1", "profile-level-id=4d001f"]),
            "the offered H264 is of the High profile (64001f), which not every viewer decodes; set the encoder to the \
             baseline profile, or choose VP8",
        ),
    ] {
        assert_eq!(Offer::parse(&offer(&text)), Err(OfferError::NoCodec(words.to_owned())));
    }
}

#[test]
fn candidates_are_counted() {
    let with = |count: usize, media: &str| {
        let lines = (0..count).map(|n| format!("a=candidate:{n} 1 udp 1 10.0.0.1 {} typ host\r\n", n + 1));
        format!("{media}{}", lines.collect::<String>())
    };
    let too_many = Offer::parse(&offer(&with(MOST_CANDIDATES + 1, AUDIO)));
    assert!(too_many.is_err_and(|why| why.to_string().contains("more than 64 candidates")));
    // Both have the same: Janus gets them once.
    let group = "a=group:BUNDLE a v\r\n";
    let passed_on = |audio: usize, video: usize| {
        let both = parsed(&format!("{group}{}{}", with(audio, AUDIO), with(video, VIDEO)));
        both.for_janus()[0].matches("a=candidate:").count()
    };
    assert_eq!((passed_on(MOST_CANDIDATES, MOST_CANDIDATES), passed_on(40, 50)), (MOST_CANDIDATES, 50));
}

#[test]
fn janus_gets_one_medium_of_each_kind_in_its_own_words() {
    let audio = AUDIO.replace("opus", "Opus").replace("SAVPF 111", "SAVPF 96 111");
    let video = format!(
        "{}a=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:97 nack pli\r\na=rtcp-fb:* ccm fir\r\n",
        VIDEO.replace("96 97", "96 97 98")
    );
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:d\r\n";
    let said = parsed(&format!("a=group:BUNDLE a v\r\n{audio}{video}{VIDEO}{data}")).for_janus().remove(0);
    for line in [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        "a=rtpmap:111 opus/48000/2\r\n",
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\n",
        "a=rtpmap:97 VP8/90000\r\n",
        "a=rtcp-fb:97 nack pli\r\n",
        "a=rtcp-fb:* ccm fir\r\n",
        "m=application 0 ",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert!(!said.contains("a=rtcp-fb:96"), "{said}");
    assert_eq!((said.matches("a=sendonly").count(), said.matches("a=inactive").count()), (2, 1), "{said}");
}

#[test]
fn the_clients_order_of_codecs_counts() {
    let both = "m=video 9 UDP/TLS/RTP/SAVPF 100 97\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:97 VP8/90000\r\na=rtpmap:100 H264/90000\r\n\
                a=fmtp:100 profile-level-id=42e01f;packetization-mode=1\r\n";
    let chosen =
        |media: &str| parsed(media).taken[Kind::Video].clone().map(|taken| taken.format.payload_type);
    assert_eq!(chosen(both), Some(100));
    assert_eq!(chosen(&both.replace("100 97\r", "97 100\r")), Some(97));
    // As Chromium has them: one that viewers are told of, and not the first.
    let kinds = [
        "profile-level-id=42001f;packetization-mode=1",
        "profile-level-id=42e01f;packetization-mode=0",
        "profile-level-id=42e01f;packetization-mode=1",
        "profile-level-id=64001f;packetization-mode=1",
    ];
    assert_eq!(chosen(&h264(&kinds)), Some(102));
    // If what the client likes best will not do, the next does.
    assert_eq!(chosen(&both.replace("42e01f", "64001f")), Some(97));
}

#[test]
fn h264_keeps_its_own_profile_in_the_answer() {
    let janus = |media: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v\r\n{media}a=recvonly\r\na=rtcp-mux\r\n"
        )
    };
    let table = [
        (
            "profile-level-id=42c00d;packetization-mode=1",
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c00d",
        ),
        (
            "packetization-mode=0;profile-level-id=42E034",
            "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42E034",
        ),
    ];
    for (offered, answered) in table {
        let read = parsed(&h264(&[offered]));
        let said = read.for_janus().remove(0);
        assert!(
            said.contains(
                "a=fmtp:100 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
            ),
            "{said}"
        );
        let line = "m=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 10.0.0.1\r\na=mid:v\r\na=rtpmap:100 H264/90000\r\n\
                    a=fmtp:100 profile-level-id=42e01f;packetization-mode=1\r\n";
        let answer = read.answer(&[janus(line)]).unwrap();
        assert!(
            answer.contains(&format!("a=fmtp:100 {answered}\r\n")) && !answer.contains("42e01f"),
            "{answer}"
        );
        // It was offered neither with others on one transport, nor with RTCP on it.
        assert!(!answer.contains("BUNDLE") && !answer.contains("rtcp-mux"), "{answer}");
    }
}

#[test]
fn what_was_not_offered_is_not_answered() {
    let janus = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v x\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 10.0.0.1\r\na=recvonly\r\na=mid:a\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 useinbandfec=1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 10.0.0.1\r\na=recvonly\r\na=mid:v\r\na=rtcp-mux\r\na=rtpmap:97 VP8/90000\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 10.0.0.1\r\na=recvonly\r\na=mid:x\r\na=rtcp-mux\r\na=rtpmap:97 VP8/90000\r\n";
    let second = VIDEO.replace("mid:v", "mid:x");
    let answer =
        |group: &str| parsed(&format!("{group}{AUDIO}{VIDEO}{second}")).answer(&[janus.to_owned()]).unwrap();
    let bundled = answer("a=group:BUNDLE v a\r\n");
    assert!(bundled.contains("a=group:BUNDLE v a\r\n"), "{bundled}");
    assert_eq!(bundled.matches("a=rtcp-mux\r\n").count(), 3);
    assert_eq!((bundled.matches("a=recvonly").count(), bundled.matches("a=inactive").count()), (2, 1));
    assert!(bundled.contains("a=fmtp:111 useinbandfec=1;stereo=1\r\n"), "{bundled}");
    assert!(parsed(AUDIO).answer(&[janus.to_owned()]).is_err());
    assert!(parsed(AUDIO).answer(&[]).is_err());
}

#[test]
fn the_largest_of_several_sizes_comes_first() {
    let order = |rids: &str, more: &str| {
        let lines: String =
            rids.split(';').map(|rid| format!("a=rid:{} send\r\n", rid.trim_start_matches('~'))).collect();
        let lines = if more.is_empty() { lines } else { more.to_owned() };
        let media = format!("{VIDEO}a=simulcast:send {rids}\r\n{lines}");
        let read = parsed(&media);
        assert!(read.is_simulcast(), "{rids}");
        let said = read.for_janus().remove(0);
        let listed = said.split("a=simulcast:send ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
        let described: Vec<&str> =
            said.split("a=rid:").skip(1).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(described.join(";"), listed.replace('~', ""), "{said}");
        // The client has it back as it was.
        let answered =
            said.replace("a=simulcast:send", "a=simulcast:recv").replace("a=sendonly", "a=recvonly");
        assert!(
            read.answer(&[answered]).unwrap().contains(&format!("a=simulcast:recv {rids}\r\n")),
            "{rids}"
        );
        listed
    };
    for (rids, wanted) in [
        ("0;1;2", "0;1;2"),
        ("hi;lo", "hi;lo"),
        ("lo;hi", "hi;lo"),
        ("l;m;h", "h;m;l"),
        ("q;h;f", "f;h;q"),
        ("r0;r1;r2", "r2;r1;r0"),
        ("360p;1080p;720p", "1080p;720p;360p"),
        ("low;~high", "~high;low"),
        ("a;b", "a;b"),
    ] {
        assert_eq!(order(rids, ""), wanted);
    }
    let many: Vec<String> = (0..17).map(|rid| format!("r{rid}")).collect();
    assert_eq!(order(&many.join(";"), ""), many.join(";"), "more than anybody has are not put in order");
    let limits = "a=rid:a send pt=97;max-width=320\r\na=rid:b send pt=97;max-width=1280\r\n";
    assert_eq!(order("a;b", limits), "b;a");
    assert!(!parsed(VIDEO).is_simulcast());
    assert!(parsed(&format!("{VIDEO}a=ssrc-group:SIM 1 2\r\n")).is_simulcast());
}

#[test]
fn media_that_are_no_bundle_go_by_ways_of_their_own() {
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:d\r\n";
    let both = parsed(&format!("a=group:LS a v\r\n{data}{AUDIO}{VIDEO}"));
    let said = both.for_janus();
    assert_eq!(said.len(), 2);
    for (text, mid) in said.iter().zip(["a", "v"]) {
        assert_eq!((text.matches("m=").count(), text.contains(&format!("a=mid:{mid}"))), (1, true), "{text}");
    }
    let answers: Vec<String> = said.iter().map(|text| text.replace("sendonly", "recvonly")).collect();
    let answer = both.answer(&answers).unwrap();
    let kinds: Vec<&str> =
        answer.split("\r\nm=").skip(1).map(|media| media.split(" U").next().unwrap()).collect();
    assert_eq!(kinds, ["application 0", "audio 9", "video 9"], "{answer}");
    assert!(!answer.contains("BUNDLE") && answer.matches("a=recvonly").count() == 2, "{answer}");
    assert!(both.answer(&answers[..1]).is_err());
}

#[test]
fn candidates_name_their_medium() {
    let said = |offer: &Offer, text: Option<&str>, mid: Option<&str>| {
        let candidate = Candidate { text: text.map(str::to_owned), mid: mid.map(str::to_owned), line: 1 };
        offer.ways().candidate(&candidate)
    };
    let (bundled, apart) =
        (parsed(&format!("a=group:BUNDLE a v\r\n{AUDIO}{VIDEO}")), parsed(&format!("{AUDIO}{VIDEO}")));
    for (offer, text, mid, wanted) in [
        (&bundled, Some("c"), Some("v"), (0, json!({ "candidate": "c", "sdpMid": "v" }))),
        (&bundled, Some("c"), None, (0, json!({ "candidate": "c", "sdpMLineIndex": 1 }))),
        (&bundled, None, None, (0, json!({ "completed": true }))),
        (&apart, Some("c"), Some("a"), (0, json!({ "candidate": "c", "sdpMid": "a" }))),
        (&apart, Some("c"), Some("v"), (1, json!({ "candidate": "c", "sdpMid": "v" }))),
        (&apart, Some("c"), None, (1, json!({ "candidate": "c", "sdpMLineIndex": 0 }))),
        (&apart, None, Some("v"), (1, json!({ "completed": true }))),
        (&apart, Some("c"), Some("nobody"), (0, json!({ "candidate": "c", "sdpMid": "nobody" }))),
    ] {
        assert_eq!(said(offer, text, mid), wanted);
    }
}

proptest! {
    #[test]
    fn noise_harms_nobody(text in "\\PC{0,200}") {
        let _ = Offer::parse(&text);
    }

    #[test]
    fn lines_of_noise_harm_nobody(lines in proptest::collection::vec("(a=(rtpmap|fmtp|rid|simulcast|candidate|group):|m=video |b=)[ 0-9a-z;=/~,]{0,30}", 0..20)) {
        let text = offer(&format!("{VIDEO}{}\r\n", lines.join("\r\n")));
        if let Ok(read) = Offer::parse(&text) {
            let said = read.for_janus();
            let _ = read.answer(&said);
        }
    }
}
