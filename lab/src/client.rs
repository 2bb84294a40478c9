//! [`Publisher`] and [`Viewers`]: the program `media-client` in a namespace, and what it reports.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::netns::Lab;
use crate::node::program;
use crate::process::Process;

/// What OpenSSL reads whom to trust from.
const TRUSTED: &str = "SSL_CERT_FILE";
const POLL: Duration = Duration::from_millis(20);
/// Every viewer's DELETE has to be answered.
const GOODBYE: Duration = Duration::from_secs(20);

/// A broadcaster.
pub struct Publisher {
    process: Process,
}

/// What a publisher has sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Published {
    /// Frames.
    pub frames: u64,
    /// Those that need no other.
    pub keyframes: u64,
    /// What ended it.
    pub error: Option<String>,
}

impl Publisher {
    /// Begins to publish; `arguments` are `media-client publish`'s.
    pub fn start(lab: &Lab, ns: &str, endpoint: &str, token: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_trusting(lab, ns, endpoint, token, arguments, None)
    }

    /// The same at an endpoint whose certificate this authority has signed.
    pub fn start_trusting(
        lab: &Lab,
        ns: &str,
        endpoint: &str,
        token: &str,
        arguments: &[&str],
        authority: Option<&Path>,
    ) -> Result<Self> {
        let mut command = Command::new(program("media-client")?);
        command.args(["publish", "--endpoint", endpoint]).args(arguments).env("WHIP_TOKEN", token);
        command.envs(authority.map(|file| (TRUSTED, file)));
        Ok(Self { process: lab.spawn(ns, command)? })
    }

    /// What it has sent so far.
    pub fn report(&self) -> Published {
        last_line(&self.process).unwrap_or_default()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the publication as one should, with a DELETE.
    pub fn stop(&self) -> Result<()> {
        self.process.terminate().map(drop)
    }
}

/// What one viewer has seen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Where it views.
    pub endpoint: String,
    /// How often it joined.
    pub joins: u64,
    /// SSRC of the video at the viewer, which is Janus' own.
    pub video_ssrc: u64,
    /// RTP packets of the video.
    pub video_packets: u64,
    /// Sequence numbers left out.
    pub video_lost: u64,
    /// RTP packets of the audio.
    pub audio_packets: u64,
    /// Sequence numbers left out.
    pub audio_lost: u64,
    /// Whole frames since it joined last.
    pub frames: u64,
    /// Whole frames of all joins.
    pub frames_of_all: u64,
    /// Frames decoded.
    pub decoded: u64,
    /// From the decision to watch to the first decoded frame; gathering of candidates is in it.
    pub first_frame_ms: Option<f64>,
    /// From the POST of the offer to the first decoded frame.
    pub offer_to_frame_ms: Option<f64>,
    /// Longest time between two frames.
    pub longest_gap_ms: u64,
    /// How long no frame has come.
    pub silent_ms: u64,
    /// What ended it.
    pub error: Option<String>,
}

/// What all viewers of a process have seen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Views {
    /// When, as CLOCK_MONOTONIC in ms.
    pub monotonic_ms: u64,
    /// Each.
    pub viewers: Vec<Seen>,
    /// With `--decode all`, at the end: the age of each picture when it was decoded.
    pub ages_ms: Vec<u32>,
}

/// Viewers in one process.
pub struct Viewers {
    process: Process,
}

impl Viewers {
    /// `count` viewers of each endpoint; `arguments` are `media-client view`'s.
    pub fn start(
        lab: &Lab,
        ns: &str,
        endpoints: &[String],
        count: usize,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_trusting(lab, ns, endpoints, count, arguments, None)
    }

    /// The same at endpoints whose certificates this authority has signed.
    pub fn start_trusting(
        lab: &Lab,
        ns: &str,
        endpoints: &[String],
        count: usize,
        arguments: &[&str],
        authority: Option<&Path>,
    ) -> Result<Self> {
        let mut command = Command::new(program("media-client")?);
        command.envs(authority.map(|file| (TRUSTED, file)));
        command.args(["view", "--count", &count.to_string()]).args(arguments);
        command.args(endpoints.iter().flat_map(|endpoint| ["--endpoint", endpoint]));
        Ok(Self { process: lab.spawn(ns, command)? })
    }

    /// What they have seen so far.
    pub fn report(&self) -> Views {
        last_line(&self.process).unwrap_or_default()
    }

    /// Their process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until their report is as wanted, and gives it; the last one when the time is up.
    pub fn wait_until(&self, timeout: Duration, wanted: impl Fn(&Views) -> bool) -> Result<Views> {
        let deadline = Instant::now() + timeout;
        loop {
            let views = self.report();
            if wanted(&views) {
                return Ok(views);
            }
            ensure!(
                Instant::now() < deadline && self.process.status()?.is_none(),
                "the viewers did not see what was wanted within {timeout:?}: {:#?}",
                views.viewers
            );
            std::thread::sleep(POLL);
        }
    }

    /// All leave; gives what they have seen.
    pub fn stop(&self) -> Result<Views> {
        self.process.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + GOODBYE;
        while self.process.status()?.is_none() {
            ensure!(Instant::now() < deadline, "the viewers do not leave within {GOODBYE:?}");
            std::thread::sleep(POLL);
        }
        Ok(self.report())
    }
}

/// Joins so many times, one after the other, until the first decoded picture.
pub fn first_frames(lab: &Lab, ns: &str, endpoint: &str, tries: usize) -> Result<Vec<Seen>> {
    let mut command = lab.command(ns, program("media-client")?);
    let output =
        command.args(["first-frame", "--endpoint", endpoint, "--tries", &tries.to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seen: Vec<Seen> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(output.status.success() && seen.len() == tries, "not every try saw a picture: {seen:#?}");
    Ok(seen)
}

/// A crowd of light viewers, until they have left; `arguments` are `media-client crowd`'s. Gives their last report.
pub fn crowd(lab: &Lab, ns: &str, endpoint: &str, arguments: &[&str]) -> Result<serde_json::Value> {
    let mut command = lab.command(ns, program("media-client")?);
    let output = command.args(["crowd", "--endpoint", endpoint]).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = || format!("{}{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the crowd failed: {}", said());
    let last = text.lines().last().with_context(said)?;
    serde_json::from_str(last).with_context(said)
}

/// The value below which that share of them is; they need not be sorted.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The last whole line that a process has written, if it is what is wanted.
fn last_line<T: for<'a> Deserialize<'a>>(process: &Process) -> Result<T> {
    let log = process.log();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let line = whole.lines().rev().find(|line| line.starts_with('{')).context("no report yet")?;
    serde_json::from_str(line).with_context(|| format!("a report of another kind: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.95)), (Some(10.0), Some(19.0)));
        assert_eq!((percentile(&[7.0], 0.0), percentile(&[], 0.5)), (Some(7.0), None));
    }
}
