//! kill -9 of an egress, of the injection and of each Janus in the middle of a broadcast: somebody notices within
//! seconds, everything comes back by itself once the process does, and who has nothing to do with it sees every packet.
//!
//! Prints a table: who noticed and after how long, and how long after the process' return viewers saw pictures again.

use std::time::{Duration, Instant};

use lab::relay::{Json, Mode};
use lab::{Lab, NodeProcess, Publisher, Studio, Viewers};

const VIEWERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(40);
/// A node that has lost its Janus, or its media, has to say so within this time.
const NOTICED: Duration = Duration::from_secs(5);
/// Once the process is back.
const RECOVERED: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// What happened to whom.
struct Row {
    victim: &'static str,
    noticed: String,
    recovered: Duration,
    others: String,
}

#[test]
fn all_of_them() {
    let lab = Lab::new("t-killed-").unwrap();
    let mut studio = Studio::open(&lab, Mode::Xdp, 2, 2).unwrap();
    studio.create_session("show", [7777, 8888]).unwrap();
    let mut publisher = publish(&studio);
    // A player that sees nothing for a while comes again, as the page does.
    let near = studio.view("show", &[0], VIEWERS, &["--rejoin", "4000"]).unwrap();
    let far = studio.view("show", &[1], VIEWERS, &["--rejoin", "1500"]).unwrap();
    watch(&studio, &near);
    watch(&studio, &far);
    let mut rows = Vec::new();

    // egress-2 and its Janus: of no concern to viewers of egress-1.
    let killed = Instant::now();
    studio.egresses[1].node.kill9().unwrap();
    let silent = silence(&far, killed);
    studio.egresses[1].node.restart().unwrap();
    let recovered = recovery(&studio, &far);
    rows.push(Row {
        victim: "egress-2",
        noticed: format!("its viewers: no picture for 0.5 s, after {silent:.1?}"),
        recovered,
        others: unharmed(&near),
    });

    let killed = Instant::now();
    studio.egresses[1].janus.kill9().unwrap();
    let noticed = unhealthy(&studio.egresses[1].node, killed);
    studio.egresses[1].janus.restart().unwrap();
    let recovered = recovery(&studio, &far);
    healthy(&studio.egresses[1].node, &studio);
    rows.push(Row { victim: "Janus of egress-2", noticed, recovered, others: unharmed(&near) });

    // The relay's daemon: of no concern to anybody.
    studio.relay.kill9().unwrap();
    pass(Duration::from_secs(2));
    studio.relay.restart().unwrap();
    pass(Duration::from_secs(1));
    let began = Instant::now();
    rows.push(Row {
        victim: "relay-ctl",
        noticed: "nobody: the kernel forwards on".to_owned(),
        recovered: began.elapsed(),
        others: unharmed(&near),
    });

    // The injection and its Janus: the broadcast itself is over, and the broadcaster has to come again.
    let killed = Instant::now();
    studio.injection.kill9().unwrap();
    let noticed = inactive(&studio, killed);
    studio.injection.restart().unwrap();
    let returned = Instant::now();
    publisher = publish_again(&studio, &publisher);
    let recovered = recovery_since(&studio, &near, returned).max(recovery_since(&studio, &far, returned));
    rows.push(Row { victim: "injection", noticed, recovered, others: joins(&near) });

    let killed = Instant::now();
    studio.videoroom.kill9().unwrap();
    let noticed = unhealthy(&studio.injection, killed);
    studio.videoroom.restart().unwrap();
    healthy(&studio.injection, &studio);
    let returned = Instant::now();
    publisher = publish_again(&studio, &publisher);
    let recovered = recovery_since(&studio, &near, returned).max(recovery_since(&studio, &far, returned));
    rows.push(Row { victim: "Janus of the injection", noticed, recovered, others: joins(&near) });

    println!(
        "\n| killed | who noticed | pictures again, s after its return | viewers of egress-1 |\n|---|---|---|---|"
    );
    for row in &rows {
        let recovered = row.recovered.as_secs_f64();
        println!("| {} | {} | {recovered:.2} | {} |", row.victim, row.noticed, row.others);
    }
    for row in &rows {
        assert!(row.recovered < RECOVERED, "{}: {:?}", row.victim, row.recovered);
    }
    near.stop().unwrap();
    far.stop().unwrap();
    publisher.stop().unwrap();
}

fn publish(studio: &Studio<'_>) -> Publisher {
    let publisher = studio.publish("show", &[]).unwrap();
    for egress in 0..studio.egresses.len() {
        let active = studio.wait_active(egress, "show");
        active.unwrap_or_else(|error| panic!("{error:#}\npublisher: {}", publisher.process().tail()));
    }
    publisher
}

/// As a broadcaster's program does that has lost its connection: it tries until it is let in.
fn publish_again(studio: &Studio<'_>, before: &Publisher) -> Publisher {
    before.process().kill9().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let publisher = studio.publish("show", &[]).unwrap();
        while publisher.process().status().unwrap().is_none() {
            if publisher.report().frames > 30 {
                return publisher;
            }
            std::thread::sleep(POLL);
        }
        let log = publisher.process().tail();
        assert!(Instant::now() < deadline, "nobody may publish again: {log}{}", studio.diagnosis());
        pass(Duration::from_millis(200));
    }
}

fn watch(studio: &Studio<'_>, viewers: &Viewers) {
    viewers
        .wait_until(PATIENCE, |views| {
            views.viewers.len() == VIEWERS && views.viewers.iter().all(|seen| seen.frames > 60)
        })
        .unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
}

/// How long until a viewer misses something.
fn silence(viewers: &Viewers, since: Instant) -> Duration {
    viewers.wait_until(PATIENCE, |views| views.viewers.iter().any(|seen| seen.silent_ms > 500)).unwrap();
    since.elapsed()
}

fn recovery(studio: &Studio<'_>, viewers: &Viewers) -> Duration {
    recovery_since(studio, viewers, Instant::now())
}

/// How long until all viewers see pictures again, and go on to.
fn recovery_since(studio: &Studio<'_>, viewers: &Viewers, since: Instant) -> Duration {
    let before = viewers.report();
    viewers
        .wait_until(PATIENCE, |views| {
            views
                .viewers
                .iter()
                .zip(&before.viewers)
                .all(|(seen, before)| seen.frames_of_all >= before.frames_of_all + 15 && seen.silent_ms < 200)
        })
        .unwrap_or_else(|error| panic!("{error:#}{}", studio.diagnosis()));
    since.elapsed()
}

/// Viewers that have nothing to do with it have joined once and lost nothing.
fn unharmed(viewers: &Viewers) -> String {
    let views = viewers.report();
    for seen in &views.viewers {
        assert_eq!((seen.joins, seen.video_lost, seen.audio_lost), (1, 0, 0), "{seen:?}");
    }
    let gap = views.viewers.iter().map(|seen| seen.longest_gap_ms).max().unwrap_or(0);
    format!("0 lost, longest gap {gap} ms")
}

fn joins(viewers: &Viewers) -> String {
    let joins: Vec<u64> = viewers.report().viewers.iter().map(|seen| seen.joins).collect();
    format!("joined {joins:?} times")
}

fn unhealthy(node: &NodeProcess<'_>, since: Instant) -> String {
    loop {
        let status = node.json("/status").unwrap();
        if status["healthy"] == Json::Bool(false) {
            return format!("its node: healthy=false after {:.2} s", since.elapsed().as_secs_f64());
        }
        assert!(since.elapsed() < NOTICED, "{status:?}");
        std::thread::sleep(POLL);
    }
}

fn healthy(node: &NodeProcess<'_>, studio: &Studio<'_>) {
    let began = Instant::now();
    while node.json("/status").unwrap()["healthy"] != Json::Bool(true) {
        assert!(began.elapsed() < RECOVERED, "not healthy again{}", studio.diagnosis());
        std::thread::sleep(POLL);
    }
}

/// The egresses say that nothing comes any more.
fn inactive(studio: &Studio<'_>, since: Instant) -> String {
    loop {
        let mountpoint = studio.egresses[0].node.json("/mountpoint/show").unwrap();
        if mountpoint["active"] == Json::Bool(false) {
            let seconds = since.elapsed().as_secs_f64();
            return format!("the egresses: inactive after {seconds:.2} s ({})", mountpoint["reason"].text());
        }
        assert!(since.elapsed() < NOTICED, "{mountpoint:?}");
        std::thread::sleep(POLL);
    }
}

fn pass(time: Duration) {
    std::thread::sleep(time);
}
