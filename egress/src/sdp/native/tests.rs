use proptest::prelude::*;
use seats::{Extensions, Peer, Taken};

use super::super::{
    Numbers, SdpError, accepted, answer_for_player, answer_for_server, common, counter_offer, parse, text,
};
use super::*;

/// As the browsers of Debian 12 made them.
const CHROMIUM: &str = include_str!("offers/chromium-156.sdp");
const FIREFOX: &str = include_str!("offers/firefox-153esr.sdp");
/// As GStreamer 1.22 makes it, by the numbers and codecs that whepsrc has by default.
const GSTREAMER: &str = include_str!("offers/gstreamer-whepsrc.sdp");
/// Put together from what has been published of them.
const SAFARI: &str = include_str!("offers/safari-13.sdp");
const LIBDATACHANNEL: &str = include_str!("offers/libdatachannel.sdp");

fn local() -> Local {
    Local {
        ice: Credentials { user: "ours".to_owned(), password: "ourselves-and-nobody-else".to_owned() },
        fingerprint: Fingerprint { algorithm: "sha-256".to_owned(), bytes: (0..32).collect() },
        candidates: vec![
            "1 1 udp 2130706431 10.77.0.1 7074 typ host".to_owned(),
            "2 1 tcp 1671430143 10.77.0.1 7074 typ host tcptype passive".to_owned(),
        ],
        sources: Sources::of([400, 800, 1200, 1600]),
    }
}

fn wired(offer: &str) -> Session {
    parse(offer.replace('\n', "\r\n").as_bytes()).unwrap()
}

/// What a player is answered, and what is known of it then.
fn served(offer: &Session, codec: VideoCodec) -> Result<(String, Peer), SdpError> {
    let common = common(offer, codec, Numbers::Players)?;
    let ours = super::offer(codec, Some((offer, &common)), &local());
    let answer = answer_for_player(offer, &ours, &common);
    parse(text(&answer).as_bytes()).unwrap();
    let taken = accepted(&parse(text(&ours).as_bytes()).unwrap(), &answer_for_server(&ours, offer, &common))?;
    Ok((text(&answer), taken))
}

/// Payload types of audio, video and retransmissions; numbers of mid in audio, of mid, transport-cc and abs-send-time in video;
/// NACKs of video.
type Row = (u8, u8, Option<u8>, [Option<u8>; 4], bool);

#[test]
fn every_player_is_answered_in_its_own_numbers() {
    let (vp8, h264) = (VideoCodec::Vp8, VideoCodec::H264);
    let multichannel = CHROMIUM
        .replace("111 63 9 0 8 13 110 126", "112 111 63 9 0 8 13 110 126")
        .replace("a=rtpmap:111 ", "a=rtpmap:112 multiopus/48000/6\na=fmtp:112 num_streams=4\na=rtpmap:111 ");
    let all_about_all = FIREFOX.replace("a=rtcp-fb:120 ", "a=rtcp-fb:* ");
    let remb = |mid, stamp| [Some(mid), Some(mid), None, Some(stamp)];
    let table: [(&str, &str, VideoCodec, Row); 11] = [
        ("Chromium", CHROMIUM, vp8, (111, 96, Some(97), remb(4, 2), true)),
        ("Chromium", CHROMIUM, h264, (111, 108, Some(109), remb(4, 2), true)),
        ("a page with more codecs", &multichannel, vp8, (111, 96, Some(97), remb(4, 2), true)),
        ("Firefox", FIREFOX, vp8, (109, 120, Some(124), remb(3, 4), true)),
        ("Firefox, feedback about all", &all_about_all, vp8, (109, 120, Some(124), remb(3, 4), true)),
        ("GStreamer", GSTREAMER, vp8, (96, 101, None, [None; 4], false)),
        ("GStreamer", GSTREAMER, h264, (96, 103, None, [None; 4], false)),
        ("Safari", SAFARI, vp8, (111, 100, Some(101), remb(4, 2), true)),
        ("Safari", SAFARI, h264, (111, 98, Some(99), remb(4, 2), true)),
        ("libdatachannel", LIBDATACHANNEL, h264, (98, 97, None, [None; 4], true)),
        // Without goog-remb there is the other estimate.
        (
            "without REMB",
            &CHROMIUM.replace(" goog-remb", " x-none"),
            vp8,
            (111, 96, Some(97), [Some(4), Some(4), Some(3), None], true),
        ),
    ];
    for (name, offer, codec, (audio_pt, pt, rtx, [audio_mid, mid, transport_cc, abs_send_time], nack)) in
        table
    {
        let offer = wired(offer);
        let (answer, peer) = served(&offer, codec).unwrap_or_else(|error| panic!("{name}, {codec}: {error}"));
        let about = format!("{name}, {codec}: {peer:?}\n{answer}");
        let PerKind { audio: Some(audio), video: Some(video) } = &peer.media else { panic!("{about}") };
        assert_eq!((audio.payload_type, video.payload_type, video.rtx), (audio_pt, pt, rtx), "{about}");
        let numbers = Extensions { mid, transport_cc, abs_send_time };
        assert_eq!(video.extensions, numbers, "{about}");
        assert_eq!(audio.extensions, Extensions { mid: audio_mid, ..Extensions::default() }, "{about}");
        assert_eq!((video.nack, video.pli), (nack, true), "{about}");
        let mids: Vec<&str> = offer.medias.iter().filter_map(|media| value(media, "mid")).collect();
        assert!(mids.contains(&audio.mid.as_str()) && mids.contains(&video.mid.as_str()), "{about}");
        assert!(peer.begins, "{about}");
        assert_eq!(peer.fingerprints[0].bytes.len(), 32, "{about}");

        for wanted in [
            "a=ice-lite\r\n".to_owned(),
            format!("a=group:BUNDLE {}\r\n", mids.join(" ")),
            "a=setup:passive\r\n".to_owned(),
            format!("a=ssrc:{} cname:", local().sources.video.media),
            "stereo=1;sprop-stereo=1\r\n".to_owned(),
            "a=candidate:1 1 udp 2130706431 10.77.0.1 7074 typ host\r\n".to_owned(),
            "a=fingerprint:sha-256 00:01:02:".to_owned(),
            "a=ice-ufrag:ours\r\n".to_owned(),
            format!("a=fmtp:{audio_pt} "),
        ] {
            assert!(answer.contains(&wanted), "{wanted}{about}");
        }
        let fid =
            format!("a=ssrc-group:FID {} {}\r\n", local().sources.video.media, local().sources.video.rtx);
        assert_eq!(answer.contains(&fid), rtx.is_some(), "{about}");
        assert_eq!(answer.matches("m=").count(), offer.medias.len(), "{about}");
    }
}

#[test]
fn h264_is_chosen_by_how_well_it_fits() {
    let table: [(&[&str], Option<u8>); 9] = [
        (
            &["packetization-mode=0;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=42e01f"],
            Some(97),
        ),
        (
            &["packetization-mode=1;profile-level-id=640c1f", "packetization-mode=1;profile-level-id=42e034"],
            Some(97),
        ),
        (
            &[
                "packetization-mode=1;profile-level-id=4d001f",
                "profile-level-id=42001F; Packetization-Mode=1",
            ],
            Some(97),
        ),
        (
            &["packetization-mode=1;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=42e01f"],
            Some(96),
        ),
        (&["packetization-mode=1;profile-level-id=640c1f"], Some(96)),
        (&["profile-level-id=42e01f", "packetization-mode=1;profile-level-id=640c1f"], Some(97)),
        (&["x=y"], Some(96)),
        (&["packetization-mode=0;profile-level-id=42e01f"], None),
        (&["packetization-mode=1;profile-level-id=f4001f"], None),
    ];
    for (kinds, wanted) in table {
        let numbers: Vec<String> = (96..).take(kinds.len()).map(|pt: u8| pt.to_string()).collect();
        let lines: String = numbers
            .iter()
            .zip(kinds)
            .map(|(pt, kind)| format!("a=rtpmap:{pt} H264/90000\na=fmtp:{pt} {kind}\n"))
            .collect();
        let offer = LIBDATACHANNEL.replace("SAVPF 97", &format!("SAVPF {}", numbers.join(" ")));
        let (head, rest) = offer.split_once("a=rtpmap:97 H264/90000\n").unwrap();
        let (_, tail) = rest.split_once("level-asymmetry-allowed=1\n").unwrap();
        let found = served(&wired(&format!("{head}{lines}{tail}")), VideoCodec::H264);
        let pt = found.as_ref().ok().and_then(|(_, peer)| Some(peer.media.video.as_ref()?.payload_type));
        assert_eq!(pt, wanted, "{kinds:?}: {found:?}");
    }
}

#[test]
fn what_cannot_be_served_is_countered_with_numbers_of_ours() {
    let table = [
        (FIREFOX.to_owned(), VideoCodec::H264, "no h264 for video"),
        (CHROMIUM.replace("a=group:BUNDLE 0 1\n", ""), VideoCodec::Vp8, "BUNDLE"),
        (CHROMIUM.replace("a=rtcp-mux\n", ""), VideoCodec::Vp8, "rtcp-mux"),
        (CHROMIUM.replace(" opus/", " lyra/"), VideoCodec::Vp8, "no opus for audio"),
        // RFC 5761 section 4: with RTCP beside it these numbers are RTCP's.
        (
            GSTREAMER.replace("SAVPF 101", "SAVPF 72").replace(":101 ", ":72 "),
            VideoCodec::Vp8,
            "payload type 72",
        ),
    ];
    for (player, codec, wanted) in table {
        let Err(SdpError::NoCodec(why)) = served(&wired(&player), codec) else {
            panic!("{wanted}: {player}")
        };
        assert!(why.contains(wanted), "{why}");
        let counter = text(&counter_offer(&offer(codec, None, &local()), &why));
        for wanted in
            ["a=rtcp-mux-only\r\n", "a=setup:actpass\r\n", "a=ice-lite\r\n", "a=group:BUNDLE audio video\r\n"]
        {
            assert!(counter.contains(wanted), "{wanted}{counter}");
        }
    }
}

type Change = fn(String) -> String;

/// What a browser answers to our offer is what it takes.
#[test]
fn an_answer_to_our_offer_says_what_is_taken() {
    let ours = offer(VideoCodec::Vp8, None, &local());
    let answer = |change: Change| {
        let answer = CHROMIUM
            .replace("BUNDLE 0 1", "BUNDLE audio video")
            .replace("a=mid:0", "a=mid:audio")
            .replace("a=mid:1", "a=mid:video")
            .replace("actpass", "active")
            .replace("extmap:4 ", "extmap:1 ");
        accepted(&ours, &wired(&change(answer)))
    };
    let all = answer(|answer| answer).unwrap();
    let sources = local().sources;
    let video = Taken {
        mid: "video".to_owned(),
        payload_type: 96,
        rtx: Some(97),
        ssrc: sources.video.media,
        rtx_ssrc: sources.video.rtx,
        extensions: Extensions { mid: Some(1), transport_cc: None, abs_send_time: Some(2) },
        nack: true,
        pli: true,
    };
    assert_eq!(all.media.video, Some(video), "transport-cc was not offered");
    assert_eq!(all.media.audio.as_ref().map(|audio| (audio.payload_type, audio.rtx)), Some((111, None)));
    assert_eq!(
        all.ice,
        Credentials { user: "23Eg".to_owned(), password: "nQq5CCaYUHwVOcUQmHAnCAbt".to_owned() }
    );

    let alone = answer(|answer| answer.replace("m=video 9", "m=video 0")).unwrap();
    assert!(alone.media.video.is_none() && alone.media.audio.is_some());
    assert!(!answer(|answer| answer.replace("a=setup:active", "a=setup:passive")).unwrap().begins);
    // Nothing is sent again to who does not know retransmissions, and all of it by one number.
    assert_eq!(answer(|answer| answer.replace("apt=96", "apt=98")).unwrap().media.video.unwrap().rtx, None);

    let table: [(Change, &str); 6] = [
        (
            |answer| answer.replace("m=video 9", "m=video 0").replace("m=audio 9", "m=audio 0"),
            "neither audio nor video",
        ),
        (|answer| answer.replace("a=recvonly", "a=inactive"), "neither audio nor video"),
        (|answer| answer.replace("sha-256", "sha-1"), "a=fingerprint"),
        (|answer| answer.replace("E5:D8", "E5:+8"), "a=fingerprint"),
        (|answer| answer.replace("ufrag:23Eg", "ufrag:23:g"), "a=ice-ufrag"),
        (|answer| answer.replace("pwd:nQq5", "pwd:"), "a=ice-pwd"),
    ];
    for (change, wanted) in table {
        let error = answer(change).unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn a_player_that_takes_one_medium_gets_one() {
    let silent = CHROMIUM.replacen("a=recvonly", "a=inactive", 1);
    let (answer, peer) = served(&wired(&silent), VideoCodec::Vp8).unwrap();
    assert!(peer.media.audio.is_none() && peer.media.video.is_some());
    assert!(answer.contains("m=audio 0 ") && answer.contains("a=group:BUNDLE 1\r\n"), "{answer}");
}

#[test]
fn who_begins_the_handshake_is_the_player_if_it_may() {
    for (offered, to_player, begins) in
        [("actpass", "passive", true), ("active", "passive", true), ("passive", "active", false)]
    {
        let (answer, peer) = served(&wired(&CHROMIUM.replace("actpass", offered)), VideoCodec::Vp8).unwrap();
        assert!(answer.contains(&format!("a=setup:{to_player}\r\n")), "{offered}: {answer}");
        assert_eq!(peer.begins, begins, "{offered}");
    }
}

#[test]
fn a_restart_is_answered_with_our_new_side() {
    let ours = Credentials { user: "next".to_owned(), password: "something-else-entirely".to_owned() };
    assert_eq!(
        fragment(&ours, &all_but_credentials(&offer(VideoCodec::Vp8, None, &local()))),
        "a=ice-lite\r\na=ice-ufrag:next\r\na=ice-pwd:something-else-entirely\r\na=ice-options:trickle ice2\r\n\
         a=group:BUNDLE audio video\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio\r\n\
         a=candidate:1 1 udp 2130706431 10.77.0.1 7074 typ host\r\n\
         a=candidate:2 1 tcp 1671430143 10.77.0.1 7074 typ host tcptype passive\r\na=end-of-candidates\r\n"
    );
}

proptest! {
    #[test]
    fn a_viewers_sources_are_all_different(random: [u32; 4]) {
        let PerKind { audio, video } = Sources::of(random);
        let mut all = [audio.media, audio.rtx, video.media, video.rtx];
        all.sort_unstable();
        prop_assert!(all[0] > 0 && all.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Whatever is cut out of an offer: it is served or refused, and what is answered can be read.
    #[test]
    fn no_offer_does_harm(at in 0usize..7000, long in 0usize..400, which in 0usize..5, noise in "\\PC{0,8}") {
        let offer = [CHROMIUM, FIREFOX, GSTREAMER, SAFARI, LIBDATACHANNEL][which].replace('\n', "\r\n");
        let at = at.min(offer.len());
        let changed = format!("{}{noise}{}", &offer[..at], &offer[(at + long).min(offer.len())..]);
        let Ok(player) = parse(changed.as_bytes()) else { return Ok(()) };
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            let _ = served(&player, codec);
            let _ = accepted(&super::offer(codec, None, &local()), &player);
        }
    }
}

/// RFC 8122 section 5: by several hashes, of which we need not know the first, and of several certificates.
#[test]
fn all_of_a_players_certificates_are_known() {
    let of = |name: &str, bytes: usize, byte: &str| format!("{name} {}", vec![byte; bytes].join(":"));
    let lines = [of("sha-1", 20, "01"), of("sha-256", 32, "AB"), of("SHA-512", 64, "02")];
    let mut offer = wired(CHROMIUM);
    let own = |line: &sdp_types::Attribute| line.attribute == "fingerprint";
    offer.attributes.retain(|line| !own(line));
    for media in &mut offer.medias {
        media.attributes.retain(|line| !own(line));
        media.attributes.extend(lines.iter().map(|line| attr("fingerprint", Some(line))));
    }
    let (_, peer) = served(&offer, VideoCodec::Vp8).unwrap();
    let known = [("sha-256", vec![0xab; 32]), ("sha-512", vec![2; 64])]
        .map(|(algorithm, bytes)| Fingerprint { algorithm: algorithm.to_owned(), bytes });
    assert_eq!(peer.fingerprints, known);
}
