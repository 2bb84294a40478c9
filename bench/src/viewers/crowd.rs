//! [`Crowd`]: the viewers, `media-client crowd`, and what it reports.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::node::program;
use lab::{Lab, Process};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Between two reports.
const EVERY: Duration = Duration::from_millis(100);
/// Longer than any measurement: it is told when to end.
const STAY: &str = "3600";
/// Bytes of the log's end that have a whole report in them.
const TAIL: u64 = 16 * 1024;
/// For all to say good-bye.
const GOODBYE: Duration = Duration::from_secs(60);

/// Viewers that come all at once and stay.
pub struct Crowd {
    process: Process,
}

/// What all of them have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Since the first was to come.
    pub seconds: f64,
    /// That have had media; that have it now.
    pub watched: u64,
    pub watching: u64,
    pub packets: u64,
    /// Packets that never came, and those that this machine had no room for, which are among them.
    pub lost: u64,
    pub dropped_here: u64,
    /// Longest time without a packet of video of any viewer.
    pub longest_gap_ms: f64,
    pub joins_a_second: f64,
    /// From when all came to the first packet of video: p50, p99.
    pub first_packet_ms: [f64; 2],
    /// CPU time of the viewers themselves.
    pub cpu_seconds: f64,
    /// What went wrong, if anything.
    pub errors: String,
}

impl Report {
    fn read(line: &str) -> Option<Report> {
        let value: Value = serde_json::from_str(line).ok()?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let errors = value["errors"].as_object().filter(|errors| !errors.is_empty());
        Some(Report {
            seconds: value["seconds"].as_f64()?,
            watched: value["watched"].as_u64()?,
            watching: value["watching"].as_u64()?,
            packets: value["packets"].as_u64()?,
            lost: value["lost"].as_u64()?,
            dropped_here: value["droppedHere"].as_u64()?,
            longest_gap_ms: number(&value["longestGapMs"]["most"]),
            joins_a_second: number(&value["joinsPerSecond"]),
            first_packet_ms: ["p50", "p99"].map(|share| number(&value["firstPacketSinceDueMs"][share])),
            cpu_seconds: number(&value["cpuSeconds"]),
            errors: errors.map_or_else(String::new, |errors| serde_json::json!(errors).to_string()),
        })
    }
}

impl Crowd {
    /// `count` viewers come at once, and ask as fast as they are answered.
    pub fn start(lab: &Lab, ns: &str, endpoint: &str, count: usize) -> Result<Self> {
        let mut command = Command::new(program("media-client")?);
        command.args(["crowd", "--endpoint", endpoint, "--count", &count.to_string()]);
        command.args(["--within", "0", "--stay", STAY, "--every", &EVERY.as_millis().to_string()]);
        Ok(Self { process: lab.spawn(ns, command)? })
    }

    /// The next report that they make.
    pub fn next(&self, after: f64) -> Result<Report> {
        let deadline = Instant::now() + 50 * EVERY;
        loop {
            lab::interrupt::check()?;
            let report = self.last();
            if let Some(report) = report.filter(|report| report.seconds > after) {
                return Ok(report);
            }
            let lives = self.process.status()?.is_none() && Instant::now() < deadline;
            ensure!(lives, "the viewers say nothing any more: {}", self.process.tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All leave.
    pub fn end(self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(GOODBYE).context("the viewers do not leave").map(drop)
    }

    /// The newest. Only the end of the log is read: this is done often, and must take no time from what is measured.
    fn last(&self) -> Option<Report> {
        let mut log = File::open(self.process.log_path()).ok()?;
        let length = log.metadata().ok()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut end = Vec::new();
        log.read_to_end(&mut end).ok()?;
        let end = String::from_utf8_lossy(&end);
        let whole = &end[..end.rfind('\n')?];
        whole.lines().rev().find_map(Report::read)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let line = r#"{"seconds":2.5,"watched":3,"watching":2,"packets":1000,"lost":1,"droppedHere":1,"longestGapMs":{"most":40.5},
            "joinsPerSecond":100.0,"firstPacketSinceDueMs":{"p50":5.0,"p99":9.0,"most":9.0},"cpuSeconds":0.5,"errors":{"gone":1}}"#;
        let report = Report::read(line).unwrap();
        assert_eq!((report.watched, report.watching, report.packets, report.lost), (3, 2, 1000, 1));
        assert_eq!((report.longest_gap_ms, report.first_packet_ms), (40.5, [5.0, 9.0]));
        assert_eq!(report.errors, r#"{"gone":1}"#);
        // Of one viewer there is no rate.
        let alone = Report::read(&line.replace("100.0", "null")).unwrap();
        assert!(alone.joins_a_second.is_nan());
        assert_eq!(Report::read("ready"), None);
    }
}
