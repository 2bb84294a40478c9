//! `GET /metrics`: one look at everything becomes Prometheus' text. All of them are in docs/contract.md,
//! *Metrics*.

use node::media::Kind;
use node::metrics::{Scrape, flag};
use prometheus::Result;

use crate::capacity::Limit;
use crate::joins::Outcome;
use crate::quality::Sums;
use crate::view::Sample;

/// The text of a scrape.
pub fn text(sample: &Sample) -> Result<String> {
    let status = &sample.status;
    let scrape = Scrape::new("egress", &status.tree_id, &status.node_id)?;
    viewers(&scrape, sample)?;
    ports(&scrape, sample)?;
    quality(&scrape, sample)?;
    media(&scrape, sample)?;
    node(&scrape, sample)?;
    scrape.doors(sample.admissions, sample.told)?;
    sample.http.scrape(&scrape)?;
    sample.redirects.scrape(&scrape)?;
    scrape.text()
}

fn viewers(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let status = &sample.status;
    scrape.one_gauge("active_mountpoints", "Mountpoints.", status.mountpoints.count as f64)?;
    scrape.one_gauge(
        "receiving_mountpoints",
        "Mountpoints that RTP arrives for.",
        status.mountpoints.active as f64,
    )?;
    let viewers = sample.mountpoints.iter().map(|mountpoint| {
        let viewers = mountpoint.more.as_ref().map_or(0, |more| more.viewers);
        ([mountpoint.session_id.as_str()], viewers as f64)
    });
    scrape.gauge("active_viewers", "Viewers whose connection is up.", ["session_id"], viewers)?;
    scrape.one_counter(
        "viewers_total",
        "Viewers whose connection has been up.",
        status.viewers.served as f64,
    )?;
    let capacity = &sample.capacity;
    scrape.one_gauge(
        "joining_viewers",
        "Viewers whose connection is about to come up.",
        capacity.joining as f64,
    )?;
    scrape.one_gauge("event_connections", "Connections for events.", capacity.listening as f64)?;
    let joins = Outcome::ALL.iter().zip(sample.joins.outcomes);
    scrape.counter(
        "joins_total",
        "Joins of viewers, by what became of them.",
        ["result"],
        joins.map(|(outcome, count)| ([outcome.name()], count as f64)),
    )?;
    scrape.add(sample.joins.stages.clone())?;
    let moved = sample.moved;
    scrape.counter(
        "moves_total",
        "Viewers who were told to go on at another egress, or let go because they could not be told.",
        ["result"],
        [(["told"], moved[0] as f64), (["let_go"], moved[1] as f64)],
    )?;
    let refused = Limit::ALL.iter().zip(capacity.refused);
    scrape.counter(
        "refused_total",
        "Viewers and connections for events refused because there would be too many.",
        ["limit"],
        refused.map(|(limit, count)| ([limit.name()], count as f64)),
    )
}

fn ports(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let Some(pool) = &sample.status.port_pool else { return Ok(()) };
    scrape.one_gauge(
        "port_pool_utilization_percent",
        "Pairs of ports in use, of all.",
        pool.utilization_percent,
    )?;
    scrape.one_gauge("port_pool_allocated", "Pairs of ports in use.", f64::from(pool.allocated))?;
    scrape.one_gauge("port_pool_available", "Pairs of ports that are free.", f64::from(pool.available))
}

/// Only of the native server.
fn quality(scrape: &Scrape, sample: &Sample) -> Result<()> {
    if let Some(native) = &sample.status.native {
        let dropped = native.dropped.iter().map(|(reason, count)| ([*reason], *count as f64));
        scrape.counter(
            "media_port_dropped_total",
            "What came by the media port, or was to leave by it, and was dropped, by reason.",
            ["reason"],
            dropped,
        )?;
    }
    let Some((sums, histograms)) = &sample.quality else { return Ok(()) };
    let Sums { packets, bytes, resent, unanswered, lost, dropped } = *sums;
    for (name, help, count) in [
        ("viewer_packets_sent_total", "RTP packets sent to viewers, retransmissions included.", packets),
        ("viewer_bytes_sent_total", "Bytes of these packets.", bytes),
        ("viewer_packets_resent_total", "RTP packets sent again because viewers asked.", resent),
        ("viewer_packets_unanswered_total", "RTP packets that viewers asked for too late.", unanswered),
        ("viewer_packets_lost_total", "RTP packets that viewers lost, before retransmission.", lost),
        ("viewer_packets_dropped_total", "RTP packets that could not be sent to their viewers.", dropped),
    ] {
        scrape.one_counter(name, help, count as f64)?;
    }
    for histogram in histograms {
        scrape.add(histogram.clone())?;
    }
    Ok(())
}

fn media(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let received = |of: fn(&(u64, u64)) -> u64| {
        Kind::BOTH.into_iter().zip(&sample.received).map(move |(kind, pair)| ([kind.name()], of(pair) as f64))
    };
    let stream = ["stream_type"];
    scrape.counter(
        "rtp_packets_received_total",
        "RTP packets of streams that have a mountpoint.",
        stream,
        received(|pair| pair.0),
    )?;
    scrape.counter(
        "rtp_bytes_received_total",
        "Bytes of these packets, RTP headers included.",
        stream,
        received(|pair| pair.1),
    )?;
    let dropped = sample.status.dropped.iter().flat_map(|(kind, reasons)| {
        reasons.iter().map(move |(reason, count)| ([*kind, *reason], *count as f64))
    });
    scrape.counter(
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
    scrape.counter("session_rtp_packets_received_total", "RTP packets of a session.", labels, packets)?;
    let anew = sessions
        .iter()
        .flat_map(|(session, _, anew)| of(*anew).map(move |(kind, n)| ([*session, kind.name()], n as f64)));
    scrape.counter("session_republished_total", "How often a stream began anew.", labels, anew)?;
    let keyframes = &sample.status.keyframes;
    scrape.counter(
        "keyframe_requests_total",
        "Requests for keyframes: asked for, and passed on up the tree.",
        ["state"],
        [(["asked"], keyframes.asked as f64), (["passed_on"], keyframes.passed_on as f64)],
    )
}

fn node(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let status = &sample.status;
    scrape.one_gauge("healthy", "1 when it can do its job.", flag(status.healthy))?;
    scrape.one_gauge("cut_off", "1 while no media can reach it.", flag(status.cut_off))?;
    if let Some(janus) = &status.janus {
        scrape.one_gauge("janus_connected", "1 while there is a Janus.", flag(janus.connected))?;
        scrape.one_counter("janus_returns_total", "How often Janus came back.", janus.returns as f64)?;
    }
    scrape.counter(
        "pipeline_restarts_total",
        "How often a pipeline failed and was started again.",
        ["stream_type"],
        [
            (["audio"], status.gstreamer.audio_restarts as f64),
            (["video"], status.gstreamer.video_restarts as f64),
        ],
    )?;
    scrape.gauge("build_info", "Always 1.", ["version"], [([env!("CARGO_PKG_VERSION")], 1.0)])
}

#[cfg(test)]
#[path = "../../node/tests/support/documented.rs"]
mod documented;
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use node::auth::Counts;
    use node::http::Taken;
    use node::media::{Ssrc, VideoCodec};
    use node::topology::TopologyView;
    use node::view::Gstreamer;
    use node::webhook::Told;

    use super::*;
    use crate::portpool::PortPool;
    use crate::quality::Quality;
    use crate::view::{
        Counted, Details, JanusView, Keyframes, MountpointView, NativeView, Network, Status, Watching,
    };

    fn sample() -> Sample {
        let more = Details {
            audio_ssrc: Ssrc(1),
            video_ssrc: Ssrc(2),
            video_codec: VideoCodec::Vp8,
            active: true,
            reason: None,
            viewers: 1,
            automatic: true,
            created_at: 0,
            packets: [7, 8],
            republished: [0, 1],
        };
        let mountpoint = MountpointView {
            session_id: "s".to_owned(),
            mountpoint_id: 1,
            whep_url: "/whep/endpoint/s".to_owned(),
            janus_audio_port: Some(6000),
            janus_video_port: Some(6001),
            more: Some(more),
        };
        let status = Status {
            node_id: "egress-1".to_owned(),
            node_type: "egress",
            tree_id: "tree-1".to_owned(),
            healthy: true,
            uptime: 0,
            network: Network { host: None, port: 7073, audio_port: 5002, video_port: 5004 },
            standing: "attached",
            cut_off: false,
            topology: TopologyView::default(),
            redis: None,
            gstreamer: Gstreamer {
                audio_running: true,
                video_running: true,
                audio_restarts: 0,
                video_restarts: 0,
            },
            server: "janus",
            janus: Some(JanusView { url: String::new(), connected: true, problem: None, returns: 0 }),
            native: None,
            mountpoints: Counted { count: 1, active: 1 },
            viewers: Watching { connected: 1, connecting: 0, served: 1 },
            port_pool: Some(PortPool::new(6000, 100).unwrap().view()),
            sources: vec!["any".to_owned()],
            dropped: BTreeMap::from([("audio", BTreeMap::from([("rtcp", 1)]))]),
            keyframes: Keyframes { asked: 2, passed_on: 1 },
            drain: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        Sample {
            status,
            mountpoints: vec![mountpoint],
            received: [(1, 100), (2, 200)],
            admissions: Counts::default(),
            told: Told::default(),
            capacity: Default::default(),
            joins: crate::joins::Books::default().view(),
            quality: None,
            http: Taken::default(),
            moved: [1, 1],
            redirects: node::watch::Redirects::example(),
        }
    }

    #[test]
    fn all_are_documented() {
        let by_janus = sample();
        let mut native = sample();
        native.status.janus = None;
        native.status.port_pool = None;
        native.status.native = Some(NativeView {
            media_port: 7075,
            media_threads: 1,
            dropped: BTreeMap::from([("garbage", 1)]),
        });
        let quality = Quality::default();
        native.quality = Some((quality.sums(), quality.histograms()));
        let scrapes = [by_janus, native].map(|sample| text(&sample).unwrap());
        documented::are_the_metrics_of("media_tree_egress_", &scrapes);
    }
}
