use std::io::{Read, Write};
use std::net::TcpStream;

use lab::Lab;
use lab::http::Response;
use serde_json::Value;

use crate::common::{LONG, Scene, api};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab\r\n";

/// Each with the right status and one clear message; afterwards nothing is there that was not before.
#[test]
fn test() {
    let scene = Scene::start("bad");
    let json = ("Content-Type", "application/json");
    let sdp = ("Content-Type", "application/sdp");
    scene.create("s1");
    let vp9 = format!(
        "{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:98 VP9/90000\r\na=sendonly\r\n"
    );
    let no_fingerprint = format!(
        "{OFFER}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\na=sendonly\r\n"
    );
    let large = "x".repeat(10_000_000);
    type Row<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str, u16, &'a str);
    let table: Vec<Row> = vec![
        ("POST", "/session/create", vec![json], "{}", 400, "sessionId is missing"),
        ("POST", "/session/create", vec![json], "not json", 400, ""),
        ("POST", "/session/create", vec![], r#"{"sessionId":"s9"}"#, 415, ""),
        ("POST", "/session/create", vec![json], r#"{"sessionId":"a/b"}"#, 400, "sessionId must be"),
        (
            "POST",
            "/session/create",
            vec![json],
            r#"{"sessionId":"s9","audioSsrc":"x"}"#,
            400,
            "'x' is no whole number",
        ),
        ("POST", "/session/create", vec![json], r#"{"sessionId":"s9","recipients":[{}]}"#, 400, "host"),
        ("POST", "/session/create", vec![json], r#"{"sessionId":"s1"}"#, 409, "session s1 exists"),
        (
            "POST",
            "/session",
            vec![json],
            r#"{"sessionId":"s9","videoSsrc":1111}"#,
            409,
            "SSRC 1111 belongs to session s1",
        ),
        ("POST", "/session/create", vec![json], &large, 413, ""),
        ("GET", "/session/s9", vec![], "", 404, "no session s9"),
        ("DELETE", "/session/s9", vec![], "", 404, "no session s9"),
        ("POST", "/session/s9/destroy", vec![], "", 404, "no session s9"),
        ("GET", "/nowhere", vec![], "", 404, ""),
        ("PUT", "/sessions", vec![], "", 405, ""),
        ("POST", "/whip/endpoint/s9", vec![sdp], OFFER, 404, "no session s9"),
        ("POST", "/whip/endpoint/s1", vec![json], OFFER, 415, "application/sdp"),
        ("POST", "/whip/endpoint/s1", vec![], OFFER, 415, "application/sdp"),
        ("POST", "/whip/endpoint/s1", vec![sdp, ("Accept", "text/html")], OFFER, 406, "application/sdp"),
        ("POST", "/whip/endpoint/s1", vec![sdp], "garbage", 400, "no SDP offer"),
        ("POST", "/whip/endpoint/s1", vec![sdp], OFFER, 400, "neither audio nor video"),
        ("POST", "/whip/endpoint/s1", vec![sdp], &vp9, 406, "video must be VP8 or H264; offered: VP9"),
        ("POST", "/whip/endpoint/s1", vec![sdp], &no_fingerprint, 400, ""),
        ("POST", "/whip/endpoint/s1", vec![sdp], &large, 413, ""),
        ("PATCH", "/whip/endpoint/s1/0123", vec![sdp], "", 415, "trickle-ice-sdpfrag"),
        (
            "PATCH",
            "/whip/endpoint/s1/0123",
            vec![("Content-Type", "application/trickle-ice-sdpfrag")],
            "",
            404,
            "no such publication",
        ),
        ("DELETE", "/whip/endpoint/s1/0123", vec![], "", 404, "no such publication"),
        ("GET", "/whip/endpoint/s1", vec![], "", 405, ""),
    ];
    for (method, path, headers, body, status, words) in table {
        let shown: String = body.chars().take(80).collect();
        let answer = ask(scene.lab, method, path, &headers, body);
        assert_eq!(answer.status, status, "{method} {path} {shown}: {}", answer.body);
        let body: Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{method} {path}: {}", answer.body));
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(words) && !error.contains('\n'), "{method} {path} {shown}: {error}");
    }
    let options = scene.ask_with("OPTIONS", "/whip/endpoint/s1", &[("Origin", "http://elsewhere")], "");
    let head = options.head.to_lowercase();
    for line in [
        "accept-post: application/sdp",
        "access-control-allow-origin: *",
        "access-control-allow-methods: post",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert_eq!(options.status, 204);
    assert_eq!(scene.ask("GET", "/sessions", "").1["count"], 1);
    assert_eq!(scene.rooms().iter().map(|(_, publishers)| *publishers).collect::<Vec<_>>(), [0]);
    // And it still works.
    scene.publisher("s1", "vp8");
}

/// A request of somebody who sends all before reading anything.
fn ask(lab: &Lab, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let exchange = || {
        let mut stream = TcpStream::connect(api()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = lab.in_namespace("node", exchange).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: '{answer}'"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
