//! Two of a hundred packets are lost on the way to a player, and its picture does not stand still for that: the native server sends
//! again what players ask for.

use std::time::Duration;

use lab::browser::{Inbound, Maker};
use lab::{Browser, Lab, Process, firewall};
use serde_json::json;

use crate::common::{By, World, browser_of, lab};

/// How long the picture is looked at: in one go of five seconds; and in the long form forty, which is longer than a viewer is sent to
/// that does not say that it is there.
const FRAMES: u64 = 125;
const LONG: u64 = 1000;
/// Packets of video that are asked for again in that time, or it says nothing.
const LEAST: u64 = 2;
/// So many goes, until that many were asked for.
const LOOKS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn to_chromium() {
    are_sent_again(Maker::Chromium);
}

#[test]
fn to_firefox() {
    are_sent_again(Maker::Firefox);
}

#[test]
#[ignore = "a measurement; pictures stand still for want of a processor, too"]
fn no_picture_stands_still_in_chromium() {
    none_stands_still(Maker::Chromium);
}

#[test]
#[ignore = "a measurement; pictures stand still for want of a processor, too"]
fn no_picture_stands_still_in_firefox() {
    none_stands_still(Maker::Firefox);
}

fn are_sent_again(maker: Maker) {
    let lab = lab();
    let scene = Scene::begin(&lab, maker);
    let before = scene.video(20);
    let mut after = before.clone();
    for _ in 0..LOOKS {
        after = scene.video(after.frames_decoded + FRAMES);
        if after.nack_count - before.nack_count >= LEAST {
            break;
        }
    }
    scene.all_were_sent_again(&before, &after);
}

fn none_stands_still(maker: Maker) {
    let lab = lab();
    let scene = Scene::begin(&lab, maker);
    let before = scene.video(50);
    let after = scene.video(before.frames_decoded + LONG);
    scene.all_were_sent_again(&before, &after);
    let of = |count: fn(&Inbound) -> u64| count(&after) - count(&before);
    assert_eq!((of(|seen| seen.freeze_count), of(|seen| seen.pli_count)), (0, 0), "{before:?} {after:?}");
}

/// A viewer to whom one packet of fifty does not get through.
struct Scene<'lab> {
    lab: &'lab Lab,
    world: World<'lab>,
    browser: Browser<'lab>,
    _sending: [Process; 2],
}

impl<'lab> Scene<'lab> {
    fn begin(lab: &'lab Lab, maker: Maker) -> Scene<'lab> {
        let world = World::start_by(lab, By::Native, &[]);
        world.session("show", 4001, [7777, 8888]);
        let sending = world.broadcast([7777, 8888]);
        world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
        firewall::lose(lab, "view", 7075, 20).unwrap();
        let browser = browser_of(lab, maker);
        browser.open("http://10.77.0.1:7073/?id=show&offer=1").unwrap();
        Scene { lab, world, browser, _sending: sending }
    }

    /// What has come once more than so many frames are decoded.
    fn video(&self, frames: u64) -> Inbound {
        let now = self.browser.wait_until(PATIENCE, |now| now.inbound("video").frames_decoded > frames);
        now.unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.egress.log())).inbound("video")
    }

    fn all_were_sent_again(&self, before: &Inbound, after: &Inbound) {
        let asked = after.nack_count - before.nack_count;
        let lost = firewall::lost(self.lab, "view").unwrap();
        println!("{lost} packets lost on the way, {asked} requests: {before:?} to {after:?}");
        assert!(asked >= LEAST, "{lost} lost, {asked} requests");
        let figures = || self.world.get("/viewers")["viewers"][0].clone();
        // They are published once a second.
        self.world.until("all that was asked for is sent", || figures()["resent"].as_u64() >= Some(asked));
        assert_eq!(figures()["unanswered"], json!(0), "{}", figures());
    }
}
