//! Chromium decodes the video and receives the audio on the viewer's page of both egresses, by the browser's own count.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::relay::Mode;
use lab::studio::BROWSER;
use lab::{Browser, Lab, Studio};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn in_xdp_mode() {
    let lab = Lab::new("t-browser-").unwrap();
    let studio = Studio::open(&lab, Mode::Xdp, 2, 2).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let publisher = studio.publish("show", &[]).unwrap();
    for egress in 0..2 {
        studio.wait_active(egress, "show").unwrap();
    }
    let browser = Browser::start(&lab, BROWSER, &[]).unwrap();
    for egress in 0..2 {
        let page = studio.page(egress, "show").unwrap();
        browser.open(&page).unwrap();
        let first = browser.wait_until(PATIENCE, |now| {
            now.inbound("video").frames_decoded > 0 && now.inbound("audio").packets_received > 0
        });
        let first = first.unwrap_or_else(|error| panic!("{page}: {error:#}{}", studio.diagnosis()));
        let (video, audio) = (first.inbound("video"), first.inbound("audio"));
        let later = browser
            .wait_until(PATIENCE, |now| {
                now.inbound("video").frames_decoded >= video.frames_decoded + 60
                    && now.inbound("audio").packets_received >= audio.packets_received + 100
            })
            .unwrap_or_else(|error| panic!("{page}: {error:#}{}", studio.diagnosis()));
        browser.screenshot(&picture(&format!("viewer-egress-{}.png", egress + 1))).unwrap();
        browser.resize(400, 800).unwrap();
        browser.screenshot(&picture(&format!("viewer-egress-{}-phone.png", egress + 1))).unwrap();
        browser.resize(1024, 768).unwrap();
        let (video, audio) = (later.inbound("video"), later.inbound("audio"));
        println!("{page}: {video:?} {audio:?}");
        assert_eq!((video.packets_lost, audio.packets_lost), (0, 0), "{page}{}", studio.diagnosis());
        assert_eq!(video.frame_width, 640);
    }
    publisher.stop().unwrap();
}

/// Pictures for people, in the build folder.
fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/media").join(name)
}
