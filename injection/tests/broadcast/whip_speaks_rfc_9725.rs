use crate::common::{Scene, until};

/// As a client writes it that trickles its candidates.
pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:a0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";
const FRAGMENT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a0\r\n\
    a=candidate:1 1 udp 2130706431 10.77.0.2 50000 typ host\r\na=end-of-candidates\r\n";

#[test]
fn test() {
    let scene = Scene::start("rfc");
    scene.create("s1");
    let sdp = [("Content-Type", "application/sdp")];
    let header = |head: &str, name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let answer = scene.ask_with("POST", "/whip/endpoint/s1", &sdp, OFFER);
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(header(&answer.head, "content-type"), "application/sdp");
    assert!(answer.body.starts_with("v=0") && answer.body.contains("a=recvonly"), "{}", answer.body);
    let (location, etag) = (header(&answer.head, "location"), header(&answer.head, "etag"));
    assert!(location.starts_with("s1/") && etag.starts_with('"'), "{}", answer.head);
    // Relative to the endpoint (RFC 9110 section 10.2.2): a proxy may have it anywhere.
    let location = format!("/whip/endpoint/{location}");
    assert_eq!(scene.session("s1")["publisher"]["state"], "connecting");
    assert_eq!(scene.ask_with("POST", "/whip/endpoint/s1", &sdp, OFFER).status, 409, "somebody is there");

    let patch = |path: &str, etag: &str, fragment: &str| {
        let headers = [("Content-Type", "application/trickle-ice-sdpfrag"), ("If-Match", etag)];
        scene.ask_with("PATCH", path, &headers, fragment).status
    };
    assert_eq!(patch(&location, &etag, FRAGMENT), 204);
    assert_eq!(patch(&location, "*", FRAGMENT), 204);
    assert_eq!(patch("/whip/endpoint/s1", "*", FRAGMENT), 405, "nobody else's publication");
    assert_eq!(scene.ask("DELETE", "/whip/endpoint/s1", "").0, 405, "nor its end");
    assert_eq!(patch(&location, "\"other\"", FRAGMENT), 412);
    assert_eq!(patch(&location, &etag, "hello"), 400);
    assert_eq!(patch(&location, "*", &FRAGMENT.replace("ufrag:abcd", "ufrag:efgh")), 422, "an ICE restart");
    assert_eq!(patch("/whip/endpoint/s1/other", &etag, FRAGMENT), 404);
    assert_eq!(scene.ask("DELETE", "/whip/endpoint/s1/other", "").0, 404, "somebody else's");
    assert_eq!(scene.ask("DELETE", &location, "").0, 200);
    assert_eq!(scene.ask("DELETE", &location, "").0, 404);
    assert_eq!(patch(&location, &etag, FRAGMENT), 404);

    // One that never connects does not keep others out for long.
    assert_eq!(scene.ask_with("POST", "/whip/endpoint/s1", &sdp, OFFER).status, 201);
    let took = until("its place is given away", || {
        scene.ask_with("POST", "/whip/endpoint/s1", &sdp, OFFER).status == 201
    });
    assert!((4.0..5.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(scene.rooms()[0].1, 1);
}
