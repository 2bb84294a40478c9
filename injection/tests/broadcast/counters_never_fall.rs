use crate::common::Scene;

/// What has happened has happened, also when the session that it happened to is gone.
#[test]
fn test() {
    let scene = Scene::start("count");
    let publications = || {
        let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
        let line = metrics.lines().find(|line| line.starts_with("media_tree_injection_publications_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(publications(), 0.0);
    for n in 1..=2 {
        scene.create("s1");
        let publisher = scene.publisher("s1", "vp8");
        assert_eq!(publications(), f64::from(n));
        assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
        assert_eq!(publications(), f64::from(n), "after its end");
        publisher.kill9().unwrap();
    }
}
