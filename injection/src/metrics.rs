//! `GET /metrics`: one look at the injection as Prometheus text, without I/O.

use std::cmp::Reverse;

use node::auth::Counts;
use node::media::{Kind, PerKind, Ssrc};
use node::metrics::{MOST_SESSIONS, Scrape, Standing, flag};
use node::record::NodeType;
use node::topology::TopologyView;
use node::tree::RedisView;
use node::webhook::Told;
use prometheus::Result;

use crate::answers::Figures;
use crate::pipeline::Count;

/// One look.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Tree.
    pub tree_id: String,
    /// Node.
    pub node_id: String,
    /// It can do its job.
    pub healthy: bool,
    /// It gives away its publications.
    pub draining: bool,
    /// Its place in the tree.
    pub topology: TopologyView,
    /// How it stands with Redis; none in one that is run without.
    pub redis: Option<RedisView>,
    /// Sessions.
    pub sessions: usize,
    /// Those with a publisher.
    pub publishing: usize,
    /// Children.
    pub children: usize,
    /// What each child was sent, of those whose address is known: packets, bytes; packets that it asked for again, and of these those
    /// that it was sent and those that it was not.
    pub sent: Vec<(String, [u64; 5])>,
    /// What all sessions have counted that there are and that there have been.
    pub sums: PerKind<Count>,
    /// Bytes of the smallest receive buffer.
    pub receive_buffer: Option<usize>,
    /// Connected to Janus.
    pub janus: bool,
    /// Times that Janus was connected to.
    pub janus_connections: u64,
    /// Pipelines started again.
    pub restarts: u64,
    /// Publications.
    pub publications: u64,
    /// Packets that the kernel dropped.
    pub overflow: PerKind<u64>,
    /// Keyframe requests: asked, passed on.
    pub keyframes: [u64; 2],
    /// What children asked for again, and what became of it.
    pub answers: Figures,
    /// Who was let in, and who was not.
    pub admissions: Counts,
    /// What became of webhooks.
    pub told: Told,
    /// RTMP connections that do not publish yet.
    pub rtmp_waiting: usize,
    /// Those that ended before they published, by reason.
    pub rtmp_refused: Vec<(&'static str, u64)>,
    /// The streams of every session.
    pub streams: Vec<PerKind<StreamSample>>,
    /// What is taken of HTTP.
    pub http: node::http::Taken,
    /// Viewers sent to an egress.
    pub redirects: node::watch::Redirects,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct StreamSample {
    /// `audio` or `video`.
    pub kind: Kind,
    /// Session.
    pub session: String,
    /// SSRC.
    pub ssrc: Ssrc,
    /// Its counters.
    pub count: Count,
}

/// As Prometheus wants it.
pub fn text(sample: &Sample) -> Result<String> {
    let scrape = Scrape::of(&Standing {
        node_type: NodeType::Injection,
        tree_id: &sample.tree_id,
        node_id: &sample.node_id,
        healthy: sample.healthy,
        draining: sample.draining,
        topology: &sample.topology,
        redis: sample.redis.as_ref(),
        taken: None,
        heard: &[],
        http: &sample.http,
        redirects: &sample.redirects,
    })?;
    scrape.odd_children(&sample.topology)?;
    children(&scrape, sample)?;
    sums(&scrape, sample)?;
    scrape.gauge("active_sessions", "Sessions.", ["room_id"], [(["all"], sample.sessions as f64)])?;
    scrape.one_gauge("publishers", "Sessions that somebody publishes to.", sample.publishing as f64)?;
    let without = sample.sessions.saturating_sub(sample.publishing) as f64;
    scrape.one_gauge("sessions_without_publisher", "Sessions that nobody publishes to.", without)?;
    scrape.one_gauge("children_count", "Children that media is sent to.", sample.children as f64)?;
    scrape.one_gauge("janus_connected", "1 while Janus is connected.", flag(sample.janus))?;
    let [asked, passed_on] = sample.keyframes;
    for (name, help, count) in [
        ("janus_connections_total", "Times that Janus was connected to.", sample.janus_connections),
        ("pipeline_restarts_total", "Times that a pipeline had to be started again.", sample.restarts),
        ("publications_total", "Publications.", sample.publications),
        ("keyframe_requests_total", "Keyframe requests that came from below.", asked),
        ("keyframe_requests_passed_on_total", "Keyframe requests passed on to Janus.", passed_on),
    ] {
        scrape.one_counter(name, help, count as f64)?;
    }
    let overflow = sample.overflow.iter().map(|(kind, packets)| ([kind.name()], *packets as f64));
    let help = "Packets from Janus that the kernel dropped because they were not read in time.";
    scrape.counter("receive_overflow_total", help, ["stream_type"], overflow)?;
    let buffer = sample.receive_buffer.map(|bytes| ([], bytes as f64));
    let help = "The smallest receive buffer that the kernel has given for media.";
    scrape.gauge("receive_buffer_bytes", help, [], buffer)?;
    let help = "RTMP connections that do not publish yet.";
    scrape.one_gauge("rtmp_waiting", help, sample.rtmp_waiting as f64)?;
    let help = "RTMP connections that ended before they published.";
    let refused = sample.rtmp_refused.iter().map(|(reason, count)| ([*reason], *count as f64));
    scrape.counter("rtmp_refused_total", help, ["reason"], refused)?;
    scrape.repair_answering(&sample.answers.answering, sample.answers.failed)?;
    sessions(&scrape, sample)?;
    scrape.doors(sample.admissions, sample.told)?;
    scrape.text()
}

fn children(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let of = |at: usize| sample.sent.iter().map(move |(name, sent)| ([name.as_str()], sent[at] as f64));
    scrape.counter("child_packets_total", "RTP packets sent to a child.", ["child"], of(0))?;
    scrape.counter("child_bytes_total", "Their bytes, RTP headers included.", ["child"], of(1))?;
    let repairs = sample.sent.iter();
    scrape.repair_children(repairs.map(|(name, [_, _, repairs @ ..])| (name.as_str(), *repairs)))?;
    let up = sample
        .topology
        .children
        .iter()
        .map(|name| ([name.as_str()], flag(sample.sent.iter().any(|(child, _)| child == name))));
    scrape.gauge("child_up", "1 while a child is sent to.", ["child"], up)
}

/// Of all sessions, those among them that have ended.
fn sums(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let of = |value: fn(&Count) -> u64| {
        sample.sums.iter().map(move |(kind, count)| ([kind.name()], value(count) as f64))
    };
    let stream = ["stream_type"];
    let help = "RTP packets sent to the tree of all sessions, ended ones included.";
    scrape.counter("media_packets_sent_total", help, stream, of(|count| count.packets))?;
    scrape.counter("media_bytes_sent_total", "Bytes of these packets.", stream, of(|count| count.bytes))?;
    let help = "RTP packets that Janus forwarded of all sessions, ended ones included.";
    scrape.counter("media_packets_received_total", help, stream, of(|count| count.received))
}

/// The liveliest sessions, each by itself.
fn sessions(scrape: &Scrape, sample: &Sample) -> Result<()> {
    let mut shown: Vec<&PerKind<StreamSample>> = sample.streams.iter().collect();
    if shown.len() > MOST_SESSIONS {
        shown.sort_by_key(|streams| Reverse(streams.video.count.packets.max(streams.audio.count.packets)));
        shown.truncate(MOST_SESSIONS);
    }
    let hidden = sample.streams.len() - shown.len();
    scrape.one_gauge("sessions_not_shown", "Sessions without series of their own.", hidden as f64)?;
    let shown: Vec<&StreamSample> =
        shown.into_iter().flat_map(|streams| [&streams.audio, &streams.video]).collect();
    let ssrcs: Vec<String> = shown.iter().map(|stream| stream.ssrc.to_string()).collect();
    let of = |value: fn(&Count) -> u64| {
        let streams = shown.iter().zip(&ssrcs);
        streams.map(move |(stream, ssrc)| {
            ([stream.kind.name(), stream.session.as_str(), ssrc.as_str()], value(&stream.count) as f64)
        })
    };
    let names = ["stream_type", "session_id", "ssrc"];
    let help = "RTP packets sent to the tree, each once however many recipients it has.";
    scrape.counter("rtp_packets_sent_total", help, names, of(|count| count.packets))?;
    let help = "Bytes of the RTP packets sent to the tree, RTP headers included.";
    scrape.counter("rtp_bytes_sent_total", help, names, of(|count| count.bytes))?;
    let help = "RTP packets that Janus forwarded.";
    scrape.counter("rtp_packets_received_total", help, names, of(|count| count.received))?;
    let help = "Packets at the session's port that were not the session's.";
    scrape.counter("strangers_total", help, names, of(|count| count.strangers))
}

#[cfg(test)]
#[path = "../../node/tests/support/documented.rs"]
mod documented;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_the_contract_are_there_each_with_tree_and_node() {
        let count = Count { received: 9, packets: 7, bytes: 700, strangers: 1, overflow: 0 };
        let stream =
            |kind: Kind, ssrc| StreamSample { kind, session: "s1".to_owned(), ssrc: Ssrc(ssrc), count };
        let streams = PerKind { audio: stream(Kind::Audio, 7777), video: stream(Kind::Video, 8888) };
        let sample = Sample {
            tree_id: "t".to_owned(),
            node_id: "i".to_owned(),
            sessions: 1,
            children: 2,
            streams: vec![streams],
            ..Sample::default()
        };
        let text = text(&sample).unwrap();
        for line in [
            r#"media_tree_injection_active_sessions{node_id="i",room_id="all",tree_id="t"} 1"#,
            r#"media_tree_injection_children_count{node_id="i",tree_id="t"} 2"#,
            r#"media_tree_injection_rtp_packets_sent_total{node_id="i",session_id="s1",ssrc="7777",stream_type="audio",tree_id="t"} 7"#,
            r#"media_tree_injection_rtp_bytes_sent_total{node_id="i",session_id="s1",ssrc="7777",stream_type="audio",tree_id="t"} 700"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let series = text.lines().filter(|line| !line.starts_with('#'));
        assert!(series.clone().all(|line| line.contains("node_id=\"i\"") && line.contains("tree_id=\"t\"")));
    }

    fn session(number: usize, packets: u64) -> PerKind<StreamSample> {
        PerKind::from_fn(|kind| StreamSample {
            kind,
            session: format!("s{number}"),
            ssrc: Ssrc(number as u32 * 2 + u32::from(kind.number())),
            count: Count { packets, ..Count::default() },
        })
    }

    #[test]
    fn only_the_liveliest_sessions_have_series_of_their_own() {
        let streams: Vec<_> = (0..1000).map(|number| session(number, number as u64)).collect();
        let text = text(&Sample { streams, ..Sample::default() }).unwrap();
        let series =
            text.lines().filter(|line| line.starts_with("media_tree_injection_rtp_packets_sent_total{"));
        assert_eq!(series.clone().count(), 2 * MOST_SESSIONS);
        assert!(series.clone().any(|line| line.contains("\"s999\"")) && !text.contains("\"s0\""));
        assert!(
            text.contains("media_tree_injection_sessions_not_shown{node_id=\"\",tree_id=\"\"} 872"),
            "{text}"
        );
    }

    #[test]
    fn all_are_documented() {
        let topology = TopologyView { children: vec!["egress-1".to_owned()], ..TopologyView::default() };
        let redis = RedisView { looked: Some(std::time::Instant::now()), ..RedisView::default() };
        let rtmp_refused = vec![("denied", 0)];
        let redirects = node::watch::Redirects::example();
        let sample = Sample {
            streams: vec![session(1, 1)],
            rtmp_refused,
            redirects,
            topology,
            redis: Some(redis),
            sent: vec![("egress-1".to_owned(), [1, 2, 3, 2, 1])],
            receive_buffer: Some(1),
            ..Sample::default()
        };
        documented::are_the_metrics_of("media_tree_injection_", &[text(&sample).unwrap()]);
    }
}
