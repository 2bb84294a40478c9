//! A thousand streams do not make a thousand series, and the scrape says how many it left out.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod metrics_support;

use std::time::{Duration, Instant};

use metrics_support::{promtool, relay, scrape, send};
use relay_ctl::config::ChildSpec;
use relay_ctl::metrics::MOST_STREAMS;

#[tokio::test]
async fn at_the_limit() {
    let relay = relay().await;
    send(&relay, 0..1_000).await;
    let text = scrape(&relay).await;
    for family in ["packets_total", "lost_packets", "jitter_seconds", "last_packet_age_seconds"] {
        let start = format!("media_tree_relay_stream_{family}{{");
        assert_eq!(text.lines().filter(|line| line.starts_with(&start)).count(), MOST_STREAMS, "{family}");
    }
    let value = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value(r#"media_tree_relay_streams{node_id="relay-1",stream_type="video""#), "1000");
    assert_eq!(value(r#"media_tree_relay_streams{node_id="relay-1",stream_type="audio""#), "1");
    assert_eq!(value("media_tree_relay_streams_not_shown{"), (1_001 - MOST_STREAMS).to_string());
    assert_eq!(promtool(&text).len(), 1, "the one that is known");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn of_the_largest_relay() {
    let relay = relay().await;
    send(&relay, 0..10_000).await;
    // Not before: what is measured is not how fast copies are made.
    for number in 2..=256 {
        let host = format!("127.0.{}.{}", number / 250, number % 250 + 1);
        relay.add_child(ChildSpec::new(&format!("egress-{number}"), &host, [9, 19]).unwrap()).await.unwrap();
    }
    let took: Vec<Duration> = ten_scrapes(&relay).await;
    let text = scrape(&relay).await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    println!("256 children, 10,001 streams: {} bytes, {series} series, {took:?}", text.len());
    assert!(series < 2_500 && text.len() < 512 << 10, "{series} series, {} bytes", text.len());
}

/// How long ten scrapes take, in order.
async fn ten_scrapes(relay: &relay_ctl::relay::Relay) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        scrape(relay).await;
        took.push(start.elapsed());
    }
    took.sort();
    took
}
