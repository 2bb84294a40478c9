//! Every query of every panel of `deploy/monitoring/grafana`, on a real Prometheus that looked at a real tree: it gives something.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::Lab;
use lab::monitoring::panels::{dashboards, panels};
use lab::monitoring::{Scene, faster};

/// How many times faster than in production.
const TIMES: u32 = 15;
/// Between two things that happen: a few scrapes, and more than the windows of the rules.
const PAUSE: Duration = Duration::from_secs(6);
/// Panels that are empty while all is well, as it is here.
const EMPTY_WHEN_WELL: [&str; 3] = ["Alerts that fire", "Dropped", "Refused and moved"];

#[test]
fn test() {
    let lab = Lab::new("t-panels-").unwrap();
    let began = now();
    let mut scene = Scene::open(&lab, TIMES).unwrap();
    scene.play(PAUSE).unwrap();
    let ended = now();
    // With every gauge and counter that Prometheus got, for whoever looks for the right one.
    let names = || -> Vec<String> {
        let names = scene.prometheus.get("/api/v1/label/__name__/values").unwrap();
        names["data"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut empty = BTreeMap::new();
    let mut queries = 0;
    for panel in dashboards().unwrap().iter().flat_map(|file| panels(file).unwrap()) {
        for query in &panel.queries {
            queries += 1;
            let expression = faster(&query.promql("1m"), TIMES);
            let found = scene.prometheus.range(&expression, began..ended, 1.0).unwrap();
            if found.is_empty() && !EMPTY_WHEN_WELL.contains(&panel.title.as_str()) {
                empty.insert(format!("{}: {}: {}", panel.dashboard, panel.row, panel.title), expression);
            }
        }
    }
    println!("{queries} queries");
    assert!(empty.is_empty(), "{empty:#?}\n{:?}{}", names(), scene.studio.diagnosis());
    scene.end().unwrap();
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
