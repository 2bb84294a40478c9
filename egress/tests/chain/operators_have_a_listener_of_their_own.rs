//! With `--admin` viewers find the page, WHEP and their session's events at the API's address and nothing else; operators find
//! everything at theirs. The page plays under its own policy.

use std::net::SocketAddr;

use serde_json::json;

use crate::common::{By, World, browser, lab, seen, start_egress};

#[test]
fn operators_have_a_listener_of_their_own() {
    let lab = lab();
    let world = World::start(&lab);
    // The one that the world waited for makes room for one with a listener for operators.
    world.egress.terminate().unwrap();
    let egress = start_egress(
        &lab,
        By::Janus,
        &[("ADMIN", "127.0.0.1:7080"), ("READ_TOKEN", "read-secret"), ("API_TOKEN", "api-secret")],
    );
    let world = World { egress, ..world };
    let admin: SocketAddr = ([127, 0, 0, 1], 7080).into();
    let reading = [("Authorization", "Bearer read-secret")];
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        lab::http::request(&lab, "eg", admin, method, path, headers, "").unwrap()
    };
    world.until("ready", || ask("GET", "/readyz", &[]).status == 200);
    let registered = || world.redis.cli(&["HGET", "node:egress-1", "admin"]).unwrap();
    world.until("others know where", || registered().trim() == admin.to_string());
    world.session("s1", 4001, [7777, 8888]);
    let _media = world.broadcast([7777, 8888]);
    world.until("media", || ask("GET", "/mountpoint/s1", &reading).body.contains("\"active\":true"));
    for path in [
        "/status",
        "/metrics",
        "/mountpoints",
        "/mountpoint/s1",
        "/viewers",
        "/portpool",
        "/topology",
        "/events",
        "/broadcasts",
    ] {
        assert_eq!(world.request("GET", path, &reading, "").0, 404, "{path}");
        assert_eq!(ask("GET", path, &[]).status, 401, "{path}");
        if path != "/events" {
            assert_eq!(ask("GET", path, &reading).status, 200, "{path}");
        }
    }
    for (method, path) in [("POST", "/mountpoint/create"), ("DELETE", "/mountpoint/s1"), ("POST", "/refresh")]
    {
        assert_eq!(
            world.request(method, path, &[("Authorization", "Bearer api-secret")], "").0,
            404,
            "{path}"
        );
        assert_eq!(ask(method, path, &reading).status, 401, "{path}: it only reads");
    }
    assert_eq!(world.request("GET", "/healthz", &[], "").0, 200);
    assert_eq!(world.request("GET", "/readyz", &[], "").0, 200);

    let (_, head, _) = world.request("GET", "/?id=s1", &[], "");
    for part in ["default-src 'none'", "script-src 'sha256-", "frame-ancestors 'self'", "base-uri 'none'"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    let browser = browser(&lab);
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    browser.open("http://10.77.0.1:7073/").unwrap();
    let list = || browser.run("return document.getElementById('empty').textContent").unwrap();
    world.until("the page says what to do", || {
        list() == json!("Open this page with the complete link that you were given.")
    });
}
