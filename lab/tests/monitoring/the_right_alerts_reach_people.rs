//! What goes wrong in a tree is told to people, by the right alert, and nothing else is; when it is mended, that is told, too.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use lab::monitoring::{Alert, Alertmanager, Hook, Prometheus, faster, watch};
use lab::relay::{Mode, workspace};
use lab::topology::CONTROL;
use lab::{Lab, Publisher, Studio, Viewers};

/// Time of rules and scrapes runs so many times faster: scrapes every 1.5 s, and what has to last for a minute lasts for six seconds.
const TIMES: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than any alert waits that is not `info`.
const QUIET: Duration = Duration::from_secs(45);
const HOOK: u16 = 9095;
/// The generic webhook's path in alertmanager.yml, and Slack's.
const ALERTS: &str = "/alerts";
const SLACK: &str = "/slack";
/// All namespaces are of one machine, which may be busy with other things.
const OF_THE_MACHINE: [&str; 1] = ["HighCPUUsage"];
/// Few ports, so that few sessions fill them.
const MOUNTPOINTS: &str = "4";

struct Scene<'lab> {
    studio: Studio<'lab>,
    prometheus: Prometheus<'lab>,
    alertmanager: Alertmanager<'lab>,
    hook: Hook,
    publisher: Publisher,
    viewers: Viewers,
}

impl<'lab> Scene<'lab> {
    /// injection-1, relay-1 by sockets (so that nothing goes on without its daemon), two egresses, a broadcast and viewers.
    fn open(lab: &'lab Lab) -> Scene<'lab> {
        let more = [("PORT_POOL_SIZE", MOUNTPOINTS)];
        let studio =
            Studio::open_with(lab, lab::studio::MediaOver::V4, Mode::Userspace, [2, 2], &more).unwrap();
        let hook = Hook::listen(lab, CONTROL, HOOK).unwrap();
        let slack = lab.directory().join("slack-webhook");
        fs::write(&slack, format!("http://{}{SLACK}", hook.address())).unwrap();
        let configuration =
            fs::read_to_string(workspace().join("deploy/monitoring/alertmanager.yml")).unwrap();
        let configuration = configuration.replace("/etc/prometheus/slack-webhook", slack.to_str().unwrap());
        let alertmanager = Alertmanager::start(lab, CONTROL, &faster(&configuration, TIMES)).unwrap();
        let prometheus = watch(&studio, TIMES).unwrap();
        studio.create_session("show", [7777, 8888]).unwrap();
        let publisher = studio.publish("show", &[]).unwrap();
        for at in 0..2 {
            studio.wait_active(at, "show").unwrap();
        }
        let viewers = studio.view("show", &[0, 1], 1, &[]).unwrap();
        viewers.wait_until(PATIENCE, |views| views.viewers.iter().all(|seen| seen.frames > 30)).unwrap();
        Scene { studio, prometheus, alertmanager, hook, publisher, viewers }
    }

    /// Waits until an alert of this name about this node is told; gives how long after `since` that was.
    fn told(&self, name: &str, node: &str, since: Instant) -> Duration {
        let is_it = |alert: &Alert| is(alert, name, node) && !alert.is_resolved && alert.at > since;
        self.wait(&format!("{name} {node}"), is_it).at.duration_since(since)
    }

    /// Waits until it is told that this is over.
    fn over(&self, name: &str, node: &str, since: Instant) -> Duration {
        let is_it = |alert: &Alert| is(alert, name, node) && alert.is_resolved && alert.at > since;
        self.wait(&format!("the end of {name} {node}"), is_it).at.duration_since(since)
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Alert) -> bool) -> Alert {
        let found = self.hook.wait(ALERTS, PATIENCE, wanted);
        found.unwrap_or_else(|error| panic!("{what}: {error:#}\n{}{}", self.seen(), self.studio.diagnosis()))
    }

    /// Names and nodes of what has been told since then.
    fn all_since(&self, since: Instant) -> BTreeSet<(String, String)> {
        let alerts =
            self.hook.alerts(ALERTS).into_iter().filter(|alert| alert.at > since && !alert.is_resolved);
        let alerts = alerts.filter(|alert| !OF_THE_MACHINE.contains(&alert.name()));
        alerts.map(|alert| (alert.name().to_owned(), alert.label("node_id").to_owned())).collect()
    }

    /// What Prometheus and Alertmanager think.
    fn seen(&self) -> String {
        let fires = self.prometheus.query("ALERTS");
        format!("Prometheus: {fires:#?}\nAlertmanager: {:#?}", self.alertmanager.alerts())
    }
}

fn is(alert: &Alert, name: &str, node: &str) -> bool {
    alert.name() == name && alert.label("node_id") == node
}

fn pairs(of: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    of.iter().map(|(name, node)| ((*name).to_owned(), (*node).to_owned())).collect()
}

#[test]
fn the_right_alerts_reach_people() {
    let lab = Lab::new("t-alarms-").unwrap();
    let mut scene = Scene::open(&lab);
    let mut lines = Vec::new();
    let mut note = |what: &str, told: Duration, over: Option<Duration>| {
        let over = over
            .map_or_else(String::new, |over| format!(", told to be over after {:.1} s", over.as_secs_f64()));
        lines.push(format!("{what}: told after {:.1} s{over}", told.as_secs_f64()));
    };

    // Nothing is wrong.
    let began = Instant::now();
    scene
        .prometheus
        .wait("count(up == 1)", PATIENCE, |seen| seen.iter().any(|all| all.value >= 9.0))
        .unwrap();
    std::thread::sleep(QUIET);
    assert_eq!(scene.all_since(began), pairs(&[]), "{}", scene.seen());

    // A tenth is lost on one edge.
    let since = Instant::now();
    lose(&lab, "egress-2", true);
    let told = scene.told("EdgeLoss", "egress-2", since);
    assert_eq!(scene.all_since(since), pairs(&[("EdgeLoss", "egress-2")]), "{}", scene.seen());
    let mended = Instant::now();
    lose(&lab, "egress-2", false);
    note(
        "a tenth is lost from relay-1 to egress-2, EdgeLoss",
        told,
        Some(scene.over("EdgeLoss", "egress-2", mended)),
    );

    // Three more sessions, and all ports are taken.
    let since = Instant::now();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let ssrc = 100 + 2 * number as u32;
        scene.studio.create_session(name, [ssrc, ssrc + 1]).unwrap();
    }
    let told = scene.told("PortPoolExhaustion", "egress-1", since);
    scene.told("PortPoolExhaustion", "egress-2", since);
    let only =
        |found: &BTreeSet<(String, String)>| found.iter().all(|(name, _)| name == "PortPoolExhaustion");
    assert!(only(&scene.all_since(since)), "{}", scene.seen());
    let mended = Instant::now();
    for name in ["a", "b", "c"] {
        scene.studio.injection.send("DELETE", &format!("/session/{name}"), "").unwrap();
    }
    let over = scene.over("PortPoolExhaustion", "egress-1", mended);
    note("all ports are taken, PortPoolExhaustion", told, Some(over));

    // An egress loses its parent.
    let since = Instant::now();
    scene.studio.leave(1).unwrap();
    let told = scene.told("EgressCutOff", "egress-2", since);
    assert_eq!(scene.all_since(since), pairs(&[("EgressCutOff", "egress-2")]), "{}", scene.seen());
    let mended = Instant::now();
    scene.studio.join(1).unwrap();
    note(
        "egress-2 loses its parent, EgressCutOff",
        told,
        Some(scene.over("EgressCutOff", "egress-2", mended)),
    );

    // The relay dies, and everybody below it has nothing. One message.
    let since = Instant::now();
    scene.studio.relay.kill9().unwrap();
    let told = scene.told("NodeDown", "relay-1", since);
    std::thread::sleep(QUIET);
    assert_eq!(scene.all_since(since), pairs(&[("NodeDown", "relay-1")]), "{}", scene.seen());
    let muted = scene.alertmanager.alerts().unwrap();
    let muted = muted
        .iter()
        .filter(|alert| alert["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty()));
    let muted: BTreeSet<String> = muted
        .map(|alert| {
            format!("{} {}", alert["labels"]["alertname"], alert["labels"]["node_id"]).replace('"', "")
        })
        .collect();
    assert!(
        muted.iter().any(|alert| alert.ends_with("egress-1")),
        "who is below complains, and is muted: {muted:?}"
    );
    let mended = Instant::now();
    scene.studio.relay.restart().unwrap();
    let over = scene.over("NodeDown", "relay-1", mended);
    note(
        &format!("relay-1 is killed, NodeDown (muted: {})", Vec::from_iter(muted).join(", ")),
        told,
        Some(over),
    );

    for line in &lines {
        println!("{line}");
    }
    let slack = scene.hook.messages(SLACK);
    let is_told =
        |text: &str| text.contains("EdgeLoss in tree-1") && text.contains("docs/monitoring.md#edgeloss");
    assert!(slack.iter().any(|message| is_told(&message.body.to_string())), "Slack is told, too: {slack:#?}");
    scene.viewers.stop().unwrap();
    scene.publisher.stop().unwrap();
}

/// Every tenth packet of media that comes to a node is lost, or none any more.
fn lose(lab: &Lab, ns: &str, is: bool) {
    if !is {
        lab.run(ns, &["nft", "delete", "table", "inet", "loss"]).unwrap();
        return;
    }
    let rules = lab.directory().join("loss.nft");
    let text = "table inet loss { chain in { type filter hook input priority 0; \
                udp dport { 5002, 5004 } numgen inc mod 10 < 1 drop; }; }\n";
    fs::write(&rules, text).unwrap();
    lab.run(ns, &["nft", "-f", rules.to_str().unwrap()]).unwrap();
}
