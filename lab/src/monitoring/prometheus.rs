//! [`Prometheus`]: a real one in a namespace, and what it answers.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http;
use crate::netns::Lab;
use crate::process::Process;

use super::{POLL, READY_TIMEOUT};

const PORT: u16 = 9090;
/// A query of many series on a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A running Prometheus. Dropping the handle leaves it to the lab, which kills it.
pub struct Prometheus<'lab> {
    lab: &'lab Lab,
    ns: String,
    directory: PathBuf,
    process: Process,
}

/// An element of an instant query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// May be NaN or infinite.
    pub value: f64,
}

/// An element of a range query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// Unix time in seconds, and what it was.
    pub points: Vec<(f64, f64)>,
}

impl<'lab> Prometheus<'lab> {
    /// Starts one with this configuration and waits until it takes queries. `files` are what the configuration names, by paths
    /// below its own folder.
    pub fn start(lab: &'lab Lab, ns: &str, configuration: &str, files: &[(&str, &str)]) -> Result<Self> {
        let directory = lab.directory().join(format!("prometheus-{ns}"));
        for (name, text) in files.iter().copied().chain([("prometheus.yml", configuration)]) {
            let file = directory.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&directory))?;
            fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=0.0.0.0:{PORT}"));
        let process = lab.spawn(ns, command)?;
        let server = Self { lab, ns: ns.to_owned(), directory, process };
        server.wait_ready()?;
        Ok(server)
    }

    /// The folder of its configuration.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Has it read its configuration and rules again.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::SIGHUP)
    }

    /// What it answers at a path of its API, such as `/api/v1/alerts`.
    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = self.ask(path)?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).with_context(|| format!("{path} answered {answer:?}"))
    }

    /// An instant query.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let answer = self.get(&format!("/api/v1/query?query={}", http::percent_encoded(expression)))?;
        let sample =
            |result: &Value| Some(Sample { labels: labels(result), value: number(result["value"].get(1)?)? });
        results(&answer, sample).with_context(|| format!("{expression}: {answer}"))
    }

    /// A range query: `time` in Unix seconds, a value every `step` seconds.
    pub fn range(&self, expression: &str, time: Range<f64>, step: f64) -> Result<Vec<Series>> {
        let query = http::percent_encoded(expression);
        let (start, end) = (time.start, time.end);
        let answer =
            self.get(&format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}"))?;
        let point = |pair: &Value| Some((pair.get(0)?.as_f64()?, number(pair.get(1)?)?));
        let series = |result: &Value| {
            let points = result["values"].as_array()?.iter().map(point).collect::<Option<_>>()?;
            Some(Series { labels: labels(result), points })
        };
        results(&answer, series).with_context(|| format!("{expression}: {answer}"))
    }

    /// Asks until the answer is as wanted, and gives it and how long that took.
    pub fn wait(
        &self,
        expression: &str,
        patience: Duration,
        wanted: impl Fn(&[Sample]) -> bool,
    ) -> Result<(Vec<Sample>, Duration)> {
        let began = Instant::now();
        loop {
            let samples = self.query(expression)?;
            if wanted(&samples) {
                return Ok((samples, began.elapsed()));
            }
            ensure!(began.elapsed() < patience, "after {patience:?} {expression} is {samples:?}");
            std::thread::sleep(POLL);
        }
    }

    fn ask(&self, path: &str) -> Result<http::Response> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        http::request_within(self.lab, &self.ns, server, "GET", path, &[], "", ANSWER_TIMEOUT)
    }

    fn wait_ready(&self) -> Result<()> {
        let began = Instant::now();
        while !self.ask("/-/ready").is_ok_and(|answer| answer.status == 200) {
            let runs = self.process.status()?.is_none() && began.elapsed() < READY_TIMEOUT;
            ensure!(runs, "prometheus does not get ready:\n{}", self.process.tail());
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn results<T>(answer: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    answer["data"]["result"].as_array()?.iter().map(read).collect()
}

fn labels(result: &Value) -> BTreeMap<String, String> {
    let labels = result["metric"].as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Prometheus writes numbers as strings: `NaN` and `+Inf` are no JSON.
fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_prometheus_writes_them() {
        let read = |text: &str| number(&Value::from(text));
        assert_eq!((read("1.5"), read("+Inf"), read("x")), (Some(1.5), Some(f64::INFINITY), None));
        assert!(read("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn an_error_is_no_empty_result() {
        let answer = serde_json::json!({"status": "error", "error": "parse error"});
        assert_eq!(results(&answer, |_| Some(())), None);
        let empty = serde_json::json!({"data": {"resultType": "vector", "result": []}});
        assert_eq!(results(&empty, |_| Some(())), Some(Vec::new()));
    }
}
