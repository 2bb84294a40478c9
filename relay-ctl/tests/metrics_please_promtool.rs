//! What a real relay answers to a scrape is what Prometheus' own tool calls good.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod metrics_support;

use std::time::Duration;

use metrics_support::{promtool, relay, scrape, send};
use node::media::Ssrc;
use node::sessions::{Session, SessionChange};
use node::topology::TopologyView;
use node::tree::{RedisView, TreeView};

/// The name is that of docs/contract.md, *Metrics*, and older than the rule that `_count` belongs to histograms.
const KNOWN: &str = "media_tree_relay_destinations_count non-histogram and non-summary metrics should not have \
                     \"_count\" suffix";

#[tokio::test]
async fn with_everything_that_a_relay_can_show() {
    let relay = relay().await;
    send(&relay, 1..4).await;
    let view = TreeView { topology: TopologyView::default(), redis: RedisView::default() };
    relay.membership().show_tree(tokio::sync::watch::channel(view).1);
    // A session's name comes from outside.
    let id = "a \"quoted\" \\ name\nof two lines, 日本".to_owned();
    relay.membership().sessions_changed(vec![SessionChange::Is(Session {
        id,
        ssrcs: [u32::MAX, 2].map(Ssrc).into(),
        room_id: None,
        video_codec: None,
    })]);
    relay.counters().changed(1, 2, 3, 4);
    relay.counters().change_took(Duration::from_millis(3));
    let text = scrape(&relay).await;
    assert_eq!(promtool(&text), [KNOWN], "{text}");
    assert!(text.contains(r#"session_id="a \"quoted\" \\ name\nof two lines, 日本",ssrc="2""#), "{text}");
}

#[tokio::test]
async fn and_with_nothing_yet() {
    let text = scrape(&relay().await).await;
    assert_eq!(promtool(&text), [KNOWN], "{text}");
    let zero =
        r#"media_tree_relay_rtp_packets_forwarded_total{node_id="relay-1",stream_type="video",tree_id=""#;
    assert!(text.contains(zero), "series are there from the start, so that rates work: {text}");
}

#[test]
fn promtool_does_complain() {
    assert_ne!(promtool("# TYPE wrong_total gauge\nwrong_total 1\n"), Vec::<String>::new());
}
