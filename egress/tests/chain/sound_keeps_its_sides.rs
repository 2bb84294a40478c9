//! Sound on the left only is heard on the left only: by a page that answers Janus' offer, and by one that makes its own.

use lab::Browser;
use lab::browser::Maker;
use serde_json::json;

use crate::common::{By, World, browser_of, lab, seen};

/// Listens to what the page plays; `labSides()` gives how loud the left and the right were.
const LISTEN: &str = "
    const context = new AudioContext();
    context.resume();
    const source = context.createMediaStreamSource(document.getElementById('video').srcObject);
    const splitter = context.createChannelSplitter(2);
    source.connect(splitter);
    const sides = [0, 1].map(side => {
        const analyser = context.createAnalyser();
        splitter.connect(analyser, side);
        return analyser;
    });
    window.labSides = () => sides.map(analyser => {
        const wave = new Float32Array(analyser.fftSize);
        analyser.getFloatTimeDomainData(wave);
        return Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
    });";

/// What a browser has agreed on for Opus; calls back with it.
const AGREED: &str = "return window.labPeers.at(-1).localDescription.sdp.match(/^a=fmtp:111 .*$/m)[0]";

mod in_chromium {
    crate::common::on_both!(super::chromium_keeps_sides);
}

fn chromium_keeps_sides(by: By) {
    keeps_sides(Maker::Chromium, by, |world, browser, query| {
        browser.run(LISTEN).unwrap();
        let sides = || {
            let found = browser.run("return window.labSides()").unwrap();
            [0, 1].map(|side| found[side].as_f64().unwrap())
        };
        world.until("sound on the left", || sides()[0] > 0.1);
        for _ in 0..10 {
            let [left, right] = sides();
            assert!(right < left / 5.0, "{query}: left {left:.3}, right {right:.3}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
}

/// A Firefox without a sound card runs no audio graph to listen with; what it agreed on has to do.
#[test]
fn in_firefox() {
    keeps_sides(Maker::Firefox, By::Janus, |_, browser, query| {
        let agreed = browser.run(AGREED).unwrap();
        assert!(agreed.as_str().unwrap_or_default().contains("stereo=1"), "{query}: {agreed}");
    });
}

fn keeps_sides(maker: Maker, by: By, judge: impl Fn(&World<'_>, &Browser<'_>, &str)) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[]);
    world.session("show", 4001, [7777, 8888]);
    let _sound = world.sound("aevalsrc=0.5*sin(2*PI*440*t)|0:c=stereo:s=48000", 7777);
    let _pictures = world.pictures("-g 50", 8888);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser_of(&lab, maker);
    for query in ["id=show", "id=show&offer=1"] {
        browser.open(&format!("http://10.77.0.1:7073/?{query}")).unwrap();
        world.until("sound", || seen(&browser, "audioPackets") > 20.0);
        judge(&world, &browser, query);
    }
}
