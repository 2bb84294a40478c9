//! Every query of every panel of `deploy/monitoring/grafana`, on a real Prometheus that looked at a real tree: it gives something.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::Lab;
use lab::monitoring::panels::{Panel, dashboards, panels};
use lab::monitoring::{Prometheus, Scene, faster};

/// How many times faster than in production.
const TIMES: u32 = 15;
/// Between two things that happen: a few scrapes, and more than the windows of the rules.
const PAUSE: Duration = Duration::from_secs(5);
/// Viewers are looked at every ten seconds; our page speaks as rarely.
const PATIENCE: Duration = Duration::from_secs(60);
/// Panels that are empty while all is well.
const EMPTY_WHEN_WELL: [&str; 3] = ["Alerts that fire", "Dropped", "Refused and moved"];

#[test]
fn test() {
    let lab = Lab::new("t-panels-").unwrap();
    let began = now();
    let mut scene = Scene::open(&lab, TIMES).unwrap();
    scene.play(PAUSE).unwrap();
    let all: Vec<Panel> = dashboards().unwrap().iter().flat_map(|file| panels(file).unwrap()).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let empty = empty(&scene.prometheus, &all, began);
        if empty.is_empty() {
            break;
        }
        let names = || scene.prometheus.get("/api/v1/label/__name__/values");
        assert!(Instant::now() < deadline, "{empty:#?}\n{:?}{}", names(), scene.studio.diagnosis());
        // As often as Prometheus looks.
        std::thread::sleep(Duration::from_secs(1));
    }
    println!(
        "{} queries of {} panels",
        all.iter().map(|panel| panel.queries.len()).sum::<usize>(),
        all.len()
    );
    scene.end().unwrap();
}

/// What shows nothing and should, and what it asks for.
fn empty(prometheus: &Prometheus<'_>, panels: &[Panel], began: f64) -> BTreeMap<String, String> {
    let mut empty = BTreeMap::new();
    for panel in panels.iter().filter(|panel| !EMPTY_WHEN_WELL.contains(&panel.title.as_str())) {
        for query in &panel.queries {
            let expression = faster(&query.promql("1m"), TIMES);
            let found = prometheus.range(&expression, began..now(), 1.0).unwrap();
            let values = found.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
            if !values.into_iter().any(f64::is_finite) {
                empty.insert(format!("{}, {}, {}", panel.dashboard, panel.row, panel.title), expression);
            }
        }
    }
    empty
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
