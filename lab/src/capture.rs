//! [`Tcpdump`]: captures on an interface of a namespace, and [`PcapFile`] to look at the result.
//!
//! What XDP redirects out of an interface is invisible to tcpdump there; capture at the receiver.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::netns::{Lab, output};
use crate::process::Process;

const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Lets packets that are already in the capture ring reach the file before tcpdump is told to end.
const SETTLE: Duration = Duration::from_millis(100);

/// A running tcpdump.
pub struct Tcpdump {
    process: Process,
    file: PathBuf,
}

impl Tcpdump {
    /// Starts a capture and waits until it listens. `filter` is a pcap filter, empty for everything.
    pub fn start(lab: &Lab, ns: &str, interface: &str, filter: &str) -> Result<Self> {
        let serial = crate::monotonic_ns();
        let file = lab.directory().join(format!("{ns}-{interface}-{serial}.pcap"));
        let mut command = Command::new("tcpdump");
        // -s 0: whole packets, or checksums cannot be checked. -B: its default ring is a handful of such packets.
        // -Z root: as user tcpdump it could not write here.
        command.args([
            "-i",
            interface,
            "-n",
            "-s",
            "0",
            "-B",
            "16384",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
        ]);
        command.arg(&file).arg(filter);
        let process = lab.spawn(ns, command)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while !process.log().contains("listening on") {
            if process.status()?.is_some() || Instant::now() >= deadline {
                process.kill9()?;
                bail!("tcpdump does not listen on {interface}: {}", process.tail());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { process, file })
    }

    /// Ends the capture; the file lives as long as the lab.
    pub fn stop(self) -> Result<PcapFile> {
        std::thread::sleep(SETTLE);
        self.process.terminate()?;
        Ok(PcapFile { path: self.file })
    }
}

/// A finished capture.
#[derive(Clone, Debug)]
pub struct PcapFile {
    path: PathBuf,
}

impl PcapFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// tcpdump's verbose text, one item a line; an IPv4 packet has two of them.
    pub fn lines(&self) -> Result<Vec<String>> {
        self.dump("-vv")
    }

    /// Packets in the file.
    pub fn packets(&self) -> Result<usize> {
        Ok(self.dump("-q")?.len())
    }

    /// IP, UDP and TCP checksums that are wrong. Taken at a sender's veth, partial ones count too.
    pub fn bad_checksums(&self) -> Result<usize> {
        let bad = |line: &String| {
            ["bad udp cksum", "bad cksum", "incorrect"].iter().any(|complaint| line.contains(complaint))
        };
        Ok(self.lines()?.iter().filter(|line| bad(line)).count())
    }

    fn dump(&self, verbosity: &str) -> Result<Vec<String>> {
        let text = output(Command::new("tcpdump").args([verbosity, "-n", "-r"]).arg(&self.path))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
