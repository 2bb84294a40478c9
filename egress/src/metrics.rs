//! `GET /metrics`: one look at everything becomes Prometheus' text. All of them are in docs/contract.md,
//! *Metrics*.

mod sessions;

use node::media::Kind;
use node::metrics::{self, Scrape, flag};
use node::record::NodeType;
use prometheus::Result;

use crate::capacity::Limit;
use crate::joins::Outcome;
use crate::lifecycle::Standing;
use crate::quality::Sums;
use crate::server::Repairs;
use crate::view::Sample;

/// Media that goes nowhere, as `dropped` in `/status` names it; and what is none, or has come already.
const DROPPED: [&str; 2] = ["unknown_ssrc", "stranger"];
const IGNORED: [&str; 4] = ["duplicate", "short", "not_rtp", "rtcp"];

/// The text of a scrape.
pub fn text(sample: &Sample) -> Result<String> {
    let status = &sample.status;
    let scrape = Scrape::of(&metrics::Standing {
        node_type: NodeType::Egress,
        tree_id: &status.tree_id,
        node_id: &status.node_id,
        healthy: status.healthy,
        draining: status.drain.is_some(),
        topology: &status.topology,
        redis: status.redis.as_ref(),
        taken: sample.taken.as_ref(),
        heard: &sample.heard,
        http: &sample.http,
        redirects: &sample.redirects,
    })?;
    viewers(&scrape, sample)?;
    sessions::sessions(&scrape, sample)?;
    ports(&scrape, sample)?;
    quality(&scrape, sample)?;
    page(&scrape, sample)?;
    media(&scrape, sample)?;
    node(&scrape, sample)?;
    scrape.doors(sample.admissions, sample.told)?;
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
    scrape.one_counter(
        "viewers_total",
        "Viewers whose connection has been up.",
        status.viewers.served as f64,
    )?;
    let [taken, most] = sample.places.map(|places| places as f64);
    scrape.one_gauge("max_viewers", "Places for viewers.", most)?;
    scrape.one_gauge("viewer_places_taken", "Places that are taken, by viewers that join too.", taken)?;
    scrape.gauge(
        "viewers_in_the_dark",
        "Viewers who are connected, and have been sent nothing for more than a second.",
        ["why"],
        [(["nothing_comes"], sample.dark.nothing_comes as f64), (["not_sent"], sample.dark.not_sent as f64)],
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

/// Of the native server, and of a Janus whose admin API is asked as far as it says.
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
    let Sums { packets, bytes, lost, repairs: Repairs { resent, unanswered, dropped } } = *sums;
    for (name, help, count) in [
        ("viewer_packets_sent_total", "RTP packets sent to viewers, retransmissions included.", packets),
        ("viewer_bytes_sent_total", "Bytes of these packets.", bytes),
        ("viewer_packets_lost_total", "RTP packets that viewers lost, before retransmission.", lost),
    ] {
        scrape.one_counter(name, help, count as f64)?;
    }
    if sample.status.native.is_some() {
        for (name, help, count) in [
            ("viewer_packets_resent_total", "RTP packets sent again because viewers asked.", resent),
            ("viewer_packets_unanswered_total", "RTP packets that viewers asked for too late.", unanswered),
            ("viewer_packets_dropped_total", "RTP packets that could not be sent to their viewers.", dropped),
        ] {
            scrape.one_counter(name, help, count as f64)?;
        }
    }
    for histogram in histograms {
        scrape.add(histogram.clone())?;
    }
    Ok(())
}

/// What our own page says, whatever serves it.
fn page(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let reports = &sample.reports;
    let [taken, refused] = reports.counts().map(|count| count as f64);
    scrape.counter(
        "page_reports_total",
        "Reports of pages on how they fare.",
        ["result"],
        [(["taken"], taken), (["refused"], refused)],
    )?;
    let help = "How often pictures froze, as pages report.";
    scrape.one_counter("page_freezes_total", help, reports.freezes() as f64)?;
    reports.histograms().into_iter().try_for_each(|histogram| scrape.add(histogram.clone()))
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
    let of = |reasons: &'static [&'static str]| {
        sample.status.dropped.iter().flat_map(move |(kind, counts)| {
            reasons.iter().filter_map(move |reason| Some(([*kind, *reason], *counts.get(reason)? as f64)))
        })
    };
    let labels = ["stream_type", "reason"];
    let help = "RTP packets on an RTP port that go nowhere, by reason.";
    scrape.counter("packets_dropped_total", help, labels, of(&DROPPED))?;
    let help = "Packets on an RTP port that are no media, by reason.";
    scrape.counter("packets_ignored_total", help, labels, of(&IGNORED))?;
    let overflow = Kind::BOTH.into_iter().zip(sample.overflow);
    let help = "Packets that the kernel dropped because they were not read in time.";
    let overflow = overflow.map(|(kind, packets)| ([kind.name()], packets as f64));
    scrape.counter("receive_overflow_total", help, stream, overflow)?;
    let buffer = sample.receive_buffer.map(|bytes| ([], bytes as f64));
    let help = "The smallest receive buffer that the kernel has given for media.";
    scrape.gauge("receive_buffer_bytes", help, [], buffer)?;
    repair(scrape, sample)?;
    keyframes(scrape, sample)
}

/// Only where what is missing is asked for.
fn repair(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let Some(repair) = &sample.repair else { return Ok(()) };
    scrape.repair_asking(&repair.asking, repair.round_trip)?;
    scrape.repair_parents(&sample.repair_of_parents)?;
    let help = "Gaps that were not looked at: more came than could be taken.";
    scrape.one_counter("repair_unheard_total", help, repair.left_out as f64)
}

fn keyframes(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let keyframes = &sample.status.keyframes;
    scrape.counter(
        "keyframe_requests_total",
        "Requests for keyframes: asked for, and passed on up the tree.",
        ["state"],
        [(["asked"], keyframes.asked as f64), (["passed_on"], keyframes.passed_on as f64)],
    )?;
    let waiting = &sample.keyframes;
    let help = "Streams whose keyframe was asked for more than five seconds ago and has not come.";
    scrape.one_gauge("keyframes_overdue", help, waiting.overdue as f64)?;
    let help = "How often a keyframe had not come five seconds after it was asked for.";
    scrape.one_counter("keyframes_missed_total", help, waiting.missed as f64)?;
    scrape.add(waiting.took.clone())
}

fn node(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let status = &sample.status;
    let standing = &status.standing;
    scrape.one_gauge("cut_off", "1 while no media can reach it.", flag(standing.dark().is_some()))?;
    let help = "1 while media comes though it has no parent any more: nobody is sent there.";
    scrape.one_gauge("orphaned", help, flag(matches!(standing, Standing::Orphaned(_))))?;
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
    )
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
    use node::tree::RedisView;
    use node::view::Gstreamer;
    use node::webhook::Told;

    use super::*;
    use crate::keyframes::Waits;
    use crate::lifecycle::Cut;
    use crate::portpool::PortPool;
    use crate::quality::Quality;
    use crate::reports::Reports;
    use crate::state::Dark;
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
            standing: Standing::Attached,
            topology: TopologyView { parent: Some("relay-1".to_owned()), ..TopologyView::default() },
            redis: Some(RedisView { looked: Some(std::time::Instant::now()), ..RedisView::default() }),
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
            dropped: BTreeMap::from([(
                "audio",
                BTreeMap::from([("rtcp", 1), ("stranger", 2), ("overflow", 3)]),
            )]),
            keyframes: Keyframes { asked: 2, passed_on: 1 },
            repair: None,
            drain: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        Sample {
            status,
            mountpoints: vec![mountpoint],
            counted: vec![[17, 18, 0, 2]],
            taken: Some(("relay-1".to_owned(), 42)),
            heard: vec![("relay-1".to_owned(), true), ("relay-2".to_owned(), false)],
            overflow: [0, 3],
            repair: Some(crate::repair::Figures {
                round_trip: Some(std::time::Duration::from_millis(20)),
                ..Default::default()
            }),
            repair_of_parents: vec![node::repair::OfParent {
                parent: "relay-1".to_owned(),
                round_trip: Some(std::time::Duration::from_millis(20)),
                ..Default::default()
            }],
            receive_buffer: Some(4 << 20),
            dark: Dark { nothing_comes: 1, not_sent: 2 },
            keyframes: Waits::default().view(),
            reports: Reports::default(),
            places: [2, 300],
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
    fn an_egress_that_media_comes_to_all_the_same_is_orphaned_and_not_cut_off() {
        let cut = || Cut::NoParent("relay-1".to_owned());
        for (standing, cut_off, orphaned) in [
            (Standing::Attached, 0, 0),
            (Standing::Orphaned(cut()), 0, 1),
            (Standing::CutOff(cut()), 1, 0),
            (Standing::Released(cut()), 1, 0),
        ] {
            let mut sample = sample();
            sample.status.standing = standing;
            for (name, wanted) in [("cut_off", cut_off), ("orphaned", orphaned)] {
                let line = format!(r#"{name}{{node_id="egress-1",tree_id="tree-1"}} {wanted}"#);
                assert!(text(&sample).unwrap().contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn what_is_no_media_is_not_dropped_and_what_was_counted_before_is_there() {
        let text = text(&sample()).unwrap();
        let node = r#"node_id="egress-1""#;
        for line in [
            format!(
                r#"packets_dropped_total{{{node},reason="stranger",stream_type="audio",tree_id="tree-1"}} 2"#
            ),
            format!(
                r#"packets_ignored_total{{{node},reason="rtcp",stream_type="audio",tree_id="tree-1"}} 1"#
            ),
            format!(r#"receive_overflow_total{{{node},stream_type="video",tree_id="tree-1"}} 3"#),
            format!(
                r#"session_rtp_packets_received_total{{{node},session_id="s",stream_type="video",tree_id="tree-1"}} 18"#
            ),
            format!(
                r#"session_republished_total{{{node},session_id="s",stream_type="video",tree_id="tree-1"}} 2"#
            ),
            format!(r#"parent_packets_total{{{node},parent="relay-1",tree_id="tree-1"}} 42"#),
            format!(r#"parent_heard{{{node},parent="relay-2",tree_id="tree-1"}} 0"#),
            format!(r#"viewers_in_the_dark{{{node},tree_id="tree-1",why="not_sent"}} 2"#),
        ] {
            let line = format!("media_tree_egress_{line}");
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let dropped =
            text.lines().filter(|line| line.starts_with("media_tree_egress_packets_dropped_total{"));
        assert_eq!(dropped.count(), 1, "{text}");
    }

    #[test]
    fn only_the_liveliest_sessions_have_series_of_their_own_and_the_sum_of_viewers_is_right() {
        let mut many = sample();
        let one = many.mountpoints.remove(0);
        many.mountpoints = (0..1000)
            .map(|number| {
                let more = Details { viewers: number, ..one.more.clone().unwrap() };
                MountpointView { session_id: format!("s{number}"), more: Some(more), ..one.clone() }
            })
            .collect();
        let text = text(&many).unwrap();
        let of = |name: &str| {
            let start = format!("media_tree_egress_{name}{{");
            text.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect::<Vec<_>>()
        };
        let viewers = of("active_viewers");
        let sum: f64 =
            viewers.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
        assert_eq!((viewers.len(), sum), (129, 999.0 * 500.0));
        assert!(viewers.iter().any(|line| line.contains("\"s999\"")) && !text.contains("\"s0\""));
        assert_eq!(of("session_rtp_packets_received_total").len(), 256);
        assert!(of("sessions_not_shown")[0].ends_with(" 872"));
    }

    #[test]
    fn all_are_documented() {
        let by_janus = sample();
        let mut native = sample();
        native.status.janus = None;
        native.status.port_pool = None;
        native.status.topology.standby = vec!["relay-2".to_owned()];
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
