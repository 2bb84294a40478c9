//! Two of a hundred packets are lost on the way to a player, and its picture does not stand still for that: the native server sends
//! again what players ask for.

use std::time::Duration;

use lab::browser::{Inbound, Maker};
use lab::firewall;
use serde_json::json;

use crate::common::{By, World, browser_of, lab};

/// How long the picture is looked at in one go: five seconds.
const FRAMES: u64 = 125;
/// Packets of video that are asked for again in that time, or it says nothing.
const LEAST: u64 = 2;
/// It is looked at again if too little was lost, or a machine that is busy with other things was late with a picture.
const LOOKS: usize = 12;
/// Percent of the last ten seconds that somebody waited for a processor: beyond that pictures stand still for want of one, packets
/// lost or not, and it cannot be told from this machine whether they did for want of packets.
const BUSY: f64 = 70.0;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn to_chromium() {
    are_sent_again(Maker::Chromium);
}

#[test]
fn to_firefox() {
    are_sent_again(Maker::Firefox);
}

fn are_sent_again(maker: Maker) {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    firewall::lose(&lab, "view", 7075, 20).unwrap();
    let browser = browser_of(&lab, maker);
    browser.open("http://10.77.0.1:7073/?id=show&offer=1").unwrap();
    let video = |frames| -> Inbound {
        let now = browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > frames);
        now.unwrap_or_else(|error| panic!("{error:#}\n{}", world.egress.log())).inbound("video")
    };
    let mut before = video(20);
    let mut looks = Vec::new();
    for _ in 0..LOOKS {
        let after = video(before.frames_decoded + FRAMES);
        let of = |count: fn(&Inbound) -> u64| count(&after) - count(&before);
        let (asked, froze) = (of(|seen| seen.nack_count), of(|seen| seen.freeze_count));
        let keyframes = of(|seen| seen.pli_count);
        looks.push(format!(
            "asked {asked} times for packets, {keyframes} for a keyframe, stood still {froze} times"
        ));
        let waiting = waiting();
        if asked >= LEAST && keyframes == 0 && (froze == 0 || waiting > BUSY) {
            if froze > 0 {
                println!(
                    "NOT JUDGED: whether the picture stood still; processors were waited for {waiting} % of the time"
                );
            }
            let lost = firewall::lost(&lab, "view").unwrap();
            println!("{maker:?}, after {lost} packets had been lost: {looks:?}");
            let figures = &world.get("/viewers")["viewers"][0];
            assert_eq!(figures["unanswered"], json!(0), "{figures}");
            assert!(figures["resent"].as_u64() >= Some(asked), "{figures}");
            return;
        }
        before = after;
    }
    panic!("{maker:?}: {looks:#?}\n{}", world.get("/viewers"));
}

/// Percent of the last ten seconds that somebody waited for a processor (PSI).
fn waiting() -> f64 {
    let said = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let ten = said.split_once("avg10=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    ten.unwrap_or_default()
}
