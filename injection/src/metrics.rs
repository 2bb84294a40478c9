//! `GET /metrics`: one look at the injection as Prometheus text, without I/O.

use node::auth::Counts;
use node::media::{Kind, PerKind, Ssrc};
use node::metrics::{Scrape, flag};
use node::webhook::Told;
use prometheus::Result;

use crate::pipeline::Count;

/// One look.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Tree.
    pub tree_id: String,
    /// Node.
    pub node_id: String,
    /// Sessions.
    pub sessions: usize,
    /// Those with a publisher.
    pub publishing: usize,
    /// Children.
    pub children: usize,
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
    /// Who was let in, and who was not.
    pub admissions: Counts,
    /// What became of webhooks.
    pub told: Told,
    /// RTMP connections that do not publish yet.
    pub rtmp_waiting: usize,
    /// Those that ended before they published, by reason.
    pub rtmp_refused: Vec<(&'static str, u64)>,
    /// Audio and video of every session.
    pub streams: Vec<StreamSample>,
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
    let scrape = Scrape::new("injection", &sample.tree_id, &sample.node_id)?;
    scrape.gauge("active_sessions", "Sessions.", ["room_id"], [(["all"], sample.sessions as f64)])?;
    scrape.one_gauge("publishers", "Sessions that somebody publishes to.", sample.publishing as f64)?;
    scrape.one_gauge("children_count", "Children that media is sent to.", sample.children as f64)?;
    scrape.one_gauge("janus_connected", "1 while Janus is connected.", flag(sample.janus))?;
    sample.http.scrape(&scrape)?;
    sample.redirects.scrape(&scrape)?;
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
    let help = "RTMP connections that do not publish yet.";
    scrape.one_gauge("rtmp_waiting", help, sample.rtmp_waiting as f64)?;
    let help = "RTMP connections that ended before they published.";
    let refused = sample.rtmp_refused.iter().map(|(reason, count)| ([*reason], *count as f64));
    scrape.counter("rtmp_refused_total", help, ["reason"], refused)?;
    let ssrcs: Vec<String> = sample.streams.iter().map(|stream| stream.ssrc.to_string()).collect();
    let of = |value: fn(&Count) -> u64| {
        let streams = sample.streams.iter().zip(&ssrcs);
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
    scrape.doors(sample.admissions, sample.told)?;
    let help = "Packets at the session's port that were not the session's.";
    scrape.counter("strangers_total", help, names, of(|count| count.strangers))?;
    scrape.text()
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
        let stream = StreamSample { kind: Kind::Audio, session: "s1".to_owned(), ssrc: Ssrc(7777), count };
        let sample = Sample {
            tree_id: "t".to_owned(),
            node_id: "i".to_owned(),
            sessions: 1,
            children: 2,
            streams: vec![stream],
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

    #[test]
    fn all_are_documented() {
        let stream = StreamSample {
            kind: Kind::Video,
            session: "s".to_owned(),
            ssrc: Ssrc(1),
            count: Count::default(),
        };
        let rtmp_refused = vec![("denied", 0)];
        let redirects = node::watch::Redirects::example();
        let sample = Sample { streams: vec![stream], rtmp_refused, redirects, ..Sample::default() };
        documented::are_the_metrics_of("media_tree_injection_", &[text(&sample).unwrap()]);
    }
}
