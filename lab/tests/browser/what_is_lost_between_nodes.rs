//! injection-1 -> relay-1 -> relay-2 -> relay-3 -> egress-1 -> Chromium, with a link before each relay and the egress that loses, and
//! 20 ms from node to node and back: how often the picture stands still, and how many keyframes are asked for.
//!
//! `cargo xtask test browser -- chromium_watches_over_lossy_links --ignored --nocapture`; SECONDS (120), LOSS of 10,000 packets on
//! each link (100), BURST (1), REPAIR (1; 0: nobody keeps anything nor asks for it).

use std::time::{Duration, Instant};

use lab::link::{Delay, Loss, Way};
use lab::relay::Mode;
use lab::studio::{BROWSER, MediaOver};
use lab::{Browser, Lab, Link, Studio};

const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever has a link before it: it loses what comes down to these nodes.
const FAR: [&str; 4] = ["relay-1", "relay-2", "relay-3", "egress-1"];
/// A way from node to node goes over the links of both.
const ROUND_TRIP_OF_A_LINK: Duration = Duration::from_millis(10);

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_string());
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}

#[test]
#[ignore = "some minutes; see the variables above"]
fn chromium_watches_over_lossy_links() {
    let (seconds, loss, burst) = (setting("SECONDS", 120), setting("LOSS", 100), setting("BURST", 1));
    let lab = Lab::new("t-lossybrowser-").unwrap();
    let nodes = ["injection-1"]
        .iter()
        .chain(&FAR)
        .flat_map(|node| ["HISTORY", "REPAIR_WITHIN"].map(|setting| format!("{node}/{setting}")));
    let unrepaired: Vec<String> = nodes.collect();
    let unrepaired: Vec<(&str, &str)> = unrepaired.iter().map(|name| (name.as_str(), "0")).collect();
    let more = if setting("REPAIR", 1) == 0 { &unrepaired[..] } else { &[] };
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Xdp, [1, 1], more).unwrap();
    let _relays = studio.extend_in_a_row(0, Mode::Xdp, 2).unwrap();
    let delay = Delay::round_trip(ROUND_TRIP_OF_A_LINK);
    let mut links: Vec<Link> = FAR.iter().map(|node| studio.put_far_away(node, delay).unwrap()).collect();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &[]).unwrap();
    studio.wait_active(0, "show").unwrap();
    let browser = Browser::start(&lab, BROWSER, &[]).unwrap();
    browser.open(&studio.page(0, "show").unwrap()).unwrap();
    let seen = browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > 60);
    let before = seen.unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis())).inbound("video");
    let keyframes = publisher.report().keyframes;
    for (number, link) in links.iter_mut().enumerate() {
        let loss = Loss::of(loss as f64 / 10_000.0, 1 + number as u64).in_bursts_of(burst as u32);
        link.lose(Way::Down, loss).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
        assert!(browser.statistics().unwrap().states.contains(&"connected".to_owned()));
    }
    let after = browser.statistics().unwrap().inbound("video");
    let shares: Vec<String> =
        links.iter().map(|link| format!("{:.2}", 100.0 * link.lost(Way::Down).unwrap().share())).collect();
    println!(
        "| % lost on each link | in a row | s | freezeCount | frames decoded | packets lost to it | its NACKs | its PLIs | keyframes made |"
    );
    println!(
        "| {} | {burst} | {seconds} | {} | {} | {} | {} | {} | {} |",
        shares.join(" "),
        after.freeze_count - before.freeze_count,
        after.frames_decoded - before.frames_decoded,
        after.packets_lost - before.packets_lost,
        after.nack_count - before.nack_count,
        after.pli_count - before.pli_count,
        publisher.report().keyframes - keyframes,
    );
    publisher.stop().unwrap();
}
