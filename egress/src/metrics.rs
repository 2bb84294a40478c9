//! `GET /metrics`: one look at everything becomes Prometheus' text. Names are those of the contract; every series has
//! `tree_id` and `node_id`.

use std::collections::HashMap;

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, Result, TextEncoder};

use crate::codec::Kind;
use crate::state::Sample;

/// The text of a scrape.
pub fn text(sample: &Sample) -> Result<String> {
    TextEncoder::new().encode_to_string(&families(sample)?)
}

fn families(sample: &Sample) -> Result<Vec<MetricFamily>> {
    let status = &sample.status;
    let labels = HashMap::from([
        ("tree_id".to_owned(), status.tree_id.clone()),
        ("node_id".to_owned(), status.node_id.clone()),
    ]);
    let scrape = Scrape(Registry::new_custom(None, Some(labels))?);
    scrape.viewers(sample)?;
    scrape.ports(sample)?;
    scrape.media(sample)?;
    scrape.node(sample)?;
    scrape.0.register(Box::new(ProcessCollector::for_self()))?;
    let mut families = scrape.0.gather();
    for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
        metric.mut_label().sort();
    }
    Ok(families)
}

/// The registry of one scrape.
struct Scrape(Registry);

impl Scrape {
    fn viewers(&self, sample: &Sample) -> Result<()> {
        let status = &sample.status;
        self.gauge(
            "active_mountpoints",
            "Mountpoints in Janus.",
            [],
            [([], status.mountpoints.count as f64)],
        )?;
        self.gauge(
            "receiving_mountpoints",
            "Mountpoints that RTP arrives for.",
            [],
            [([], status.mountpoints.active as f64)],
        )?;
        let viewers = sample.mountpoints.iter().map(|mountpoint| {
            let viewers = mountpoint.more.as_ref().map_or(0, |more| more.viewers);
            ([mountpoint.session_id.as_str()], viewers as f64)
        });
        self.gauge("active_viewers", "Viewers whose connection is up.", ["session_id"], viewers)?;
        self.counter(
            "viewers_total",
            "Viewers whose connection has been up.",
            [],
            [([], status.viewers.served as f64)],
        )
    }

    fn ports(&self, sample: &Sample) -> Result<()> {
        let pool = &sample.status.port_pool;
        let one = |value: f64| [([], value)];
        self.gauge(
            "port_pool_utilization_percent",
            "Pairs of ports in use, of all.",
            [],
            one(pool.utilization_percent),
        )?;
        self.gauge("port_pool_allocated", "Pairs of ports in use.", [], one(f64::from(pool.allocated)))?;
        self.gauge("port_pool_available", "Pairs of ports that are free.", [], one(f64::from(pool.available)))
    }

    fn media(&self, sample: &Sample) -> Result<()> {
        let received = |of: fn(&(u64, u64)) -> u64| {
            Kind::BOTH
                .into_iter()
                .zip(&sample.received)
                .map(move |(kind, pair)| ([kind.name()], of(pair) as f64))
        };
        let stream = ["stream_type"];
        self.counter(
            "rtp_packets_received_total",
            "RTP packets of streams that have a mountpoint.",
            stream,
            received(|pair| pair.0),
        )?;
        self.counter(
            "rtp_bytes_received_total",
            "Bytes of these packets, RTP headers included.",
            stream,
            received(|pair| pair.1),
        )?;
        let dropped = sample.status.dropped.iter().flat_map(|(kind, reasons)| {
            reasons.iter().map(move |(reason, count)| ([*kind, *reason], *count as f64))
        });
        self.counter(
            "packets_dropped_total",
            "Packets on an RTP port that go nowhere, by reason.",
            ["stream_type", "reason"],
            dropped,
        )?;
        let of = |count: [u64; 2]| Kind::BOTH.into_iter().zip(count);
        let sessions: Vec<(&str, [u64; 2], [u64; 2])> = sample
            .mountpoints
            .iter()
            .filter_map(|mountpoint| {
                let more = mountpoint.more.as_ref()?;
                Some((mountpoint.session_id.as_str(), more.packets, more.republished))
            })
            .collect();
        let labels = ["session_id", "stream_type"];
        let packets = sessions.iter().flat_map(|(session, packets, _)| {
            of(*packets).map(move |(kind, n)| ([*session, kind.name()], n as f64))
        });
        self.counter("session_rtp_packets_received_total", "RTP packets of a session.", labels, packets)?;
        let anew = sessions.iter().flat_map(|(session, _, anew)| {
            of(*anew).map(move |(kind, n)| ([*session, kind.name()], n as f64))
        });
        self.counter("session_republished_total", "How often a stream began anew.", labels, anew)?;
        let keyframes = &sample.status.keyframes;
        self.counter(
            "keyframe_requests_total",
            "Requests for keyframes: asked for, and passed on up the tree.",
            ["state"],
            [(["asked"], keyframes.asked as f64), (["passed_on"], keyframes.passed_on as f64)],
        )
    }

    fn node(&self, sample: &Sample) -> Result<()> {
        let status = &sample.status;
        let flag = |is: bool| f64::from(u8::from(is));
        self.gauge("healthy", "1 when viewers would see every session.", [], [([], flag(status.healthy))])?;
        self.gauge("janus_connected", "1 while there is a Janus.", [], [([], flag(status.janus.connected))])?;
        self.counter(
            "janus_returns_total",
            "How often Janus came back.",
            [],
            [([], status.janus.returns as f64)],
        )?;
        self.counter(
            "pipeline_restarts_total",
            "How often a pipeline failed and was started again.",
            ["stream_type"],
            [
                (["audio"], status.gstreamer.audio_restarts as f64),
                (["video"], status.gstreamer.video_restarts as f64),
            ],
        )?;
        self.gauge("build_info", "Always 1.", ["version"], [([env!("CARGO_PKG_VERSION")], 1.0)])
    }

    fn gauge<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        let gauge = GaugeVec::new(Opts::new(format!("media_tree_egress_{name}"), help), &labels)?;
        for (values, value) in series {
            gauge.get_metric_with_label_values(&values)?.set(value);
        }
        self.0.register(Box::new(gauge))
    }

    fn counter<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        let counter = CounterVec::new(Opts::new(format!("media_tree_egress_{name}"), help), &labels)?;
        for (values, value) in series {
            counter.get_metric_with_label_values(&values)?.inc_by(value);
        }
        self.0.register(Box::new(counter))
    }
}
