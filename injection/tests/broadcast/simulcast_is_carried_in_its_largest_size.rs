use std::time::Duration;

use lab::Browser;

use crate::common::{Receiver, Scene, until, until_within};

/// A browser's start, and its estimate of the way rising to what the largest size needs.
const STARTS: Duration = Duration::from_secs(45);

/// Publishes the page's test pattern in several sizes at once.
const PUBLISHES: &str = "
    window.answered = null;
    (async () => {
        const { stream } = pattern();
        const peer = window.sending = new RTCPeerConnection();
        const sender = peer.addTransceiver(stream.getVideoTracks()[0],
            { direction: 'sendonly', streams: [stream], sendEncodings: ENCODINGS });
        sender.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs
            .filter(known => known.mimeType.toLowerCase() === 'video/CODEC'));
        await peer.setLocalDescription();
        await gathered(peer);
        const answer = await fetch('/whip/endpoint/s1',
            { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp });
        const sdp = await answer.text();
        window.address = new URL(answer.headers.get('Location'), answer.url);
        await peer.setRemoteDescription({ type: 'answer', sdp });
        window.answered = sdp;
    })().catch(error => { window.answered = String(error); });";
const ENDS: &str = "sending.close(); fetch(address, { method: 'DELETE' })";

/// 1280, 640 and 320 pixels wide, in any order and with any names that say which is which: what the tree gets is 1280.
#[test]
fn test() {
    let scene = Scene::start("simulcast");
    scene.create("s1");
    scene.child();
    let receiver = Receiver::start(scene.lab);
    let browser =
        Browser::start_with(scene.lab, "far", &["http://10.77.0.1:7070".to_owned()], &["--mute-audio"])
            .unwrap();
    browser.open("http://10.77.0.1:7070/publish?id=s1").unwrap();
    for (codec, sizes) in [
        ("vp8", &[("0", 1), ("1", 2), ("2", 4)][..]),
        ("h264", &[("0", 1), ("1", 2), ("2", 4)]),
        ("vp8", &[("hi", 1), ("lo", 2)]),
        ("vp8", &[("l", 4), ("m", 2), ("h", 1)]),
    ] {
        let before = receiver.count()[1];
        let encodings: Vec<_> = sizes
            .iter()
            .map(|(rid, scale)| serde_json::json!({ "rid": rid, "scaleResolutionDownBy": scale, "maxBitrate": 1_000_000 / scale }))
            .collect();
        let encodings = serde_json::Value::from(encodings).to_string();
        browser.run(&PUBLISHES.replace("ENCODINGS", &encodings).replace("CODEC", codec)).unwrap();
        until("an answer", || !browser.run("return answered").unwrap().is_null());
        let answer = browser.run("return answered").unwrap().to_string();
        assert!(answer.contains("a=simulcast:recv"), "{codec} {sizes:?}: {answer}");
        let widths = || -> Vec<u32> {
            receiver.packets(1)[before..].iter().filter_map(|packet| packet.width).collect()
        };
        let took = until_within(STARTS, "the largest", || widths().last() == Some(&1280));
        eprintln!("{codec} {sizes:?}: 1280 wide after {took:?}, by way of {:?}", widths());
        browser.run(ENDS).unwrap();
        until("its end", || scene.session("s1")["publisher"].is_null());
    }
    crate::common::receiver::is_seamless(&receiver.packets(1));
}
