//! What WHIP (RFC 9725) and WHEP have in common, as a client sees it: one table, tried on both nodes.
//!
//! Needs a node with [`TOKEN`] as its WHIP_TOKEN or WHEP_TOKEN, and a session s1 that can be published to or watched.

use crate::http::Response;

/// The token that the node asks for.
pub const TOKEN: &str = "wish-secret";
/// The ICE user name of the offer.
pub const ICE_USER: &str = "abcd";

const SDP: (&str, &str) = ("Content-Type", "application/sdp");
const FRAGMENT: (&str, &str) = ("Content-Type", "application/trickle-ice-sdpfrag");
const ADMITTED: (&str, &str) = ("Authorization", "Bearer wish-secret");

/// A request and what has to come of it: method, path below the endpoint, headers, body, status, parts of the head.
type Row<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str, u16, &'a [&'a str]);

/// Asks a node everything in the tables; gives what is not as it should be. `endpoint`: `/whip/endpoint/s1`; `offer`: one
/// that the node takes, with [`ICE_USER`] in it; `ask`: method, path, headers, body.
pub fn differences(
    endpoint: &str,
    offer: &str,
    ask: impl Fn(&str, &str, &[(&str, &str)], &str) -> Response,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |(method, path, headers, body, status, parts): Row<'_>| {
        let path = format!("{endpoint}{path}");
        let answer = ask(method, &path, &headers, body);
        let mut missing: Vec<String> = Vec::new();
        if answer.status != status {
            missing.push(format!("{status}"));
        }
        let head = answer.head.to_lowercase();
        let everywhere = ["access-control-allow-origin: *"];
        missing.extend(
            everywhere.iter().chain(parts).filter(|part| !head.contains(**part)).map(|part| (*part).into()),
        );
        if answer.status >= 400 && method != "HEAD" && !is_our_error(&answer) {
            missing.push("{\"error\": …}".to_owned());
        }
        if !missing.is_empty() {
            let body: String = body.chars().take(40).collect();
            let answered: String = answer.body.chars().take(120).collect();
            wrong.push(format!(
                "{method} {path} {headers:?} {body:?}: {} {answered:?}, without {missing:?}",
                answer.status
            ));
        }
        answer
    };

    let large = "x".repeat(100_000);
    let challenge = &["www-authenticate: bearer"][..];
    let accepting = |accept| vec![ADMITTED, SDP, ("Accept", accept)];
    let before: Vec<Row<'_>> = vec![
        // Who does not know the token is told how to say it.
        ("POST", "", vec![SDP], offer, 401, challenge),
        ("POST", "", vec![SDP, ("Authorization", "Bearer wrong")], offer, 401, challenge),
        ("PATCH", "/nobody", vec![FRAGMENT], "", 401, challenge),
        ("DELETE", "/nobody", vec![], "", 401, challenge),
        // What is not there, or has no such method.
        ("POST", "-of-nobody", vec![ADMITTED, SDP], offer, 404, &[]),
        ("DELETE", "/nobody", vec![ADMITTED], "", 404, &[]),
        ("DELETE", "/nobody/either", vec![ADMITTED], "", 404, &[]),
        ("PUT", "", vec![ADMITTED], "", 405, &["allow: "]),
        // Nobody ends, or changes, what was made by a POST but by its own address (RFC 9725 section 4.2).
        ("PATCH", "", vec![ADMITTED, FRAGMENT], "", 405, &["allow: "]),
        ("DELETE", "", vec![ADMITTED], "", 405, &["allow: "]),
        ("POST", "/nobody", vec![ADMITTED, SDP], offer, 405, &["allow: "]),
        // A path that is no text, a body that is none, one that is too large.
        ("POST", "%ff", vec![ADMITTED, SDP], offer, 400, &[]),
        ("POST", "", vec![ADMITTED, SDP], "garbage", 400, &[]),
        ("POST", "", vec![ADMITTED, SDP], &large, 413, &[]),
        // What is taken is said with the refusal (RFC 9110 section 12.5.1, RFC 5789 section 2.2).
        (
            "POST",
            "",
            vec![ADMITTED, ("Content-Type", "text/plain")],
            offer,
            415,
            &["accept-post: application/sdp"],
        ),
        ("POST", "", vec![ADMITTED], offer, 415, &["accept-post: application/sdp"]),
        (
            "PATCH",
            "/nobody",
            vec![ADMITTED, ("Content-Type", "text/plain")],
            "x",
            415,
            &["accept-patch: ", "application/trickle-ice-sdpfrag"],
        ),
        // Accept (RFC 9110 section 12.5.1): the most precise range counts, and q=0 refuses.
        ("POST", "", accepting("text/html"), offer, 406, &[]),
        ("POST", "", accepting("application/sdp;q=0"), offer, 406, &[]),
        ("POST", "", accepting("application/sdp; Q=0.000, */*"), offer, 406, &[]),
        ("POST", "", accepting("*/*;q=0, application/sdp;q=0.1"), "garbage", 400, &[]),
        ("POST", "", accepting("text/html, */*;q=0.1"), "garbage", 400, &[]),
        // Pages of any origin may ask, and may see what they need.
        (
            "OPTIONS",
            "",
            vec![("Origin", "https://elsewhere.example")],
            "",
            204,
            &[
                "accept-post: application/sdp",
                "access-control-allow-methods: ",
                "post",
                "access-control-allow-headers: authorization, content-type, if-match, etag",
                "access-control-max-age: ",
            ],
        ),
        (
            "OPTIONS",
            "/nobody",
            vec![],
            "",
            204,
            &["accept-patch: ", "application/trickle-ice-sdpfrag", "patch", "delete"],
        ),
        (
            "DELETE",
            "/nobody",
            vec![ADMITTED],
            "",
            404,
            &[
                "access-control-expose-headers: location, etag, link, accept-post, accept-patch, allow, retry-after",
            ],
        ),
    ];
    for row in before {
        check(row);
    }

    let begun =
        check(("POST", "", vec![ADMITTED, SDP], offer, 201, &["location: ", "etag: \"", "accept-patch: "]));
    let header = |name: &str| {
        let mut lines = begun.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let (Some(location), Some(etag)) = (header("location"), header("etag")) else {
        wrong.push(format!("nothing began: {}", begun.head));
        return wrong;
    };
    // Relative to the endpoint: what a proxy has in front of our paths is known to the client only.
    let name = endpoint.rsplit('/').next().unwrap_or_default();
    let Some(resource) = location.strip_prefix(name).filter(|resource| resource.starts_with('/')) else {
        wrong.push(format!("Location {location} is not {name}/…, relative to {endpoint}"));
        return wrong;
    };
    let candidate =
        |number: usize| format!("a=candidate:{number} 1 udp 1 10.77.0.2 {} typ host\r\n", 40_000 + number);
    let of = |user: &str, lines: &str| format!("a=ice-ufrag:{user}\r\nm=audio 9 X 0\r\na=mid:0\r\n{lines}");
    let fragment = of(ICE_USER, &candidate(1));
    let many = |count: usize| of(ICE_USER, &(0..count).map(candidate).collect::<String>());
    let (weak, list) = (format!("W/{etag}"), format!("\"x\", {etag}"));
    let (restart, mixed) =
        (of("other", &candidate(1)), format!("{fragment}m=video 9 X 0\r\na=mid:1\r\na=ice-ufrag:other\r\n"));
    let (too_many, twenty) = (many(1_200), many(20));
    let matching = |value| vec![ADMITTED, FRAGMENT, ("If-Match", value)];
    let bare = || vec![ADMITTED, FRAGMENT];
    let during: Vec<Row<'_>> = vec![
        ("PATCH", resource, matching(&etag), &fragment, 204, &[]),
        // A proxy that compresses makes it weak.
        ("PATCH", resource, matching(&weak), &fragment, 204, &[]),
        ("PATCH", resource, matching(&list), &fragment, 204, &[]),
        (
            "PATCH",
            resource,
            vec![ADMITTED, FRAGMENT, ("If-Match", "\"x\""), ("If-Match", &etag)],
            &fragment,
            204,
            &[],
        ),
        ("PATCH", resource, matching("*"), &fragment, 204, &[]),
        // As RFC 9725 writes it for an ICE restart.
        ("PATCH", resource, matching("\"*\""), &fragment, 204, &[]),
        ("PATCH", resource, bare(), &fragment, 204, &[]),
        ("PATCH", resource, matching("\"x\""), &fragment, 412, &[]),
        ("PATCH", resource, matching("W/\"x\", \"y\""), &fragment, 412, &[]),
        // ICE restarts are refused in words, and not answered as if they had been done.
        ("PATCH", resource, matching("\"*\""), &restart, 422, &[]),
        ("PATCH", resource, bare(), &mixed, 422, &[]),
        ("PATCH", resource, bare(), "hello", 400, &[]),
        // Candidates are counted: a client finds a handful.
        ("PATCH", resource, bare(), &too_many, 413, &[]),
        ("PATCH", resource, bare(), &twenty, 204, &[]),
        ("PATCH", resource, bare(), &twenty, 204, &[]),
        ("PATCH", resource, bare(), &twenty, 413, &[]),
        ("PATCH", resource, bare(), &fragment, 204, &[]),
        ("DELETE", resource, vec![], "", 401, challenge),
        ("DELETE", resource, vec![ADMITTED], "", 200, &[]),
        ("DELETE", resource, vec![ADMITTED], "", 404, &[]),
        ("PATCH", resource, bare(), &fragment, 404, &[]),
    ];
    for row in during {
        check(row);
    }
    wrong
}

/// JSON, and nothing but what went wrong.
fn is_our_error(answer: &Response) -> bool {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let fields = body.as_object().map_or(0, serde_json::Map::len);
    answer.head.to_lowercase().contains("content-type: application/json")
        && fields == 1
        && body["error"].is_string()
}
