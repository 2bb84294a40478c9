//! A player restarts ICE (RFC 9725 section 4.3.3) and goes on watching, by the native server; Janus cannot, which is said (422).

use lab::browser::Maker;
use lab::{Browser, Process};
use serde_json::{Value, json};

use crate::common::{By, World, browser_of, lab};

/// A player of a few lines, in a page of the egress: `labWatch()`, then `labRestart()`. What came of it is in `lab`.
const PLAYER: &str = r#"
    const lab = window.lab = { done: '', error: '' };
    const step = work => () => { lab.done = ''; work().then(name => { lab.done = name; }, error => { lab.error = String(error); }); };
    const fragment = 'application/trickle-ice-sdpfrag';
    const line = (sdp, name) => new RegExp('^a=' + name + ':(.*)$', 'm').exec(sdp)[1].trim();
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    let resource;
    const patch = body => fetch(resource, { method: 'PATCH', body, headers: { 'Content-Type': fragment, 'If-Match': lab.match } });
    window.labWatch = step(async () => {
        for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
        await peer.setLocalDescription(await peer.createOffer());
        const sent = { method: 'POST', body: peer.localDescription.sdp, headers: { 'Content-Type': 'application/sdp' } };
        const answer = await fetch('/whep/endpoint/show', sent);
        lab.status = answer.status;
        resource = new URL(answer.headers.get('Location'), answer.url).href;
        lab.first = lab.match = answer.headers.get('ETag');
        await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
        return 'watches';
    });
    window.labRestart = step(async () => {
        await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
        const sdp = peer.localDescription.sdp;
        lab.ours = line(sdp, 'ice-ufrag');
        const ours = `a=ice-ufrag:${lab.ours}\r\na=ice-pwd:${line(sdp, 'ice-pwd')}\r\n`;
        lab.match = '*';
        const answer = await patch(ours);
        lab.status = answer.status;
        lab.kind = answer.headers.get('Content-Type');
        if (answer.status !== 200) return 'restarted';
        lab.match = answer.headers.get('ETag');
        const theirs = await answer.text();
        const changed = ['ice-ufrag', 'ice-pwd'].reduce((sdp, name) =>
            sdp.replace(new RegExp('^a=' + name + ':.*$', 'gm'), 'a=' + name + ':' + line(theirs, name)),
            peer.remoteDescription.sdp);
        lab.changed = changed !== peer.remoteDescription.sdp;
        await peer.setRemoteDescription({ type: 'answer', sdp: changed });
        const end = ours + 'm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n';
        lab.current = (await patch(end)).status;
        lab.match = lab.first;
        lab.old = (await patch(end)).status;
        return 'restarted';
    });
"#;

#[test]
fn in_chromium() {
    restarts(Maker::Chromium);
}

#[test]
fn in_firefox() {
    restarts(Maker::Firefox);
}

fn restarts(maker: Maker) {
    let lab = lab();
    let world = World::start_by(&lab, By::Native, &[]);
    let (browser, _sending) = watching(&world, maker);
    // The server knows the way by the new names only once checks with them have come.
    for _ in 0..2 {
        let said = step(&world, &browser, "Restart", "restarted");
        assert_eq!(said["status"], json!(200), "{said}");
        assert_eq!(said["kind"], json!("application/trickle-ice-sdpfrag"), "{said}");
        assert_eq!(
            (&said["current"], &said["old"], &said["changed"]),
            (&json!(204), &json!(412), &json!(true)),
            "{said}"
        );
        goes_on(&world, &browser);
    }
    let count = &world.get("/status")["viewers"];
    assert_eq!(
        (&count["connected"], &count["served"]),
        (&json!(1), &json!(1)),
        "it is the same viewer: {count}"
    );
}

#[test]
fn janus_says_that_it_cannot() {
    let lab = lab();
    let world = World::start_by(&lab, By::Janus, &[]);
    let (browser, _sending) = watching(&world, Maker::Chromium);
    assert_eq!(step(&world, &browser, "Restart", "restarted")["status"], json!(422));
    goes_on(&world, &browser);
}

fn watching<'lab>(world: &World<'lab>, maker: Maker) -> (Browser<'lab>, [Process; 2]) {
    world.session("show", 4001, [7777, 8888]);
    let sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/show")["active"] == json!(true));
    let browser = browser_of(world.lab, maker);
    browser.open("http://10.77.0.1:7073/healthz").unwrap();
    browser.run(PLAYER).unwrap();
    assert_eq!(step(world, &browser, "Watch", "watches")["status"], json!(201));
    goes_on(world, &browser);
    (browser, sending)
}

/// Has the page do something, and gives what came of it.
fn step(world: &World<'_>, browser: &Browser<'_>, name: &str, done: &str) -> Value {
    browser.run(&format!("window.lab{name}()")).unwrap();
    let said = || browser.run("return window.lab").unwrap();
    world.until(done, || {
        let said = said();
        assert_eq!(said["error"], json!(""), "{said}\n{}", world.egress.log());
        said["done"] == json!(done)
    });
    said()
}

/// Pictures come, and the connection is up.
fn goes_on(world: &World<'_>, browser: &Browser<'_>) {
    let frames = browser.statistics().unwrap().inbound("video").frames_decoded;
    world.until("pictures come", || {
        let now = browser.statistics().unwrap();
        now.inbound("video").frames_decoded > frames + 25 && now.states == ["connected"]
    });
}
