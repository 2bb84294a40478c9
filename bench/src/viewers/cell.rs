//! One measurement: so many viewers of a stream at a server, and what they cost it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Process};
use serde_json::{Value, json};

use super::crowd::{Crowd, Report};
use super::profile::{self, Split};
use super::server::{Running, Server, VIEWERS};
use super::stream::{Broadcast, Stream};
use crate::daemon::{cpu_ns, resident_kib};

/// After so long whoever has not come does not.
const JOINING: f64 = 30.0;
/// After so long without another that has come, too.
const STUCK: f64 = 8.0;
/// From the last that came to the measurement.
const SETTLE: f64 = 2.0;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub stream: Stream,
    pub viewers: usize,
    pub server: Server,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub cell: Cell,
    /// Those that watched at the end.
    pub watching: u64,
    /// Packets sent, those that were lost included, and of these how many, in the time measured.
    pub packets: u64,
    pub lost: u64,
    /// Of these, those that reached the viewers' sockets and found them full: no loss of the server's.
    pub dropped_here: u64,
    /// Lost since the first viewer came.
    pub lost_in_all: u64,
    pub longest_gap_ms: f64,
    /// CPU time of all the server's processes for a packet.
    pub us_a_packet: f64,
    /// Of that the kernel's share: sending, receiving, waking up.
    pub in_kernel: f64,
    /// What it goes into, as far as can be seen here.
    pub split: Option<Split>,
    /// CPUs that the server took, and the viewers.
    pub cores: f64,
    pub viewers_cores: f64,
    /// Memory that came with each viewer.
    pub kib_a_viewer: f64,
    pub joins_a_second: f64,
    pub first_packet_ms: [f64; 2],
    /// Viewers' troubles.
    pub errors: String,
}

/// CPU time of processes.
#[derive(Clone, Copy)]
struct Used {
    ns: u64,
    /// By the kernel's ticks, in user space and in the kernel.
    ticks: [u64; 2],
}

impl Used {
    fn by(processes: &[Process]) -> Result<Used> {
        let mut used = Used { ns: 0, ticks: [0; 2] };
        for process in processes {
            used.ns += cpu_ns(process.pid())?;
            let stat =
                fs::read_to_string(format!("/proc/{}/stat", process.pid())).context("a server's times")?;
            let ticks = ticks(&stat).context("a server's times")?;
            used.ticks = [used.ticks[0] + ticks[0], used.ticks[1] + ticks[1]];
        }
        Ok(used)
    }
}

/// `utime` and `stime` of proc(5); a name may have blanks and brackets in it.
fn ticks(stat: &str) -> Option<[u64; 2]> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    Some([fields.next()?.parse().ok()?, fields.next()?.parse().ok()?])
}

/// Starts the server, has all viewers join at once, and takes `time` of what follows. `number`: of this lab's measurements.
pub fn measure(lab: &Lab, cell: Cell, time: Duration, number: usize) -> Result<Measured> {
    let running = Running::start(lab, cell.server, number)?;
    let _broadcast = Broadcast::start(lab, VIEWERS, cell.stream, running.media)?;
    let memory = || running.processes.iter().map(|process| resident_kib(process.pid())).sum::<Result<u64>>();
    // It has seen the stream by then.
    std::thread::sleep(Duration::from_secs(1));
    let empty = memory()?;
    let crowd = Crowd::start(lab, VIEWERS, &running.endpoint, cell.viewers)?;
    let said = || running.processes.iter().map(Process::tail).collect::<String>();
    let came = joined(&crowd, cell.viewers).with_context(said)?;
    ensure!(came.watching > 0, "nobody watches: {}{}", came.errors, said());
    let before = reach(&crowd, came.seconds + SETTLE)?;
    let used = Used::by(&running.processes)?;
    let after = reach(&crowd, before.seconds + time.as_secs_f64())?;
    let spent = Used::by(&running.processes)?;
    let full = memory()?;
    // Being looked at costs something, so only now.
    let split = profile::sample(&running.processes, time / 4, &lab.directory().join("profile"))?;
    let received = after.packets - before.packets;
    let lost = after.lost.saturating_sub(before.lost);
    let ns = (spent.ns - used.ns) as f64;
    let [user, kernel] = [0, 1].map(|which| (spent.ticks[which] - used.ticks[which]) as f64);
    let seconds = after.seconds - before.seconds;
    let measured = Measured {
        cell,
        watching: after.watching,
        packets: received + lost,
        lost,
        dropped_here: after.dropped_here - before.dropped_here,
        lost_in_all: after.lost,
        longest_gap_ms: after.longest_gap_ms,
        us_a_packet: ns / 1e3 / (received + lost) as f64,
        in_kernel: kernel / (user + kernel),
        split,
        cores: ns / 1e9 / seconds,
        viewers_cores: (after.cpu_seconds - before.cpu_seconds) / seconds,
        kib_a_viewer: full.saturating_sub(empty) as f64 / after.watched as f64,
        joins_a_second: came.joins_a_second,
        first_packet_ms: came.first_packet_ms,
        errors: after.errors,
    };
    crowd.end()?;
    Ok(measured)
}

/// Waits until all have come, or no more do.
fn joined(crowd: &Crowd, viewers: usize) -> Result<Report> {
    let mut report = crowd.next(0.0)?;
    let (mut most, mut since) = (0, report.seconds);
    while report.watched < viewers as u64 {
        if report.watched > most {
            (most, since) = (report.watched, report.seconds);
        }
        if report.seconds > JOINING || report.seconds > since + STUCK {
            break;
        }
        report = crowd.next(report.seconds)?;
    }
    Ok(report)
}

/// The first report from that time on.
fn reach(crowd: &Crowd, seconds: f64) -> Result<Report> {
    let mut report = crowd.next(0.0)?;
    while report.seconds < seconds {
        report = crowd.next(report.seconds)?;
    }
    Ok(report)
}

impl Measured {
    /// Viewers that one core bears of this stream.
    pub fn viewers_a_core(&self) -> f64 {
        1e6 / self.us_a_packet / self.cell.stream.packets_a_second()
    }

    /// Whether it makes sense to ask more of it: not of one that loses already, nor of one that would take more CPUs than
    /// there are for it and for the viewers.
    pub fn may_bear(&self, viewers: usize, cpus: usize) -> bool {
        let grown = viewers as f64 / self.cell.viewers as f64;
        let lost = self.lost as f64 > self.packets as f64 * 0.01 || self.watching < self.cell.viewers as u64;
        !lost && (self.cores + self.viewers_cores) * grown < cpus as f64 * 1.1
    }

    /// µs of a packet that go into sending, crypto and the rest.
    pub fn parts(&self) -> Option<[f64; 3]> {
        let Split { sending, crypto } = self.split?;
        Some([sending, crypto, 1.0 - sending - crypto].map(|share| share * self.us_a_packet))
    }

    pub fn json(&self) -> Value {
        let Measured { cell: Cell { stream, viewers, server }, .. } = self;
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        json!({
            "server": server.short(), "stream": stream.name, "viewers": viewers, "watching": self.watching,
            "packets": self.packets, "lost": self.lost, "dropped_here": self.dropped_here, "lost_in_all": self.lost_in_all,
            "longest_gap_ms": rounded(self.longest_gap_ms), "us_a_packet": rounded(self.us_a_packet),
            "in_kernel": rounded(self.in_kernel),
            "us_sending_crypto_rest": self.parts().map(|parts| parts.map(rounded)), "cores": rounded(self.cores),
            "viewers_cores": rounded(self.viewers_cores), "kib_a_viewer": rounded(self.kib_a_viewer),
            "joins_a_second": rounded(self.joins_a_second),
            "first_packet_ms": self.first_packet_ms.map(rounded), "errors": self.errors,
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::viewers::stream::FULL;

    pub fn measured(server: Server, viewers: usize, us_a_packet: f64) -> Measured {
        Measured {
            cell: Cell { stream: FULL, viewers, server },
            watching: viewers as u64,
            packets: 1_000_000,
            lost: 0,
            dropped_here: 0,
            lost_in_all: 0,
            longest_gap_ms: 60.0,
            us_a_packet,
            in_kernel: 0.5,
            split: Some(Split { sending: 0.5, crypto: 0.2 }),
            cores: us_a_packet * 187.0 * viewers as f64 / 1e6,
            viewers_cores: 0.1,
            kib_a_viewer: 30.0,
            joins_a_second: 200.0,
            first_packet_ms: [500.0, 900.0],
            errors: String::new(),
        }
    }

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 9 0 1 2 3";
        assert_eq!(ticks(stat), Some([123, 45]));
        assert_eq!(ticks("7 (a) S"), None);
    }

    #[test]
    fn who_is_full_is_asked_no_more() {
        let light = measured(Server::Janus, 100, 18.0);
        assert!((light.viewers_a_core() - 297.0).abs() < 1.0);
        // 0.34 and 0.1 CPUs at 100.
        assert!(light.may_bear(300, 2) && !light.may_bear(1000, 2));
        assert!(!Measured { lost: 20_000, ..light.clone() }.may_bear(300, 2));
        assert!(!Measured { watching: 99, ..light }.may_bear(300, 2));
    }
}
