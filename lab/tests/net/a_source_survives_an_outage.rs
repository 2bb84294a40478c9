//! While its link is down a source sends nothing and counts nothing as sent; then it goes on.

use std::time::Duration;

use lab::{Flow, Lab, Sink, Source, SourceConfig, Topology};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn sending_goes_on_when_the_link_is_back() {
    let lab = Lab::new("t-down-").unwrap();
    let topology = Topology::one_nic(&lab, 0).unwrap();
    let address = topology.relay.v6(5004);
    let sink = Sink::bind(&lab, "relay-1", vec![address]).unwrap();
    let source =
        Source::start(&lab, "injection-1", SourceConfig::new(vec![Flow::video(1, address)], 1_000)).unwrap();
    assert!(sink.wait_until(TIMEOUT, |flows| flows.iter().any(|flow| flow.packets > 100)));
    lab.set_link("injection-1", "eth0", false).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = sink.report()[0].packets;
    lab.set_link("injection-1", "eth0", true).unwrap();
    assert!(sink.wait_until(TIMEOUT, |flows| flows[0].packets > before + 100), "IPv6 works again");
    assert!(source.last_error().is_some(), "a source without a route says so");
    let sent = source.stop();
    assert!(sink.wait_quiet(Duration::from_millis(50), TIMEOUT));
    assert!(sent.total() > before + 100 && sent.refused > 0);
}
