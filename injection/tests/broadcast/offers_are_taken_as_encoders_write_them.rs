use crate::common::Scene;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
const PEER: &str = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=sendonly\r\n";

/// A medium: its kind, name, and lines.
fn medium(kind: &str, mid: &str, numbers: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("a={line}\r\n")).collect();
    format!("m={kind} 9 UDP/TLS/RTP/SAVPF {numbers}\r\n{PEER}a=mid:{mid}\r\n{lines}")
}

/// What an answer says, by medium: the lines behind each m=, the session's own first.
fn parts(answer: &str) -> Vec<&str> {
    answer.split("\r\nm=").collect()
}

/// Names in any case, no bundle, no rtcp-mux, media twice, profiles of H264 by other digits: 201, and the answer keeps to what
/// was offered (RFC 3264, RFC 5761 section 5.1.1, RFC 8843 section 7.3).
#[test]
fn test() {
    let scene = Scene::start("offers");
    scene.create("s1");
    let post = |offer: &str| {
        scene.ask_with("POST", "/whip/endpoint/s1", &[("Content-Type", "application/sdp")], offer)
    };
    let published = |offer: String| {
        let answer = post(&offer);
        assert_eq!(answer.status, 201, "{offer}\n{}", answer.body);
        assert_eq!(scene.ask("DELETE", "/session/s1/publisher", "").0, 204);
        answer.body
    };
    let group = "a=group:BUNDLE a v\r\n";
    let audio = medium("audio", "a", "111", &["rtcp-mux", "rtpmap:111 opus/48000/2"]);
    let video = medium("video", "v", "96", &["rtcp-mux", "rtpmap:96 VP8/90000"]);

    // In any case.
    let odd = format!("{HEAD}{group}{audio}{video}").replace("opus", "Opus").replace("VP8", "Vp8");
    let answer = published(odd);
    assert!(answer.contains("a=group:BUNDLE a v"), "{answer}");
    assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
    assert_eq!(answer.matches("a=rtcp-mux\r\n").count(), 2, "{answer}");

    // A transport in other letters, or of before DTLS had a name of its own; it is answered as it was offered.
    for protocol in ["udp/tls/rtp/savpf", "Udp/TLS/RTP/SAVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP"] {
        let answer = published(format!("{HEAD}{group}{audio}{video}").replace("UDP/TLS/RTP/SAVPF", protocol));
        assert_eq!(answer.matches(&format!(" 9 {protocol} ")).count(), 2, "{answer}");
    }
    // What Janus would never answer, or cannot read, is refused at once.
    let zero = format!("{HEAD}{group}{audio}{video}").replace("s=-", "s=\0");
    assert_eq!(post(&zero).status, 400);

    // What was not offered is not answered.
    for media in [audio.clone(), format!("{audio}{video}"), format!("a=group:LS a v\r\n{video}{audio}")] {
        let answer = published(format!("{HEAD}{media}"));
        assert!(!answer.contains("BUNDLE"), "{answer}");
        let wanted = media.matches("m=").count();
        assert_eq!(
            (answer.matches("\r\nm=").count(), answer.matches("a=recvonly").count()),
            (wanted, wanted),
            "{answer}"
        );
        // Each by a transport of its own.
        let mut users: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=ice-ufrag:")).collect();
        users.dedup();
        assert_eq!(users.len(), wanted, "{answer}");
    }
    let answer = published(format!("{HEAD}{group}{audio}{video}").replace("a=rtcp-mux\r\n", ""));
    assert!(!answer.contains("rtcp-mux"), "{answer}");

    // One of each kind; the rest is kept out, and said to be.
    let second = video.replace("mid:v", "mid:w");
    let data =
        format!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{PEER}a=mid:d\r\na=sctp-port:5000\r\n")
            .replace("a=sendonly\r\n", "");
    let answer = published(format!("{HEAD}a=group:BUNDLE a v w d\r\n{audio}{video}{second}{data}"));
    let parts = parts(&answer);
    assert_eq!(parts.len(), 5, "{answer}");
    assert!(parts[1].contains("a=recvonly") && parts[2].contains("a=recvonly"), "{answer}");
    assert!(parts[3].starts_with("video") && parts[3].contains("a=inactive"), "{answer}");
    assert!(parts[4].starts_with("application 0"), "{answer}");

    // Constrained baseline is that by any digits; the answer has the client's (RFC 6184 section 8.2.2).
    let h264 = |profile: &str| {
        let fmtp = format!("fmtp:102 packetization-mode=1;profile-level-id={profile}");
        let video = medium("video", "v", "102", &["rtcp-mux", "rtpmap:102 H264/90000", &fmtp]);
        format!("{HEAD}{group}{audio}{video}")
    };
    for profile in ["42e01f", "42E01F", "42c00d", "42001f", "42e034", "4d801f"] {
        let answer = published(h264(profile));
        assert!(answer.contains(&format!("profile-level-id={profile}")), "{profile}: {answer}");
        assert!(answer.contains("a=rtpmap:102 H264/90000"), "{answer}");
    }
    for (profile, name) in [("64001f", "High"), ("4d001f", "Main"), ("640c1f", "Constrained High")] {
        let answer = post(&h264(profile));
        assert_eq!(answer.status, 406, "{}", answer.body);
        for words in [name, profile, "baseline", "VP8"] {
            assert!(answer.body.contains(words), "{}", answer.body);
        }
    }

    // Candidates are a handful, and so are media.
    let media = (0..1000).map(|n| format!("m=audio 9 X 0\r\na=mid:{n}\r\n")).collect::<String>();
    let answer = post(&format!("{HEAD}{group}{audio}{media}"));
    assert!(answer.status == 400 && answer.body.contains("media"), "{}", answer.body);
    let candidates: String =
        (1..=600).map(|n| format!("a=candidate:{n} 1 udp 1 10.77.0.2 {n} typ host\r\n")).collect();
    let answer = post(&format!("{HEAD}{group}{audio}{candidates}{video}"));
    assert!(answer.status == 400 && answer.body.contains("candidates"), "{}", answer.body);
    assert_eq!(
        scene.rooms().iter().map(|(_, publishers)| publishers).sum::<u64>(),
        0,
        "nobody is left behind"
    );
}
