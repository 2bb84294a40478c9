use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Scene, api, until_within};

/// With `--admin` publishers find the page and WHIP at the API's address and nothing else; operators find everything at theirs.
/// The page may do what it needs, and is in nobody's frame.
#[test]
fn test() {
    let environment = [("ADMIN", "127.0.0.1:7080"), ("FRAME_ANCESTORS", "https://www.example.com")];
    let scene = Scene::with("admin", &environment);
    let admin: SocketAddr = ([127, 0, 0, 1], 7080).into();
    let ask = |at, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        lab::http::request(scene.lab, "node", at, method, path, headers, body).unwrap()
    };
    let json = [("Content-Type", "application/json")];
    let wish = r#"{"sessionId":"s1","audioSsrc":1111,"videoSsrc":2222}"#;
    let operators = [
        ("POST", "/session/create", wish, 201),
        ("GET", "/session/s1", "", 200),
        ("GET", "/sessions", "", 200),
        ("GET", "/status", "", 200),
        ("GET", "/topology", "", 200),
        ("GET", "/metrics", "", 200),
        ("POST", "/refresh", "", 200),
    ];
    for (method, path, body, status) in operators {
        assert_eq!(ask(api(), method, path, &json, body).status, 404, "{method} {path}");
        assert_eq!(ask(admin, method, path, &json, body).status, status, "{method} {path}");
    }
    for (method, path, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/publish?id=s1", 200),
        ("OPTIONS", "/whip/endpoint/s1", 204),
        ("GET", "/standing?id=s1&key=abc", 403),
    ] {
        for at in [api(), admin] {
            assert_eq!(ask(at, method, path, &[], "").status, status, "{method} {path}");
        }
    }
    assert!(
        lab::http::get(scene.lab, "far", ([10, 77, 0, 1], 7080).into(), "/status").is_err(),
        "it is on loopback"
    );

    let head = ask(api(), "GET", "/publish", &[], "").head.to_lowercase();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "frame-ancestors 'self' https://www.example.com",
        "base-uri 'none'",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(!head.contains("unsafe"), "{head}");
    let browser = lab::Browser::start(scene.lab, "far", &[]).unwrap();
    browser.open("http://10.77.0.1:7070/publish?id=s1&source=pattern&auto").unwrap();
    let state = || ask(admin, "GET", "/session/s1", &[], "").body;
    until_within(Duration::from_secs(45), "the page publishes", || {
        state().contains("\"state\":\"publishing\"")
    });
    // It learns how it stands without what operators read.
    let live = browser.run("return standing()").unwrap();
    assert_eq!((&live["gone"], &live["publisher"]), (&false.into(), &true.into()), "{live}");
    // What somebody gets into it does not run.
    let injected = "const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s); \
                    return window.pwned || 0";
    assert_eq!(browser.run(injected).unwrap(), 0);
}
