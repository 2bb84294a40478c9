use crate::common::Scene;
use crate::whip_speaks_rfc_9725::OFFER;

/// The table that the egress is tried with as well.
#[test]
fn test() {
    let scene = Scene::with("alike", &[("WHIP_TOKEN", lab::wish::TOKEN)]);
    scene.create("s1");
    let wrong = lab::wish::differences("/whip/endpoint/s1", OFFER, |method, path, headers, body| {
        scene.ask_with(method, path, headers, body)
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
