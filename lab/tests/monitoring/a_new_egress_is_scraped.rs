//! An egress that is added is scraped without anybody telling Prometheus, at the pace of deploy/monitoring: every 15 s.

use std::time::{Duration, Instant};

use lab::monitoring::watch;
use lab::relay::Mode;
use lab::studio::egress;
use lab::{Lab, Studio};

/// The list is looked at every 2 s, Prometheus takes a new one 5 s later at most, and scrapes every 15 s; the machine is busy.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_new_egress_is_scraped() {
    let lab = Lab::new("t-scraped-").unwrap();
    let mut studio = Studio::open(&lab, Mode::Tc, 1, 1).unwrap();
    let prometheus = watch(&studio, 1).unwrap();
    let up = |index| format!(r#"up{{job="media-tree-egress",node_id="{}"}} == 1"#, egress(index));
    prometheus.wait(&up(0), PATIENCE, |seen| !seen.is_empty()).unwrap();
    studio.add().unwrap();
    let began = Instant::now();
    let (seen, _) = prometheus.wait(&up(1), PATIENCE, |seen| !seen.is_empty()).unwrap();
    println!("the first sample of a new egress comes {:.1?} after it was ready", began.elapsed());
    assert_eq!(seen[0].labels["node_type"], "egress");
    // Its own series say whose they are, by names that nobody had to change.
    let own = prometheus.query(r#"{__name__=~"media_tree_.+",exported_node_id!=""}"#).unwrap();
    assert!(own.is_empty(), "{own:#?}");
    assert_eq!(prometheus.query("count by (node_id) (media_tree_egress_healthy)").unwrap().len(), 2);
}
