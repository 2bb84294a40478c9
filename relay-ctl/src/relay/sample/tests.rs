use std::time::{Duration, Instant};

use node::media::Ssrc;
use node::sessions::{Session, SessionChange};
use node::topology::Upstream;
use node::tree::RedisView;
use tokio::sync::watch;

use super::*;
use crate::relay::loopback::{self, send};
use crate::relay::streams::Patience;

/// A relay on loopback, with these children.
async fn relay(children: &[&str]) -> Relay {
    loopback::relay(children, &[]).await
}

fn counted(sample: &Sample) -> [(u64, u64); 2] {
    sample.totals.map(|total| (total.packets, total.bytes))
}

#[tokio::test]
async fn totals_go_on_when_streams_are_forgotten() {
    let relay = relay(&[]).await;
    send(&relay, 0, 1111, 0..3).await;
    send(&relay, 1, 2222, 0..20).await;
    send(&relay, 1, 4444, 0..20).await;
    let before = relay.sample().await;
    assert_eq!(counted(&before), [(3, 300), (40, 4_000)]);
    assert_eq!(before.streams.len(), 3);

    relay.streams.forget_silent(&relay.state, Patience { silent: 0, when_full: 0, single: 0 }).await;
    let after = relay.sample().await;
    assert_eq!(after.streams.len(), 0);
    assert_eq!(counted(&after), counted(&before));
    let sums = |sample: &Sample| (sample.status.dataplane.packets, sample.status.dataplane.bytes);
    assert_eq!(sums(&after), (43, 4_300), "`status` agrees with the metrics");

    send(&relay, 1, 2222, 20..25).await;
    relay.streams.forget_silent(&relay.state, Patience { silent: 0, when_full: 0, single: 0 }).await;
    send(&relay, 1, 2222, 25..30).await;
    assert_eq!(counted(&relay.sample().await), [(3, 300), (50, 5_000)]);
}

#[tokio::test]
async fn what_goes_and_comes_back_goes_on_where_it_was() {
    let relay = relay(&["egress-1=127.0.0.1:9:19"]).await;
    // Copies to the child, those to all, packets of the stream.
    let counted = async || {
        let sample = relay.sample().await;
        let child = sample.children.first().map(|child| child.packets + sample.children_before[0][0]);
        let stream = sample.streams.first().map(|stream| stream.packets + sample.streams_before[0][0]);
        (child, sample.copies[0], stream)
    };
    let until = async |wanted: (Option<u64>, u64, Option<u64>)| {
        let start = Instant::now();
        loop {
            let have = counted().await;
            if have == wanted {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{have:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let forget = async || {
        relay.streams.forget_silent(&relay.state, Patience { silent: 0, when_full: 0, single: 0 }).await;
    };
    send(&relay, 1, 2222, 0..10).await;
    until((Some(10), 10, Some(10))).await;
    relay.remove_child("egress-1").await.unwrap();
    send(&relay, 1, 2222, 10..13).await;
    until((None, 10, Some(13))).await;
    forget().await;
    until((None, 10, None)).await;
    let spec = crate::config::ChildSpec::new("egress-1", "127.0.0.1", [9, 19]).unwrap();
    relay.add_child(spec).await.unwrap();
    until((Some(10), 10, None)).await;
    send(&relay, 1, 2222, 13..18).await;
    until((Some(15), 15, Some(18))).await;
    forget().await;
    send(&relay, 1, 2222, 18..19).await;
    until((Some(16), 16, Some(19))).await;
}

#[tokio::test]
async fn what_comes_is_counted_for_the_parent_of_that_time() {
    let relay = relay(&[]).await;
    let taken = async || relay.sample().await.taken;
    let follow = async |parent: &str| {
        let upstream = Upstream { parent: Some(parent.to_owned()), ..Upstream::default() };
        relay.take_from_upstream(upstream).await;
    };
    send(&relay, 1, 2222, 0..3).await;
    assert_eq!(taken().await, None, "nobody's yet");
    follow("relay-1").await;
    send(&relay, 1, 2222, 3..10).await;
    assert_eq!(taken().await, Some(("relay-1".to_owned(), 7)));
    send(&relay, 0, 1111, 0..1).await;
    follow("relay-2").await;
    assert_eq!(taken().await, Some(("relay-2".to_owned(), 0)));
    send(&relay, 1, 2222, 10..12).await;
    follow("relay-1").await;
    assert_eq!(taken().await, Some(("relay-1".to_owned(), 8)));
}

#[tokio::test]
async fn problems_are_those_of_the_status() {
    let relay = relay(&[]).await;
    relay.state.lock().await.problem = Some("interface lo is down".to_owned());
    let sample = relay.sample().await;
    assert_eq!(sample.forwarder, Forwarder::Problem);
    assert!(!sample.status.healthy && !sample.status.gstreamer.video_running);
    assert_eq!(sample.status.problems, ["interface lo is down"]);
    assert_eq!(relay.problems().await, sample.status.problems);
}

#[tokio::test]
async fn only_silent_streams_are_forgotten() {
    let relay = relay(&[]).await;
    send(&relay, 0, 1111, 0..3).await;
    relay
        .streams
        .forget_silent(&relay.state, Patience { silent: 60_000_000_000, when_full: 0, single: 0 })
        .await;
    assert_eq!(relay.sample().await.streams.len(), 1);
}

#[tokio::test]
async fn what_redis_told_is_shown() {
    let relay = relay(&["egress-1=127.0.0.1:9:19", "egress-2=127.0.0.1:29:39"]).await;
    assert_eq!(relay.status().await.redis, None, "a relay without Redis shows none");
    send(&relay, 0, 1111, 0..1).await;
    send(&relay, 1, 2222, 0..1).await;
    send(&relay, 1, 9999, 0..1).await;
    relay.membership.sessions_changed(vec![SessionChange::Is(Session {
        id: "morning".to_owned(),
        ssrcs: [1111, 2222].map(Ssrc).into(),
        room_id: None,
        video_codec: None,
    })]);
    let children = vec!["egress-1".to_owned(), "egress-2".to_owned()];
    let (_keep, view) = watch::channel(TreeView {
        topology: TopologyView {
            parent: Some("injection-1".to_owned()),
            children: children.clone(),
            stale: vec!["egress-2".to_owned()],
            ..TopologyView::default()
        },
        redis: RedisView { problem: Some("wrong password".to_owned()), ..RedisView::default() },
    });
    relay.membership.show_tree(view);

    let sample = relay.sample().await;
    let sessions: Vec<_> =
        sample.streams.iter().map(|stream| (stream.ssrc, stream.session.as_deref())).collect();
    assert_eq!(sessions, [(1111, Some("morning")), (2222, Some("morning")), (9999, None)]);
    let stale: Vec<bool> = sample.children.iter().map(|child| child.stale).collect();
    assert_eq!(stale, [false, true]);
    let problems = sample.status.problems.join("\n");
    assert!(!sample.status.healthy && problems.contains("wrong password"), "it does not follow: {problems}");
    assert!(sample.status.gstreamer.audio_running, "media goes on");
    assert!(sample.status.warnings.join("\n").contains("egress-2"), "{:?}", sample.status.warnings);
    let topology = relay.topology().await;
    assert_eq!((topology.parent.as_deref(), topology.children), (Some("injection-1"), children));
    assert!(relay.children().await.children[1].stale);
}

#[tokio::test]
async fn that_much_is_never_repaired_is_a_warning_and_no_problem() {
    let relay = relay(&[]).await;
    let is_said = |status: &view::Status| {
        let said = "300 lost packets were not repaired in the last 2 minutes";
        status.warnings.iter().any(|warning| warning.contains(said))
    };
    assert!(!is_said(&relay.status().await));
    let (key, now) = (StreamKey { port: 5004, reserved: [0; 2], ssrc: 7 }, monotonic_ns());
    relay.repairs().asker.missing(key, 1, 300, now - 200_000_000);
    relay.repairs().asker.take(now);
    let status = relay.status().await;
    assert!(is_said(&status) && status.healthy, "{:?}", status.warnings);
}
