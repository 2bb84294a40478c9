use crate::common::{LONG, Scene, until};

/// With tokens: WHIP asks for its own and not for the API's, the API for its own.
#[test]
fn test() {
    let scene = Scene::with("token", &[("WHIP_TOKEN", "whip-secret"), ("API_TOKEN", "api-secret")]);
    let json = ("Content-Type", "application/json");
    let wish = r#"{"sessionId":"s1"}"#;
    let api = ("Authorization", "Bearer api-secret");
    assert_eq!(scene.ask_with("POST", "/session", &[json], wish).status, 401);
    assert_eq!(
        scene.ask_with("POST", "/session", &[json, ("Authorization", "Bearer whip-secret")], wish).status,
        401
    );
    assert_eq!(scene.ask_with("POST", "/session", &[json, api], wish).status, 201);
    for arguments in [&["vp8"][..], &["vp8", "wrong"], &["vp8", "api-secret"]] {
        let refused = scene.publisher_with("s1", arguments);
        assert_eq!(refused.wait(LONG).unwrap().code(), Some(1));
        assert!(refused.log().contains("401") && refused.log().contains("WHIP_TOKEN"), "{}", refused.log());
    }
    let publisher = scene.publisher_with("s1", &["vp8", "whip-secret"]);
    until("media", || scene.session("s1")["publisher"]["state"] == "publishing");
    for method in ["PATCH", "DELETE"] {
        assert_eq!(scene.ask_with(method, "/whip/endpoint/s1/key", &[api], "").status, 401, "{method}");
    }
    // A publisher is no operator: it ends nobody's publication but its own.
    let whip = ("Authorization", "Bearer whip-secret");
    assert_eq!(scene.ask_with("DELETE", "/session/s1/publisher", &[whip], "").status, 401);
    assert_eq!(scene.ask_with("DELETE", "/whip/endpoint/s1", &[whip], "").status, 405);
    assert_eq!(scene.session("s1")["publisher"]["state"], "publishing");
    publisher.terminate().unwrap();
    assert!(publisher.log().contains("deleted 200"), "{}", publisher.log());
    let answers = scene.status().to_string() + &scene.injection.log();
    for secret in ["whip-secret", "api-secret", "hunter"] {
        assert!(!answers.contains(secret), "{secret} is shown");
    }
}
