//! Bad input: the right status, one clear message, and nothing is leaked.

use serde_json::{Value, json};

use crate::common::{World, lab};

/// A player's offer, as far as this matters, with a codec of its own.
pub fn offer(video: &str) -> String {
    let media = |kind: &str, mid: u8, map: &str| {
        let number = map.split(' ').next().unwrap();
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {number}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=fingerprint:sha-256 \
             62:C4:84:4F:36:4E:06:23:BE:7A:74:BF:19:A2:69:01:A5:61:7F:9D:F1:D3:01:70:6A:1E:BC:19:43:70:42:45\r\n\
             a=rtpmap:{map}\r\n"
        )
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n{}{}",
        media("audio", 0, "111 opus/48000/2"),
        media("video", 1, video)
    )
}

#[test]
fn bad_requests_are_refused_and_leave_nothing() {
    let lab = lab();
    let world = World::start_with(&lab, &[("WHEP_TOKEN", "viewers")]);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let before = (world.get("/portpool"), world.get("/mountpoints")["count"].clone());

    let table: [(Value, u16, &str); 11] = [
        (json!({ "sessionId": "x", "audioSsrc": 1 }), 400, "videoSsrc"),
        (json!({ "audioSsrc": 1, "videoSsrc": 2 }), 400, "sessionId"),
        (json!({ "sessionId": "", "audioSsrc": 1, "videoSsrc": 2 }), 400, "sessionId"),
        (json!({ "sessionId": "a/b", "audioSsrc": 1, "videoSsrc": 2 }), 400, "sessionId"),
        (json!({ "sessionId": "x", "audioSsrc": -1, "videoSsrc": 2 }), 400, "u32"),
        (json!({ "sessionId": "x", "audioSsrc": 5, "videoSsrc": 5 }), 400, "the same SSRC"),
        (
            json!({ "sessionId": "x", "audioSsrc": 7777, "videoSsrc": 2 }),
            409,
            "SSRC 7777 belongs to session s1",
        ),
        (json!({ "sessionId": "x", "audioSsrc": 1, "videoSsrc": 2, "roomId": 4001 }), 409, "room 4001"),
        // Janus would draw a number, and the mountpoint would be nobody's.
        (json!({ "sessionId": "x", "audioSsrc": 1, "videoSsrc": 2, "roomId": 0 }), 400, "roomId must be"),
        (json!({ "sessionId": "s1", "audioSsrc": 1, "videoSsrc": 2 }), 409, "7777 (audio)"),
        (
            json!({ "sessionId": "x", "audioSsrc": 1, "videoSsrc": 2, "videoCodec": "av2" }),
            400,
            "vp8 or h264",
        ),
    ];
    for (body, status, wanted) in table {
        let (found, answer) = world.post("/mountpoint/create", &body);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(found == status && error.contains(wanted), "{body}: {found} {answer}");
    }
    let json_type = [("Content-Type", "application/json")];
    assert_eq!(world.request("POST", "/mountpoint/create", &json_type, "{").0, 400);
    assert_eq!(world.request("POST", "/mountpoint/create", &[("Content-Type", "text/plain")], "{}").0, 415);
    assert_eq!(world.request("GET", "/mountpoint/nobody", &[], "").0, 404);
    assert_eq!(world.request("DELETE", "/mountpoint/nobody", &[], "").0, 404);

    let endpoint = "/whep/endpoint/s1";
    let (token, sdp) = (("Authorization", "Bearer viewers"), ("Content-Type", "application/sdp"));
    let vp8 = offer("96 VP8/90000");
    // Method, path, headers, body, status, in the error.
    type Row<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str, u16, &'a str);
    let table: [Row<'_>; 11] = [
        ("POST", endpoint, vec![sdp], &vp8, 401, "WHEP_TOKEN"),
        ("POST", endpoint, vec![sdp, ("Authorization", "Bearer wrong")], &vp8, 401, "WHEP_TOKEN"),
        ("POST", "/whep/endpoint/nobody", vec![sdp, token], &vp8, 404, "no session 'nobody'"),
        ("POST", endpoint, vec![token, ("Content-Type", "text/plain")], &vp8, 415, "application/sdp"),
        ("POST", endpoint, vec![token, sdp, ("Accept", "text/html")], &vp8, 406, "Accept"),
        ("POST", endpoint, vec![token, sdp], "garbage", 400, "no SDP"),
        (
            "POST",
            endpoint,
            vec![token, sdp],
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
            400,
            "no media",
        ),
        ("PATCH", "/whep/endpoint/s1/nobody", vec![token, sdp], &vp8, 404, "no such viewer"),
        ("PATCH", "/whep/endpoint/s1/nobody", vec![token], "", 415, "application/sdp"),
        ("DELETE", "/whep/endpoint/s1/nobody", vec![token], "", 404, "no such viewer"),
        ("PUT", endpoint, vec![token], "", 405, "method"),
    ];
    for (method, path, headers, body, status, wanted) in table {
        let (found, _, answer) = world.request(method, path, &headers, body);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(found == status && error.contains(wanted), "{method} {path} {headers:?}: {found} {answer}");
    }
    let large = "x".repeat(10 * 1024 * 1024);
    for (path, kind) in [(endpoint, sdp), ("/mountpoint/create", ("Content-Type", "application/json"))] {
        let (found, _, answer) = world.request("POST", path, &[token, kind], &large);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(found == 413 && error.contains("65536"), "10 MB to {path}: {found} {answer}");
    }

    // What is right works, and leaves again.
    let (status, head, _) = world.request("POST", endpoint, &[token], "");
    assert_eq!(status, 201, "{head}");
    let location = &resource(&head);
    let candidate =
        "a=mid:0\r\na=candidate:1 1 udp 2015363327 10.77.0.2 33103 typ host\r\na=end-of-candidates\r\n";
    let fragment = ("Content-Type", "application/trickle-ice-sdpfrag");
    assert_eq!(world.request("PATCH", location, &[token, fragment], candidate).0, 204);
    assert_eq!(world.request("PATCH", location, &[token, fragment, ("If-Match", "\"x\"")], candidate).0, 412);
    assert_eq!(world.request("PATCH", location, &[token, sdp], "garbage").0, 400);
    assert_eq!(world.request("DELETE", location, &[], "").0, 401);
    assert_eq!(world.request("DELETE", location, &[token], "").0, 200);
    assert_eq!(world.request("DELETE", location, &[token], "").0, 404);
    let (status, head, _) = world.request("OPTIONS", endpoint, &[], "");
    assert!(status == 204 && head.contains("accept-post: application/sdp"), "{head}");
    let (status, head, answer) = world.request("POST", endpoint, &[token, sdp], &vp8);
    assert_eq!(status, 201, "{answer}");
    assert!(
        head.contains("etag: \"") && answer.as_str().is_some_and(|sdp| sdp.contains("a=setup:active")),
        "{answer}"
    );
    let location = &resource(&head);
    assert_eq!(world.request("DELETE", location, &[token], "").0, 200);

    let viewers = &world.get("/status")["viewers"];
    assert_eq!((&viewers["connected"], &viewers["connecting"]), (&json!(0), &json!(0)));
    assert_eq!((world.get("/portpool"), world.get("/mountpoints")["count"].clone()), before);

    for (id, audio) in [("a", 21), ("b", 31)] {
        let (status, answer) = world.post(
            "/mountpoint/create",
            &json!({ "sessionId": id, "audioSsrc": audio, "videoSsrc": audio + 1 }),
        );
        assert_eq!(status, 201, "{answer}");
    }
    let (status, answer) =
        world.post("/mountpoint/create", &json!({ "sessionId": "c", "audioSsrc": 41, "videoSsrc": 42 }));
    assert!(status == 503 && answer["error"].as_str().unwrap().contains("all 3 pairs"), "{status} {answer}");
    let (status, answer) =
        world.post("/mountpoint/create", &json!({ "sessionId": "a", "audioSsrc": 21, "videoSsrc": 22 }));
    assert_eq!(status, 409, "asked for twice: {answer}");
    for id in ["a", "b"] {
        assert_eq!(world.request("DELETE", &format!("/mountpoint/{id}"), &[], "").0, 200);
    }
    assert_eq!(world.get("/portpool"), before.0);
}

/// The path of a viewer, which `Location` names as seen from the endpoint.
pub fn resource(head: &str) -> String {
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim();
    format!("/whep/endpoint/{location}")
}
