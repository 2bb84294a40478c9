use std::time::Duration;

use node::tree::RedisView;

use super::*;
use crate::metrics::text;
use crate::relay::Forwarder;
use crate::view::{self, samples};

#[path = "../../../../node/tests/support/documented.rs"]
mod documented;

fn sample() -> Sample {
    let mut status = samples::status(1);
    status.gstreamer.audio_restarts = 2;
    status.dataplane.passed_to_stack.insert("not-udp".to_owned(), 5);
    status.dataplane.drops.insert("no-children".to_owned(), 2);
    let waiting = view::Child { state: ChildState::Resolving, ..samples::child("egress-2", 0) };
    Sample {
        status,
        children: vec![samples::child("egress-1", 7), waiting],
        children_before: vec![[3, 0, 1], [0; 3]],
        copies: [110, 7_000, 4],
        streams: vec![Stream { jitter_ms: 2.5, ..samples::stream(2222, 10) }],
        streams_before: vec![[5, 0, 0]],
        taken: Some(("relay-0".to_owned(), 42)),
        heard: vec![("relay-0".to_owned(), true), ("relay-9".to_owned(), false)],
        wanted: ModeWanted::Auto,
        fallen_back: true,
        receive_buffer: None,
        totals: [
            Total { packets: 100, bytes: 16_000, rtcp_packets: 1 },
            Total { packets: 200, bytes: 240_000, rtcp_packets: 2 },
        ],
        forwarder: Forwarder::Playing,
        http: node::http::Taken::default(),
        repaired: crate::relay::Repaired {
            round_trip: Some(Duration::from_millis(20)),
            ..crate::relay::Repaired::default()
        },
        repaired_of_parents: vec![node::repair::OfParent {
            parent: "relay-0".to_owned(),
            repaired: 3,
            round_trip: Some(Duration::from_millis(20)),
            ..Default::default()
        }],
        repaired_of_children: vec![[9, 7, 2], [0; 3]],
        redirects: node::watch::Redirects::example(),
    }
}

fn lines(sample: &Sample) -> Vec<String> {
    text(sample, &Counters::new()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_contract_s_series_are_there() {
    let lines = lines(&sample());
    let wanted = [
        r#"media_tree_relay_destinations_count{node_id="relay-1",stream_type="audio",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_destinations_count{node_id="relay-1",stream_type="video",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_rtp_packets_forwarded_total{node_id="relay-1",stream_type="audio",tree_id="tree-1"} 100"#,
        r#"media_tree_relay_rtp_packets_forwarded_total{node_id="relay-1",stream_type="video",tree_id="tree-1"} 200"#,
        r#"media_tree_relay_rtp_bytes_forwarded_total{node_id="relay-1",stream_type="video",tree_id="tree-1"} 240000"#,
        r#"media_tree_relay_forwarder_state{node_id="relay-1",pipeline="audio",tree_id="tree-1"} 3"#,
        r#"media_tree_relay_child_up{child="egress-1",node_id="relay-1",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_child_up{child="egress-2",node_id="relay-1",tree_id="tree-1"} 0"#,
        r#"media_tree_relay_dataplane_mode{mode="tc",node_id="relay-1",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_dataplane_mode{mode="xdp",node_id="relay-1",tree_id="tree-1"} 0"#,
        r#"media_tree_relay_passed_to_stack_total{node_id="relay-1",reason="not-udp",tree_id="tree-1"} 5"#,
        r#"media_tree_relay_drops_total{node_id="relay-1",reason="no-children",tree_id="tree-1"} 2"#,
        r#"media_tree_relay_stream_jitter_seconds{node_id="relay-1",port="5004",session_id="",ssrc="2222",stream_type="video",tree_id="tree-1"} 0.0025"#,
        r#"media_tree_relay_interruptions_total{node_id="relay-1",tree_id="tree-1"} 2"#,
        r#"media_tree_relay_dataplane_configured{mode="auto",node_id="relay-1",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_dataplane_fallen_back{node_id="relay-1",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_parent_heard{node_id="relay-1",parent="relay-9",tree_id="tree-1"} 0"#,
        r#"media_tree_relay_parent_repair_repaired_total{node_id="relay-1",parent="relay-0",tree_id="tree-1"} 3"#,
        r#"media_tree_relay_parent_repair_round_trip_seconds{node_id="relay-1",parent="relay-0",tree_id="tree-1"} 0.02"#,
        r#"media_tree_relay_child_repair_answered_total{child="egress-1",node_id="relay-1",tree_id="tree-1"} 7"#,
        r#"media_tree_relay_parent_packets_total{node_id="relay-1",parent="relay-0",tree_id="tree-1"} 42"#,
    ];
    for line in wanted {
        assert!(lines.iter().any(|have| have == line), "{line} is not in\n{}", lines.join("\n"));
    }
}

#[test]
fn what_had_gone_and_is_back_goes_on_where_it_was() {
    let lines = lines(&sample());
    for line in [
        r#"media_tree_relay_child_packets_total{child="egress-1",node_id="relay-1",tree_id="tree-1"} 10"#,
        r#"media_tree_relay_child_errors_total{child="egress-1",node_id="relay-1",tree_id="tree-1"} 1"#,
        r#"media_tree_relay_child_packets_total{child="egress-2",node_id="relay-1",tree_id="tree-1"} 0"#,
        r#"media_tree_relay_copies_total{node_id="relay-1",tree_id="tree-1"} 110"#,
        r#"media_tree_relay_stream_packets_total{node_id="relay-1",port="5004",session_id="",ssrc="2222",stream_type="video",tree_id="tree-1"} 15"#,
    ] {
        assert!(lines.iter().any(|have| have == line), "{line} is not in\n{}", lines.join("\n"));
    }
}

#[test]
fn a_scrape_of_the_largest_relay_is_bounded() {
    let name = |number: usize| format!("{number:0>63}");
    let children: Vec<view::Child> =
        (0..256).map(|number| samples::child(&name(number), u64::MAX >> 12)).collect();
    let session = "s".repeat(64);
    let stream = |ssrc: u32| Stream {
        session: Some(session.clone()),
        ..samples::stream(u32::MAX - ssrc, u64::from(ssrc) << 20)
    };
    let sample = Sample { children, streams: (0..10_000).map(stream).collect(), ..sample() };
    let text = text(&sample, &Counters::new()).unwrap();
    assert!(text.len() < 512 << 10, "{} bytes", text.len());
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 2500, "{series} series");
}

#[test]
fn the_forwarder_s_state_is_a_pipeline_s() {
    for (forwarder, wanted) in
        [(Forwarder::Playing, " 3"), (Forwarder::Problem, " 1"), (Forwarder::Nothing, " 0")]
    {
        let lines = lines(&Sample { forwarder, ..sample() });
        let states: Vec<&String> =
            lines.iter().filter(|line| line.starts_with("media_tree_relay_forwarder_state{")).collect();
        assert_eq!(states.len(), 2);
        assert!(states.iter().all(|line| line.ends_with(wanted)), "{states:?}");
    }
}

#[test]
fn every_reason_has_a_series() {
    let lines = lines(&sample());
    let reasons = |family: &str| {
        let start = format!("media_tree_relay_{family}{{");
        lines.iter().filter(|line| line.starts_with(&start)).count()
    };
    assert_eq!(reasons("drops_total") + reasons("passed_to_stack_total"), Reason::ALL.len());
    assert!(reasons("drops_total") > 5 && reasons("passed_to_stack_total") > 5, "{lines:#?}");
}

#[test]
fn every_series_names_tree_and_node() {
    let counters = Counters::new();
    counters.changed(1, 0, 0, 0);
    counters.change_took(Duration::from_millis(1));
    let text = text(&sample(), &counters).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains(r#"tree_id="tree-1""#) && line.contains(r#"node_id="relay-1""#), "{line}");
    }
    assert!(text.contains("process_resident_memory_bytes{"), "{text}");
}

#[test]
fn a_thousand_streams_get_64_series_and_those_are_the_live_and_busy_ones() {
    // The busiest of all has been silent for a minute.
    let mut streams: Vec<Stream> = (0..999).map(|ssrc| samples::stream(ssrc, u64::from(ssrc))).collect();
    streams.push(Stream { last_seen_ms: 60_000, ..samples::stream(5000, 1_000_000) });
    let lines = lines(&Sample { streams, ..sample() });
    let shown: Vec<&String> =
        lines.iter().filter(|line| line.starts_with("media_tree_relay_stream_packets_total{")).collect();
    assert_eq!(shown.len(), MOST_STREAMS);
    assert!(shown.iter().any(|line| line.contains(r#"ssrc="998""#)));
    assert!(!shown.iter().any(|line| line.contains(r#"ssrc="5000""#)));
    let has = |wanted: &str| lines.iter().any(|line| line.contains(wanted));
    assert!(has(r#"media_tree_relay_streams{node_id="relay-1",stream_type="video",tree_id="tree-1"} 1000"#));
    assert!(has(r#"media_tree_relay_streams_not_shown{node_id="relay-1",tree_id="tree-1"} 936"#));
}

#[test]
fn what_redis_says_is_shown_only_when_there_is_one() {
    assert!(!lines(&sample()).iter().any(|line| line.contains("_redis_")));
    let mut with = sample();
    with.status.redis =
        Some(RedisView { connected: true, looks: 4, events: 3, reconnects: 1, ..RedisView::default() });
    let lines = lines(&with);
    let labels = r#"{node_id="relay-1",tree_id="tree-1"}"#;
    let table =
        [("redis_up", 1), ("redis_looks_total", 4), ("redis_events_total", 3), ("redis_reconnects_total", 1)];
    for (wanted, value) in table {
        let line = format!("media_tree_relay_{wanted}{labels} {value}");
        assert!(lines.contains(&line), "{line} is not in\n{}", lines.join("\n"));
    }
}

#[test]
fn changes_add_up() {
    let counters = Counters::new();
    counters.changed(2, 1, 0, 0);
    counters.changed(1, 0, 1, 3);
    counters.change_took(Duration::from_micros(300));
    counters.change_took(Duration::from_secs(9));
    let text = text(&sample(), &counters).unwrap();
    for (kind, count) in [("added", 3), ("removed", 1), ("moved", 1), ("refused", 3)] {
        let line = format!(
            r#"media_tree_relay_topology_changes_total{{kind="{kind}",node_id="relay-1",tree_id="tree-1"}} {count}"#
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    let bucket = |le: &str, count: u64| {
        let line = format!(
            r#"media_tree_relay_topology_change_duration_seconds_bucket{{node_id="relay-1",tree_id="tree-1",le="{le}"}} {count}"#
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    bucket("0.00025", 0);
    bucket("0.0005", 1);
    bucket("5", 1);
    bucket("+Inf", 2);
}

#[test]
fn a_child_s_name_may_have_quotes_and_backslashes() {
    let children = vec![samples::child(r#"a"b\c"#, 1)];
    let lines = lines(&Sample { children, ..sample() });
    assert!(lines.iter().any(|line| line.contains(r#"child="a\"b\\c""#)), "{}", lines.join("\n"));
}

#[test]
fn all_are_documented() {
    let mut sample = sample();
    sample.status.redis = Some(RedisView::default());
    sample.status.topology.parent = Some("relay-0".to_owned());
    sample.status.topology.standby = vec!["relay-9".to_owned()];
    sample.status.redis.as_mut().unwrap().looked = Some(std::time::Instant::now());
    sample.status.dataplane.receive_overflow = Some(1);
    sample.receive_buffer = Some(1);
    sample.status.dataplane.egress.insert("eth0".to_owned(), view::Egress::default());
    documented::are_the_metrics_of("media_tree_relay_", &[text(&sample, &Counters::new()).unwrap()]);
}
