//! [`Split`]: what a server's CPU time goes into, by sampling (`perf`, Debian's linux-perf).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Process;

/// Samples a second; no multiple of anything that happens regularly.
const RATE: &str = "499";
/// Libraries whose work is encryption, by how their names begin.
const LIBRARIES: [&str; 11] = [
    "libcrypto",
    "libssl",
    "libsrtp",
    "libfreebl",
    "libnss",
    "libsoftokn",
    "libgnutls",
    "libnettle",
    "libgcrypt",
    "libhogweed",
    "libmbedcrypto",
];
/// The same linked into a program, by what their functions' names have in them.
const FUNCTIONS: [&str; 7] = ["aes", "gcm", "ghash", "polyval", "sha1", "hmac", "srtp"];
/// System calls that send; none of them calls another by this name.
const CALLS: [&str; 3] = ["__sys_sendto", "__sys_sendmsg", "__sys_sendmmsg"];

/// Shares of the time; the rest is everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Split {
    /// In system calls that send, what the kernel does then included: on a virtual wire, the receiver's side of it too.
    pub sending: f64,
    /// SRTP.
    pub crypto: f64,
}

/// Samples processes for `time`; `None` where there is no `perf`. `file` is made, and overwritten.
pub fn sample(processes: &[Process], time: Duration, file: &Path) -> Result<Option<Split>> {
    if !Path::new("/usr/bin/perf").exists() {
        return Ok(None);
    }
    let ids: Vec<String> = processes.iter().map(|process| process.pid().to_string()).collect();
    let record = perf(file, "record", &["-q", "-e", "cpu-clock", "-F", RATE, "-g", "-p", &ids.join(",")])
        .args(["--", "sleep", &time.as_secs_f64().to_string()])
        .output()
        .context("starting perf")?;
    ensure!(record.status.success(), "perf record: {}", String::from_utf8_lossy(&record.stderr));
    let report = ["--stdio", "--children", "-g", "none", "--percent-limit", "0", "--sort", "dso,sym"];
    let report = perf(file, "report", &report).output().context("starting perf")?;
    ensure!(report.status.success(), "perf report: {}", String::from_utf8_lossy(&report.stderr));
    Ok(read(&String::from_utf8_lossy(&report.stdout)))
}

fn perf(file: &Path, verb: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("perf");
    command.arg(verb).arg(if verb == "record" { "-o" } else { "-i" }).arg(file).args(arguments);
    command.stdin(Stdio::null());
    command
}

/// Of lines like `60.67%  1.20%  [kernel.kallsyms]  [k] __sys_sendto`: with what it calls, by itself, where, what.
fn read(report: &str) -> Option<Split> {
    let mut split = Split::default();
    let mut all = 0.0;
    for line in report.lines() {
        let mut fields = line.split_whitespace();
        let mut percent = || fields.next()?.strip_suffix('%')?.parse::<f64>().ok();
        let (Some(whole), Some(own)) = (percent(), percent()) else { continue };
        let Some(library) = fields.next() else { continue };
        let symbol = fields.nth(1).unwrap_or_default();
        all += own;
        if library.starts_with("[kernel") {
            if CALLS.contains(&symbol) {
                split.sending += whole / 100.0;
            }
            continue;
        }
        let name = symbol.to_ascii_lowercase();
        if LIBRARIES.iter().any(|crypto| library.starts_with(crypto))
            || FUNCTIONS.iter().any(|word| name.contains(word))
        {
            split.crypto += own / 100.0;
        }
    }
    (all > 0.0).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sends_counts_whole_and_what_encrypts_by_itself() {
        let report = "# Overhead\n\
            \x20   73.00%     0.00%  [unknown]            [k] 0000000000000000\n\
            \x20   40.00%     0.00%  [kernel.kallsyms]    [k] __sys_sendmmsg\n\
            \x20   40.00%     1.00%  [kernel.kallsyms]    [k] ___sys_sendmsg\n\
            \x20   39.00%     5.00%  [kernel.kallsyms]    [k] udp_sendmsg\n\
            \x20    2.00%     2.00%  [kernel.kallsyms]    [k] __sys_sendto\n\
            \x20   15.00%    10.00%  libcrypto.so.3       [.] aesni_gcm_encrypt\n\
            \x20    5.00%     5.00%  peer                 [.] aes_gcm::AesGcm::encrypt\n\
            \x20   20.00%    20.00%  egress               [.] seats::worker::round\n";
        let split = read(report).unwrap();
        assert!((split.sending - 0.42).abs() < 1e-9 && (split.crypto - 0.15).abs() < 1e-9, "{split:?}");
        assert_eq!(read("no samples\n"), None);
    }
}
