//! A broadcast whose alarms are told to somebody: Prometheus, Alertmanager and a webhook, in which time runs faster.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use lab::monitoring::{Alert, Alertmanager, Hook, Prometheus, faster, watch};
use lab::relay::{Mode, workspace};
use lab::studio::MediaOver;
use lab::topology::CONTROL;
use lab::{Lab, Studio};

use super::broadcast::{Broadcast, PATIENCE};

/// Time of rules and scrapes runs so many times faster: scrapes every 1.5 s, and what has to last for a minute lasts for six seconds.
pub const TIMES: u32 = 10;
/// Longer than any alert waits that is not `info`.
pub const QUIET: Duration = Duration::from_secs(45);
const HOOK: u16 = 9095;
/// The generic webhook's path in alertmanager.yml, and Slack's.
const ALERTS: &str = "/alerts";
const SLACK: &str = "/slack";
/// All namespaces are of one machine, which may be busy with other things.
const OF_THE_MACHINE: [&str; 1] = ["HighCPUUsage"];
/// Few ports, so that few sessions fill them.
const MOUNTPOINTS: &str = "4";

/// Names of alerts and their nodes.
pub type Told = BTreeSet<(String, String)>;

/// All of it.
pub struct Alarms<'lab> {
    pub studio: Studio<'lab>,
    pub prometheus: Prometheus<'lab>,
    pub alertmanager: Alertmanager<'lab>,
    pub broadcast: Broadcast,
    hook: Hook,
}

impl<'lab> Alarms<'lab> {
    /// injection-1, relay-1, two egresses, a broadcast and viewers; comes back once all are scraped and all has been well for a while.
    pub fn open(lab: &'lab Lab, mode: Mode) -> Alarms<'lab> {
        let more = [("PORT_POOL_SIZE", MOUNTPOINTS)];
        let studio = Studio::open_with(lab, MediaOver::V4, mode, [2, 2], &more).unwrap();
        let hook = Hook::listen(lab, CONTROL, HOOK).unwrap();
        let slack = lab.directory().join("slack-webhook");
        fs::write(&slack, format!("http://{}{SLACK}", hook.address())).unwrap();
        let configuration =
            fs::read_to_string(workspace().join("deploy/monitoring/alertmanager.yml")).unwrap();
        let configuration = configuration.replace("/etc/prometheus/slack-webhook", slack.to_str().unwrap());
        let alertmanager = Alertmanager::start(lab, CONTROL, &faster(&configuration, TIMES)).unwrap();
        let prometheus = watch(&studio, TIMES).unwrap();
        let broadcast = Broadcast::begin(&studio);
        let alarms = Alarms { studio, prometheus, alertmanager, broadcast, hook };
        let began = Instant::now();
        let all_answer = alarms
            .prometheus
            .wait("count(up == 1)", PATIENCE, |seen| seen.iter().any(|all| all.value >= 9.0));
        all_answer.unwrap();
        alarms.only(began, &[]);
        alarms
    }

    /// For a while these are told, and nothing else.
    pub fn only(&self, since: Instant, wanted: &[(&str, &str)]) {
        std::thread::sleep(QUIET);
        assert_eq!(self.all_since(since), pairs(wanted), "{}", self.seen());
    }

    /// Waits until an alert of this name about this node is told; gives how long after `since` that was.
    pub fn told(&self, name: &str, node: &str, since: Instant) -> Duration {
        let is_it = |alert: &Alert| is(alert, name, node) && !alert.is_resolved && alert.at > since;
        self.wait(&format!("{name} {node}"), is_it).at.duration_since(since)
    }

    /// Waits until it is told that this is over.
    pub fn over(&self, name: &str, node: &str, since: Instant) -> Duration {
        let is_it = |alert: &Alert| is(alert, name, node) && alert.is_resolved && alert.at > since;
        self.wait(&format!("the end of {name} {node}"), is_it).at.duration_since(since)
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Alert) -> bool) -> Alert {
        let found = self.hook.wait(ALERTS, PATIENCE, wanted);
        found.unwrap_or_else(|error| panic!("{what}: {error:#}\n{}{}", self.seen(), self.studio.diagnosis()))
    }

    /// Names and nodes of what has been told since then.
    pub fn all_since(&self, since: Instant) -> Told {
        let alerts =
            self.hook.alerts(ALERTS).into_iter().filter(|alert| alert.at > since && !alert.is_resolved);
        let alerts = alerts.filter(|alert| !OF_THE_MACHINE.contains(&alert.name()));
        alerts.map(|alert| (alert.name().to_owned(), alert.label("node_id").to_owned())).collect()
    }

    /// What Slack has been told, as it came.
    pub fn slack(&self) -> Vec<String> {
        self.hook.messages(SLACK).iter().map(|message| message.body.to_string()).collect()
    }

    /// Alerts that another one mutes.
    pub fn muted(&self) -> BTreeSet<String> {
        let all = self.alertmanager.alerts().unwrap();
        let muted = all
            .iter()
            .filter(|alert| alert["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty()));
        let words = |alert: &serde_json::Value| {
            format!("{} {}", alert["labels"]["alertname"], alert["labels"]["node_id"]).replace('"', "")
        };
        muted.map(words).collect()
    }

    /// What Prometheus and Alertmanager think.
    pub fn seen(&self) -> String {
        let fires = self.prometheus.query("ALERTS");
        format!("Prometheus: {fires:#?}\nAlertmanager: {:#?}", self.alertmanager.alerts())
    }
}

fn is(alert: &Alert, name: &str, node: &str) -> bool {
    alert.name() == name && alert.label("node_id") == node
}

/// As they are told.
pub fn pairs(of: &[(&str, &str)]) -> Told {
    of.iter().map(|(name, node)| ((*name).to_owned(), (*node).to_owned())).collect()
}
