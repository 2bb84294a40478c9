//! The viewers' page never breaks its own join: news that come while it joins change nothing, an attempt that was given up
//! closes nothing when its answer comes at last, and those who try again do not all come at once.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{World, browser, lab, seen};

#[test]
fn the_page_keeps_its_join() {
    let lab = lab();
    let world = World::start(&lab);
    world.session("s1", 4001, [7777, 8888]);
    let _sending = world.broadcast([7777, 8888]);
    world.until("active", || world.get("/mountpoint/s1")["active"] == json!(true));
    let browser = browser(&lab);
    let run = |script: &str| browser.run(script).unwrap();
    let viewers = |which: &str| world.get("/status")["viewers"][which].clone();

    // Janus lets it wait for its offer, and it is told everything that there is to be told.
    world.janus().process().signal(Signal::SIGSTOP).unwrap();
    browser.open("http://10.77.0.1:7073/?id=s1").unwrap();
    run("for (const name of ['back', 'started', 'state', 'stalled', 'back'])
        heard(name, { exists: true, active: true, spreadMs: 0 })");
    assert_eq!(run("return join.ended"), json!(false), "it gave its join up");
    // Now it is given up: what comes of it is late.
    run("connect()");
    world.janus().process().signal(Signal::SIGCONT).unwrap();
    world.until("it plays", || seen(&browser, "framesDecoded") > 10.0);
    world.until("the one that was given up has left", || viewers("connecting") == json!(0));
    assert_eq!(viewers("connected"), json!(1));
    assert_eq!((seen(&browser, "joins"), seen(&browser, "connects")), (2.0, 1.0));

    // While it plays nothing of that makes it join again, except that its place is gone.
    run(
        "for (const name of ['back', 'started', 'state']) heard(name, { exists: true, active: true, spreadMs: 0 })",
    );
    let frames = seen(&browser, "framesDecoded");
    world.until("it goes on", || seen(&browser, "framesDecoded") > frames + 50.0);
    assert_eq!(seen(&browser, "joins"), 2.0);
    run("fetch(join.resource, { method: 'DELETE' })");
    world.until("it has lost its place", || viewers("connected") == json!(0));
    run("heard('started', { spreadMs: 0 })");
    world.until("it has a new one", || viewers("connected") == json!(1));

    // How long it would wait, of 50 tries each: after the first failure, after many, and as long as it is told to.
    let waits = |tries: u32, after: u32| -> Vec<f64> {
        let found = run(&format!(
            "const waits = [], real = window.setTimeout;
            window.setTimeout = (act, wait) => {{ waits.push(wait); return 0; }};
            for (let count = 0; count < 50; count++) {{ tries = {tries}; again({after}); }}
            window.setTimeout = real;
            return waits;"
        ));
        serde_json::from_value(found).unwrap()
    };
    for (tries, after, least, most) in
        [(0, 0, 250.0, 750.0), (9, 0, 4000.0, 12_000.0), (0, 7, 7000.0, 10_500.0)]
    {
        let waits = waits(tries, after);
        assert!(waits.iter().all(|wait| (least..=most).contains(wait)), "{least} to {most}: {waits:?}");
        let spread =
            waits.iter().copied().fold(0.0, f64::max) - waits.iter().copied().fold(f64::MAX, f64::min);
        assert!(spread > (most - least) / 2.0, "all at once: {waits:?}");
    }
}
