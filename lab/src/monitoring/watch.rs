//! [`watch`]: a [`Studio`]'s tree looked at as operators look at theirs, with the configuration of `deploy/monitoring`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Prometheus, node_exporter};
use crate::relay::{RelayCli, workspace};
use crate::studio::{self, Studio};
use crate::topology::CONTROL;

/// What is wrong has to be so for this long, however fast time runs: nodes' own clocks do not run faster, and a busy machine of two
/// processors stands still for some seconds, which would be a minute then.
const LEAST: Duration = Duration::from_secs(6);

/// Starts all that it takes: a node_exporter beside every node that the studio has now, the command that tells Prometheus of
/// nodes, and Prometheus, where Redis is. Its configuration and rules are those of `deploy/monitoring`, with each duration
/// divided by `times`: scraped every 15 s, a tree shows nothing within the time of a test. But what has to last lasts for [`LEAST`].
pub fn watch<'lab>(studio: &Studio<'lab>, times: u32) -> Result<Prometheus<'lab>> {
    for ns in studio.machines() {
        node_exporter(studio.lab(), &ns)?;
    }
    let folder = workspace().join("deploy/monitoring");
    let read = |file: &Path| {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        Ok::<_, anyhow::Error>(faster(&text, times))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.join("rules")).context("reading the folder of rules")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((format!("rules/{name}"), lasting(&read(&path)?)));
    }
    // Prometheus notices at once what changes in folders that are there when it starts, in others once a minute.
    files.push(("targets/nobody.yml".to_owned(), "[]".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let configuration = read(&folder.join("prometheus.yml"))?;
    let prometheus = Prometheus::start(studio.lab(), CONTROL, &configuration, &files)?;
    tell_of_nodes(studio, &prometheus)?;
    Ok(prometheus)
}

/// Keeps the list of whom Prometheus is to ask current.
fn tell_of_nodes(studio: &Studio<'_>, prometheus: &Prometheus<'_>) -> Result<()> {
    let folder = prometheus.directory().join("targets");
    fs::create_dir_all(&folder).context("making a folder for targets")?;
    let file = folder.join("tree.json");
    let redis = studio.redis.url(studio::address(CONTROL)?);
    let arguments = ["tree", "targets", "--write", &file.to_string_lossy(), "--watch", "--redis-url", &redis];
    let command = RelayCli::new(studio.lab(), CONTROL).command(&arguments);
    studio.lab().spawn(CONTROL, command).map(drop)
}

/// The same text with every duration in it divided: `for: 5m` is `for: 20000ms` at 15. Durations are numbers with a unit of time
/// that are words of their own: the end of `rate1m` is none.
pub fn faster(text: &str, times: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let begins = !before.is_alphanumeric() && before != '_' && before != '.';
        match duration(rest).filter(|_| begins) {
            Some((ms, length)) => {
                out += &format!("{}ms", (ms / u64::from(times)).max(1));
                before = 's';
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                before = first;
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// The same rules, which wait for [`LEAST`] at least.
fn lasting(rules: &str) -> String {
    let line = |line: &str| match line.split_once("for: ") {
        Some((before, time)) if before.trim().is_empty() => {
            let ms = duration(&format!("{time}\n")).map_or(0, |(ms, _)| ms);
            format!("{before}for: {}ms\n", u128::from(ms).max(LEAST.as_millis()))
        }
        _ => format!("{line}\n"),
    };
    rules.lines().map(line).collect()
}

/// Milliseconds of the duration that a text begins with, and how long that is.
fn duration(text: &str) -> Option<(u64, usize)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = &text[digits..];
    let unit = &unit[..unit.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(unit.len())];
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some((number.checked_mul(ms)?, digits + unit.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_divided_and_nothing_else_is() {
        for (slow, fast) in [
            ("scrape_interval: 15s\n", "scrape_interval: 1000ms\n"),
            ("rate(x{a=\"1\"}[1m]) > 85", "rate(x{a=\"1\"}[4000ms]) > 85"),
            ("avg_over_time((x)[5m:])", "avg_over_time((x)[20000ms:])"),
            ("for: 10s", "for: 666ms"),
            ("edge:loss:ratio1m", "edge:loss:ratio1m"),
            ("1.5s 10.0.0.2 5 min", "1.5s 10.0.0.2 5 min"),
            ("1m", "4000ms"),
            ("é 1h", "é 240000ms"),
        ] {
            assert_eq!(faster(slow, 15), fast, "{slow}");
        }
    }

    #[test]
    fn what_has_to_last_does_so_for_a_few_seconds() {
        let rules = "  - alert: A\n    expr: rate(x[1m])\n    for: 3000ms\n  - alert: B\n    for: 1m\n";
        let wanted = "  - alert: A\n    expr: rate(x[1m])\n    for: 6000ms\n  - alert: B\n    for: 60000ms\n";
        assert_eq!(lasting(rules), wanted);
    }
}
