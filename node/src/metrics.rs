//! One scrape of `GET /metrics`: families that are built from one look at the node. What has to be kept in between, so that no
//! counter falls, is in [`Kept`] and [`Parents`].

mod kept;
mod repair;
mod standing;

use std::collections::HashMap;

use prometheus::core::{AtomicF64, Collector, GenericCounter, GenericGauge, MetricVec, MetricVecBuilder};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, Result, TextEncoder};

use crate::auth::Counts;
use crate::webhook::Told;

pub use kept::{Kept, Parents, add};
pub use standing::Standing;

/// Most sessions of a node that get series of their own: whoever runs broadcasts for a day would fill a Prometheus otherwise.
pub const MOST_SESSIONS: usize = 128;

/// The registry of one scrape.
pub struct Scrape {
    registry: Registry,
    namespace: String,
}

impl Scrape {
    /// Names begin with `media_tree_` and the node's type; every series has `tree_id` and `node_id`.
    pub fn new(node_type: &str, tree_id: &str, node_id: &str) -> Result<Scrape> {
        let labels = [("tree_id", tree_id), ("node_id", node_id)];
        let labels: HashMap<String, String> =
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let registry = Registry::new_custom(None, Some(labels))?;
        Ok(Scrape { registry, namespace: format!("media_tree_{node_type}") })
    }

    /// Of what is about several trees: every series has `node_id`, and its rows say of which tree they are.
    pub fn of_trees(kind: &str, node_id: &str) -> Result<Scrape> {
        let labels = HashMap::from([("node_id".to_owned(), node_id.to_owned())]);
        let registry = Registry::new_custom(None, Some(labels))?;
        Ok(Scrape { registry, namespace: format!("media_tree_{kind}") })
    }

    /// A family of gauges: a row is the labels' values and the number.
    pub fn gauge<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        self.family(GaugeVec::new(self.opts(name, help), &labels)?, rows, GenericGauge::<AtomicF64>::set)
    }

    /// The same of counters.
    pub fn counter<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        let family = CounterVec::new(self.opts(name, help), &labels)?;
        self.family(family, rows, GenericCounter::<AtomicF64>::inc_by)
    }

    /// A gauge without labels.
    pub fn one_gauge(&self, name: &str, help: &str, value: f64) -> Result<()> {
        self.gauge(name, help, [], [([], value)])
    }

    /// A counter without labels.
    pub fn one_counter(&self, name: &str, help: &str, value: f64) -> Result<()> {
        self.counter(name, help, [], [([], value)])
    }

    /// Who was let in and who was not, and what became of webhooks.
    pub fn doors(&self, admissions: Counts, told: Told) -> Result<()> {
        let help = "Who wanted to publish or watch, by what came of it.";
        self.counter("admissions_total", help, ["result"], admissions.rows())?;
        let help = "Webhooks: events delivered and dropped, and attempts that failed.";
        self.counter("webhook_events_total", help, ["result"], told.rows())?;
        self.one_gauge("webhook_events_queued", "Events that wait to be delivered.", told.queued as f64)
    }

    /// What counts by itself.
    pub fn add(&self, collector: impl Collector + 'static) -> Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// Everything, with the process itself, each family once.
    pub fn families(self) -> Result<Vec<MetricFamily>> {
        self.add(ProcessCollector::for_self())?;
        let mut families = self.registry.gather();
        // The registry appends the labels that all have in any order; a person who reads along wants one.
        for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
            metric.mut_label().sort();
        }
        Ok(families)
    }

    /// The same as Prometheus' text.
    pub fn text(self) -> Result<String> {
        TextEncoder::new().encode_to_string(&self.families()?)
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace(self.namespace.clone())
    }

    fn family<'a, B: MetricVecBuilder + 'static, const N: usize>(
        &self,
        family: MetricVec<B>,
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
        put: fn(&B::M, f64),
    ) -> Result<()> {
        for (values, value) in rows {
            put(&family.get_metric_with_label_values(&values)?, value);
        }
        self.add(family)
    }
}

/// 1 or 0.
pub fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_says_whose_it_is() {
        let scrape = Scrape::new("relay", "tree-1", "relay-1").unwrap();
        scrape.gauge("children", "Children.", ["state"], [(["held"], 2.0), (["stale"], 0.0)]).unwrap();
        scrape.one_counter("packets_total", "Packets.", 7.0).unwrap();
        scrape.one_gauge("healthy", "1 when it is.", flag(true)).unwrap();
        let text = scrape.text().unwrap();
        for line in [
            r#"media_tree_relay_children{node_id="relay-1",state="held",tree_id="tree-1"} 2"#,
            r#"media_tree_relay_children{node_id="relay-1",state="stale",tree_id="tree-1"} 0"#,
            "# TYPE media_tree_relay_packets_total counter",
            r#"media_tree_relay_packets_total{node_id="relay-1",tree_id="tree-1"} 7"#,
            r#"media_tree_relay_healthy{node_id="relay-1",tree_id="tree-1"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let mut series = text.lines().filter(|line| !line.starts_with('#'));
        assert!(series.all(|line| line.contains("node_id=\"relay-1\"")), "also the process' own: {text}");
    }
}
