use lab::http::Response;

use crate::common::Scene;
use crate::whip_speaks_rfc_9725::OFFER;

const PAGE: &str = include_str!("../../../docs/whip.md");

/// Each row of the table in docs/whip.md, in its order.
#[test]
fn test() {
    let scene = Scene::with("table", &[("WHIP_TOKEN", "whip-secret"), ("API_TOKEN", "api-secret")]);
    let made = scene.ask_with(
        "POST",
        "/session",
        &[("Content-Type", "application/json"), ("Authorization", "Bearer api-secret")],
        r#"{"sessionId":"s1"}"#,
    );
    assert_eq!(
        (made.status, header(&made, "location").as_deref()),
        (201, Some("session/s1")),
        "{}",
        made.body
    );
    let rows = PAGE.lines().filter(|line| line.starts_with("| `")).map(cells);
    let (mut key, mut etag, mut wrong, mut tried) = (String::new(), String::new(), Vec::new(), 0);
    for [request, with, body, status, and] in rows {
        let fill = |text: &str| text.replace("KEY", &key).replace("ETAG", &etag);
        let (method, path) = request.trim_matches('`').split_once(' ').unwrap();
        let mut headers: Vec<(String, String)> = quoted(with).iter().map(|text| pair(&fill(text))).collect();
        let token = |secret: &str| ("Authorization".to_owned(), format!("Bearer {secret}"));
        match with.split(',').next() {
            Some("token") => headers.push(token("whip-secret")),
            Some("API token") => headers.push(token("api-secret")),
            _ => {}
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let answer = scene.ask_with(method, &fill(path), &headers, &body_of(body));
        tried += 1;
        if answer.status == 201 {
            let location = header(&answer, "location").unwrap_or_default();
            key = location.rsplit('/').next().unwrap_or_default().to_owned();
            etag = header(&answer, "etag").unwrap_or_default();
            assert!(key.len() >= 32, "not to be guessed: {location}");
        }
        let fill = |text: &str| text.replace("KEY", &key).replace("ETAG", &etag);
        let missing: Vec<String> = quoted(and)
            .iter()
            .map(|text| fill(text))
            .filter(|text| match text.split_once(": ") {
                Some((name, value)) => header(&answer, name).as_deref() != Some(value),
                None => header(&answer, text).is_none(),
            })
            .collect();
        let is_error = answer.status < 400 || method == "HEAD" || answer.body.starts_with("{\"error\":");
        let is_open = !path.starts_with("/whip/")
            || header(&answer, "access-control-allow-origin").as_deref() == Some("*");
        if answer.status.to_string() != status || !missing.is_empty() || !is_error || !is_open {
            wrong.push(format!(
                "{request} {with} {body}: {} without {missing:?}\n{}\n{:.200}",
                answer.status, answer.head, answer.body
            ));
        }
    }
    assert!(tried > 40, "the page has a table: {tried} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(scene.rooms()[0].1, 0, "nobody is left");
}

fn cells(line: &str) -> [&str; 5] {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    cells.try_into().unwrap_or_else(|cells| panic!("a row of five cells: {cells:?}"))
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("{text} is no header"));
    (name.to_owned(), value.to_owned())
}

fn header(answer: &Response, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn body_of(words: &str) -> String {
    let candidates = |count: usize| -> String {
        (1..=count).map(|n| format!("a=candidate:{n} 1 udp 1 10.77.0.2 {n} typ host\r\n")).collect()
    };
    let video = |lines: &str| {
        let peer = OFFER.split("m=audio").nth(1).and_then(|audio| audio.split_once("\r\n")).unwrap().1;
        let peer = peer.replace("a=rtpmap:111 opus/48000/2\r\n", "").replace("mid:a0", "mid:v0");
        format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 98\r\n{peer}{lines}")
    };
    match words {
        "" => String::new(),
        "offer" => OFFER.to_owned(),
        "offer of VP9" => video("a=rtpmap:98 VP9/90000\r\n"),
        "offer of H264 High" => video("a=rtpmap:98 H264/90000\r\na=fmtp:98 profile-level-id=64001f\r\n"),
        "offer with 65 candidates" => OFFER.to_owned() + &candidates(65),
        "candidate" => candidates(1),
        "no candidate" => "a=candidate:nonsense\r\n".to_owned(),
        "65 candidates" => candidates(65),
        "ICE restart" => "a=ice-ufrag:wxyz\r\na=ice-pwd:wxyzwxyzwxyzwxyzwxyzwx\r\n".to_owned(),
        "garbage" => "garbage".to_owned(),
        "100,000 bytes" => "x".repeat(100_000),
        other => panic!("no such body: {other}"),
    }
}
