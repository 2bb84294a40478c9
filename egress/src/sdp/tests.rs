use node::media::VideoCodec;
use proptest::prelude::*;

use super::*;

/// As Janus 1.1.2 made it, shortened.
const JANUS: &str = "v=0\r\no=- 17 1 IN IP4 127.0.0.1\r\ns=Mountpoint 4001\r\nt=0 0\r\na=group:BUNDLE a v\r\n\
a=fingerprint:sha-256 62:C4\r\na=msid-semantic: WMS *\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 127.0.0.1\r\na=sendonly\r\na=mid:a\r\na=rtcp-mux\r\na=ice-ufrag:NZQB\r\n\
a=ice-pwd:Tpr0AvMO5my2PXQ2dtjRSh\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=msid:janus janusa\r\na=ssrc:23 cname:janus\r\n\
a=candidate:1 1 udp 2015363327 10.77.0.1 33103 typ host\r\na=end-of-candidates\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 127.0.0.1\r\na=sendonly\r\na=mid:v\r\na=rtcp-mux\r\na=ice-ufrag:NZQB\r\n\
a=ice-pwd:Tpr0AvMO5my2PXQ2dtjRSh\r\na=setup:actpass\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n\
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
a=ssrc-group:FID 20 35\r\na=msid:janus janusv\r\na=ssrc:20 cname:janus\r\na=ssrc:35 cname:janus\r\n\
a=candidate:1 1 udp 2015363327 10.77.0.1 33103 typ host\r\na=end-of-candidates\r\n";

/// A player's: video first, as browsers may, with codecs and extensions that Janus does not have.
fn player(video: &str) -> String {
    format!(
        "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=ice-ufrag:play\r\n\
a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n{video}\
a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc\r\n\
a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\n\
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=candidate:7 1 udp 1 10.77.0.2 5 typ host\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=ice-ufrag:play\r\n\
a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"
    )
}

fn flipped(video: &str) -> (String, String) {
    let (player, janus) = (parse(player(video).as_bytes()).unwrap(), parse(JANUS.as_bytes()).unwrap());
    let common = common(&player, VideoCodec::Vp8, Numbers::Trees).unwrap();
    let answers = (answer_for_player(&player, &janus, &common), answer_for_server(&janus, &player, &common));
    // What was written can be read again.
    for answer in [&answers.0, &answers.1] {
        parse(text(answer).as_bytes()).unwrap();
    }
    (text(&answers.0), text(&answers.1))
}

#[test]
fn each_side_gets_an_answer_that_is_made_from_the_others_offer() {
    let (to_player, to_janus) = flipped("a=rtpmap:96 VP8/90000\r\n");
    let parts: Vec<&str> = to_player.split("m=").collect();
    assert!(parts[0].contains("a=group:BUNDLE 0 1\r\n"), "{to_player}");
    assert!(
        parts[1].starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97\r\n"),
        "in the player's order: {to_player}"
    );
    assert!(parts[3].starts_with("application 0 "), "what is not served is refused: {to_player}");
    for wanted in [
        "a=mid:0",
        "a=sendonly",
        "a=setup:active",
        "a=ice-ufrag:NZQB",
        "a=fingerprint:sha-256 62:C4",
        "a=ssrc:20 cname",
        "a=candidate:1 1 udp 2015363327 10.77.0.1",
        "a=fmtp:97 apt=96",
        "a=rtcp-fb:96 nack pli",
        "abs-send-time",
    ] {
        assert!(parts[1].contains(wanted), "{wanted}: {to_player}");
    }
    let parts: Vec<&str> = to_janus.split("m=").collect();
    assert!(
        parts[1].starts_with("audio 9 ") && parts[2].starts_with("video 9 "),
        "in Janus' order: {to_janus}"
    );
    for wanted in [
        "a=mid:v",
        "a=recvonly",
        "a=setup:passive",
        "a=ice-ufrag:play",
        "a=fingerprint:sha-256 AA:BB",
        "a=candidate:7 1 udp 1 10.77.0.2",
    ] {
        assert!(parts[2].contains(wanted), "{wanted}: {to_janus}");
    }
    for unwanted in ["sdes:mid", "goog-remb", "transport-cc", "VP9"] {
        assert!(!to_player.contains(unwanted) && !to_janus.contains(unwanted), "{unwanted}: only one has it");
    }
}

#[test]
fn a_player_that_wants_to_begin_may() {
    let answers = |setup: &str| {
        let offer = player("a=rtpmap:96 VP8/90000\r\n").replace("a=setup:actpass", setup);
        let (player, janus) = (parse(offer.as_bytes()).unwrap(), parse(JANUS.as_bytes()).unwrap());
        let common = common(&player, VideoCodec::Vp8, Numbers::Trees).unwrap();
        [answer_for_player(&player, &janus, &common), answer_for_server(&janus, &player, &common)]
            .map(|answer| text(&answer))
    };
    for (offered, to_player, to_janus) in [
        ("a=setup:actpass", "a=setup:active", "a=setup:passive"),
        ("a=setup:passive", "a=setup:active", "a=setup:passive"),
        ("a=setup:active", "a=setup:passive", "a=setup:active"),
    ] {
        let [player, janus] = answers(offered);
        assert!(player.contains(to_player) && janus.contains(to_janus), "{offered}: {player} {janus}");
    }
}

#[test]
fn offers_without_a_codec_in_common_are_refused() {
    let h264 = |fmtp: &str| format!("a=rtpmap:108 H264/90000\r\na=fmtp:108 {fmtp}\r\n");
    let table = [
        ("a=rtpmap:96 VP8/90000\r\n".to_owned(), VideoCodec::Vp8, ""),
        ("a=rtpmap:96 AV1/90000\r\n".to_owned(), VideoCodec::Vp8, "no vp8 for video"),
        ("a=rtpmap:120 VP8/90000\r\n".to_owned(), VideoCodec::Vp8, "payload type 120, and it is sent as 96"),
        (h264("packetization-mode=1;profile-level-id=42e01f"), VideoCodec::H264, ""),
        (h264("packetization-mode=0;profile-level-id=42e01f"), VideoCodec::H264, "h264 as payload type 108"),
    ];
    for (video, codec, wanted) in table {
        let found = common(&parse(player(&video).as_bytes()).unwrap(), codec, Numbers::Trees);
        let said = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(said.contains(wanted) && said.is_empty() == wanted.is_empty(), "{video}: {said}");
    }
}

#[test]
fn opus_is_said_to_have_two_channels() {
    let (to_player, _) = flipped("a=rtpmap:96 VP8/90000\r\n");
    assert!(to_player.contains("a=fmtp:111 stereo=1;sprop-stereo=1\r\n"), "{to_player}");
    for (said, wanted) in [
        ("minptime=10;useinbandfec=1", "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"),
        ("useinbandfec=1; Stereo=0 ;", "useinbandfec=1;stereo=1;sprop-stereo=1"),
    ] {
        let offer = player("a=rtpmap:96 VP8/90000\r\n")
            .replace("a=rtpmap:111 opus/48000/2", &format!("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 {said}"));
        let (player, janus) = (parse(offer.as_bytes()).unwrap(), parse(JANUS.as_bytes()).unwrap());
        let common = common(&player, VideoCodec::Vp8, Numbers::Trees).unwrap();
        let answer = text(&answer_for_player(&player, &janus, &common));
        assert!(answer.contains(&format!("a=fmtp:111 {wanted}\r\n")), "{answer}");
        assert!(answer.contains("a=fmtp:97 apt=96\r\n"), "no other's: {answer}");
    }
}

#[test]
fn what_needs_several_transports_is_countered() {
    let offer = player("a=rtpmap:96 VP8/90000\r\n");
    let table = [
        (offer.replace("a=group:BUNDLE 0 1\r\n", ""), Some("BUNDLE")),
        (offer.replace("BUNDLE 0 1", "BUNDLE 0 2"), Some("BUNDLE")),
        (offer.replace("a=rtcp-mux\r\n", ""), Some("rtcp-mux")),
        // One medium needs no group, and is answered without.
        (offer.replace("a=group:BUNDLE 0 1\r\n", "").replace("m=audio 9", "m=audio 0"), None),
    ];
    for (offer, wanted) in table {
        let player = parse(offer.as_bytes()).unwrap();
        match (common(&player, VideoCodec::Vp8, Numbers::Trees), wanted) {
            (Err(SdpError::NoCodec(why)), Some(wanted)) => assert!(why.contains(wanted), "{why}"),
            (Ok(common), None) => {
                let janus = parse(JANUS.as_bytes()).unwrap();
                let answer = text(&answer_for_player(&player, &janus, &common));
                assert!(!answer.contains("a=group"), "{answer}");
            }
            (found, _) => panic!("{found:?}: {offer}"),
        }
    }
}

#[test]
fn a_counter_offer_is_janus_own_and_says_why() {
    let janus = parse(JANUS.as_bytes()).unwrap();
    let offer = counter_offer(&janus, "no codec\r\na=in common");
    let written = text(&offer);
    assert!(written.contains("\r\ni=no codec  a=in common\r\n"), "{written}");
    assert_eq!(written.matches("a=rtcp-mux-only").count(), 2, "{written}");
    let again = parse(written.as_bytes()).unwrap();
    assert_eq!(again.medias.len(), janus.medias.len());
    assert_eq!(first_mid(&again), "a");
}

#[test]
fn what_is_no_offer_of_a_player_is_bad() {
    let offer = player("a=rtpmap:96 VP8/90000\r\n");
    let table = [
        (offer.replace("a=ice-ufrag:play\r\n", ""), "a=ice-ufrag"),
        (offer.replace("a=fingerprint:sha-256 AA:BB\r\n", ""), "a=fingerprint"),
        (offer.replace("recvonly", "sendonly"), "to receive"),
    ];
    for (offer, wanted) in table {
        let error = common(&parse(offer.as_bytes()).unwrap(), VideoCodec::Vp8, Numbers::Trees).unwrap_err();
        assert!(matches!(&error, SdpError::Bad(why) if why.contains(wanted)), "{error}");
    }
    assert!(parse(b"").is_err() && parse(b"garbage").is_err());
}

/// Found by the fuzz target `sdp_offer`: the parser's own assertion failed.
#[test]
fn a_line_without_a_letter_in_a_medium_is_refused() {
    for line in ["noise\r\n", "\r\n=\r\n", "rtpmap=x\r\n"] {
        let text = player("a=rtpmap:96 VP8/90000\r\n").replace("a=mid:0\r\n", &format!("{line}a=mid:0\r\n"));
        assert!(matches!(parse(text.as_bytes()), Err(SdpError::Bad(_))), "{line:?}");
    }
}

#[test]
fn a_restart_is_known_by_the_users() {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:all\r\nm=audio 9 X 0\r\nm=video 9 X 0\r\n\
                a=ice-ufrag:own\r\n";
    assert_eq!(ice_users(&parse(text.as_bytes()).unwrap()), ["all", "own"]);
}

proptest! {
    #[test]
    fn no_text_does_harm(noise: Vec<u8>, cut in 0usize..2000) {
        let offer = player("a=rtpmap:96 VP8/90000\r\n");
        let cut = offer.get(..cut).unwrap_or(&offer);
        let janus = parse(JANUS.as_bytes()).unwrap();
        for text in [&noise[..], cut.as_bytes(), &[cut.as_bytes(), &noise].concat()] {
            let Ok(player) = parse(text) else { continue };
            let Ok(common) = common(&player, VideoCodec::Vp8, Numbers::Trees) else { continue };
            answer_for_player(&player, &janus, &common);
            answer_for_server(&janus, &player, &common);
        }
    }
}
