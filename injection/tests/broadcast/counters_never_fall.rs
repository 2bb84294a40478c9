use crate::common::{Scene, until};

/// What has happened has happened, also when the session that it happened to is gone.
#[test]
fn test() {
    let scene = Scene::start("count");
    scene.child();
    // The sum of all series of this name that have these labels.
    let sum = |name: &str, label: &str| {
        let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
        let start = format!("media_tree_injection_{name}{{");
        let series = metrics.lines().filter(|line| line.starts_with(&start) && line.contains(label));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    let publications = || sum("publications_total", "");
    let sent = || sum("media_packets_sent_total", "");
    let of_the_session = || sum("rtp_packets_sent_total", "session_id=\"s1\"");
    assert_eq!((publications(), sent()), (0.0, 0.0));
    for n in 1..=2 {
        let before = sent();
        scene.create("s1");
        assert_eq!(of_the_session(), before, "its series go on where they were");
        let publisher = scene.publisher("s1", "vp8");
        assert_eq!(publications(), f64::from(n));
        until("media is sent", || sent() > before + 100.0);
        let live = sent();
        assert_eq!(scene.ask("DELETE", "/session/s1", "").0, 200);
        assert_eq!(publications(), f64::from(n), "after its end");
        assert!(sent() >= live, "after its end");
        assert_eq!(sum("child_packets_total", "egress-1"), sent(), "all of it went to the child");
        assert_eq!(of_the_session(), 0.0, "what is gone has no series");
        publisher.kill9().unwrap();
    }
}
