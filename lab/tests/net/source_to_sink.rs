//! What a source sends over a direct veth reaches the sink complete and in order.

use std::time::Duration;

use anyhow::Result;
use lab::{Flow, Lab, Limit, Sink, Source, SourceConfig};

const TIMEOUT: Duration = Duration::from_secs(10);

/// a eth0 (10.0.1.1, fd00::1) ── eth0 b (10.0.1.2, fd00::2)
fn direct(prefix: &str) -> Result<Lab> {
    let lab = Lab::new(prefix)?;
    lab.add_namespace("a")?;
    lab.add_namespace("b")?;
    lab.link("a", "eth0", "b", "eth0")?;
    for (ns, host) in [("a", 1), ("b", 2)] {
        lab.address(ns, "eth0", &format!("10.0.1.{host}/24"))?;
        lab.address(ns, "eth0", &format!("fd00::{host}/64"))?;
    }
    Ok(lab)
}

#[test]
fn fifty_thousand_packets_a_second_arrive_without_loss() {
    for gro in [false, true] {
        let lab = direct("t-rate-").unwrap();
        if gro {
            lab.enable_gro("b", "eth0").unwrap();
        }
        let sink =
            Sink::bind(&lab, "b", vec!["10.0.1.2:5004".parse().unwrap(), "[fd00::2]:5004".parse().unwrap()])
                .unwrap();
        let flows = vec![
            Flow::video(1, "10.0.1.2:5004".parse().unwrap()),
            Flow::audio(2, "[fd00::2]:5004".parse().unwrap()),
        ];
        let config = SourceConfig::new(flows, 50_000).limit(Limit::Packets(100_000));
        let sent = Source::start(&lab, "a", config).unwrap().wait(TIMEOUT).unwrap();
        assert_eq!(sent.total(), 100_000);
        assert!(
            sink.wait_until(TIMEOUT, |reports| reports.iter().map(|flow| flow.packets).sum::<u64>()
                == 100_000)
        );
        let reports = sink.stop();
        println!("gro {gro}: {:.0} packets/s, worst lag {:?}", sent.rate(), sent.worst_lag);
        assert_eq!(reports.len(), 2);
        for flow in reports {
            assert_eq!((flow.packets, flow.first_counter, flow.last_counter), (50_000, 0, 49_999));
            assert_eq!((flow.lost, flow.duplicated, flow.reordered), (0, 0, 0));
            assert_eq!((flow.corrupted, flow.renumbered, flow.receiver_drops), (0, 0, 0));
            assert_eq!(flow.bytes, 200 * 50_000);
        }
        // The source stretches time on a busy machine (30 000 beside two busy loops), but never runs ahead.
        assert!(sent.rate() < 51_000.0, "{} packets/s", sent.rate());
    }
}

#[test]
fn the_media_judge_agrees_with_the_source() {
    let lab = direct("t-media-").unwrap();
    let address = "10.0.1.2:5002".parse().unwrap();
    let sink = Sink::bind_media(&lab, "b", vec![address]).unwrap();
    let config = SourceConfig::new(vec![Flow::audio(7, address)], 50_000).limit(Limit::Packets(70_000));
    Source::start(&lab, "a", config).unwrap().wait(TIMEOUT).unwrap();
    assert!(sink.wait_quiet(Duration::from_millis(100), TIMEOUT));
    let [flow] = &sink.stop()[..] else { panic!("one flow") };
    assert_eq!((flow.packets, flow.lost, flow.duplicated, flow.reordered), (70_000, 0, 0, 0));
    assert_eq!(flow.sent, None);
}
