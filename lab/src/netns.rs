//! [`Lab`]: named network namespaces, veth pairs, a private bpffs and child processes, removed on drop.
//!
//! It does not use `ip netns exec`, which unshares mounts and would hide the bpffs from the child.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::disturbed;
use crate::process::Process;

/// Environment variable by which a lab knows its own processes, however they detached themselves.
const MARK: &str = "LAB_DIRECTORY";
/// How veth's counters (`ethtool -S`) of frames that found a ring full end.
const OVERFLOWS: [&str; 2] = ["xdp_tx_errors", "xdp_xmit_errors"];

/// A set of namespaces that belong together; dropping it removes all that it made, after a panic too.
///
/// A signal that ends the program skips the drop: a program that people stop with Ctrl-C must catch it.
pub struct Lab {
    prefix: String,
    directory: TempDir,
    bpffs: PathBuf,
    namespaces: Mutex<Vec<String>>,
    processes: Mutex<Vec<Process>>,
    /// What the machine's backlogs had lost before.
    backlog_drops: u64,
}

impl Lab {
    /// Starts an empty lab; a namespace `x` of it is called `{prefix}x` by the kernel.
    pub fn new(prefix: &str) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "the lab needs root: it makes network namespaces");
        let directory = tempfile::Builder::new().prefix("lab-").tempdir().context("making a temp dir")?;
        let bpffs = directory.path().join("bpffs");
        fs::create_dir(&bpffs).with_context(|| format!("making {}", bpffs.display()))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("bpf"), &bpffs, Some("bpf"), flags, None::<&str>)
            .with_context(|| format!("mounting a bpffs on {}", bpffs.display()))?;
        Ok(Self {
            prefix: prefix.to_owned(),
            directory,
            bpffs,
            namespaces: Mutex::default(),
            processes: Mutex::default(),
            backlog_drops: backlog_drops(),
        })
    }

    /// Where the lab's own bpffs is mounted.
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// A directory for configuration, logs and captures that goes away with the lab.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The kernel's name of a namespace, as `ip netns list` shows it.
    pub fn full_name(&self, ns: &str) -> String {
        format!("{}{ns}", self.prefix)
    }

    /// Adds a namespace with its loopback up; an error when the name is taken.
    pub fn add_namespace(&self, ns: &str) -> Result<()> {
        let full = self.full_name(ns);
        if self.path(ns).exists() {
            bail!("namespace {full} exists already; another lab runs, or remove it: ip netns del {full}");
        }
        output(Command::new("ip").args(["netns", "add", &full]))?;
        locked(&self.namespaces).push(full);
        self.run(ns, &["ip", "link", "set", "lo", "up"])?;
        Ok(())
    }

    /// Joins two namespaces by a veth pair, both ends up, IPv6 usable at once (no duplicate detection).
    pub fn link(&self, ns_a: &str, if_a: &str, ns_b: &str, if_b: &str) -> Result<()> {
        let peer_ns = self.full_name(ns_b);
        self.run(
            ns_a,
            &["ip", "link", "add", if_a, "type", "veth", "peer", "name", if_b, "netns", &peer_ns],
        )?;
        for (ns, interface) in [(ns_a, if_a), (ns_b, if_b)] {
            self.sysctl(ns, &format!("ipv6/conf/{interface}/accept_dad"), "0")?;
            self.sysctl(ns, &format!("ipv6/conf/{interface}/disable_ipv6"), "0")?;
            // Otherwise `set_link(.., false)` would lose the IPv6 addresses, but not the IPv4 ones.
            self.sysctl(ns, &format!("ipv6/conf/{interface}/keep_addr_on_down"), "1")?;
            self.set_link(ns, interface, true)?;
        }
        Ok(())
    }

    /// Adds an address such as `10.0.1.1/24` or `fd00::1/64` to an interface.
    pub fn address(&self, ns: &str, interface: &str, cidr: &str) -> Result<()> {
        let mut arguments = vec!["ip", "address", "add", cidr, "dev", interface];
        if cidr.contains(':') {
            arguments.push("nodad");
        }
        self.run(ns, &arguments).map(drop)
    }

    /// Adds or replaces a route; `destination` may be `default`.
    pub fn route(&self, ns: &str, destination: &str, via: &str) -> Result<()> {
        let family = if via.contains(':') { "-6" } else { "-4" };
        self.run(ns, &["ip", family, "route", "replace", destination, "via", via]).map(drop)
    }

    /// Takes an interface up or down. Down flushes the namespace's routes through it.
    pub fn set_link(&self, ns: &str, interface: &str, up: bool) -> Result<()> {
        self.run(ns, &["ip", "link", "set", interface, if up { "up" } else { "down" }]).map(drop)
    }

    /// Gives an interface another MAC address.
    pub fn set_mac(&self, ns: &str, interface: &str, mac: &str) -> Result<()> {
        self.run(ns, &["ip", "link", "set", interface, "address", mac]).map(drop)
    }

    /// Turns GRO on, and with it NAPI on this veth end, without which XDP cannot transmit *into* it:
    /// `veth_xdp_xmit` drops every frame when the receiving queue has no NAPI.
    pub fn enable_gro(&self, ns: &str, interface: &str) -> Result<()> {
        self.set_feature(ns, interface, "gro", true)
    }

    /// `ethtool -K`; `tx` off makes local senders write full UDP checksums instead of partial ones.
    pub fn set_feature(&self, ns: &str, interface: &str, feature: &str, on: bool) -> Result<()> {
        self.run(ns, &["ethtool", "-K", interface, feature, if on { "on" } else { "off" }]).map(drop)
    }

    /// The counters of `ethtool -S`, by name.
    pub fn ethtool_stats(&self, ns: &str, interface: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.run(ns, &["ethtool", "-S", interface])?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter_map(|(name, value)| Some((name.trim().to_owned(), value.trim().parse().ok()?)))
            .collect())
    }

    /// The namespace's UDP counters: `Udp…` for IPv4, `Udp6…` for IPv6, e.g. `UdpInCsumErrors`.
    pub fn udp_stats(&self, ns: &str) -> Result<BTreeMap<String, u64>> {
        // /proc/net is the main thread's; /proc/thread-self/net is that of the thread which entered.
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/thread-self/net/{name}"))
                .with_context(|| format!("reading {name}"))
        };
        let (v4, v6) =
            self.in_namespace(ns, || Ok::<_, anyhow::Error>((read("snmp")?, read("snmp6")?)))??;
        let mut rows = v4.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(str::split_whitespace);
        let names = rows.next().context("no Udp names in snmp")?;
        let values = rows.next().context("no Udp values in snmp")?;
        let v4 = names.zip(values).map(|(name, value)| (format!("Udp{name}"), value));
        let v6 = v6.lines().filter(|line| line.starts_with("Udp6")).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?))
        });
        v4.chain(v6).map(|(name, value)| Ok((name, value.parse()?))).collect()
    }

    /// Writes `value` to `/proc/sys/net/{key}` of a namespace.
    pub fn sysctl(&self, ns: &str, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{key}");
        self.in_namespace(ns, || fs::write(&path, value))?
            .with_context(|| format!("writing {value} to {path} in {}", self.full_name(ns)))
    }

    /// A command that will run inside a namespace; a missing namespace shows when it is started.
    pub fn command(&self, ns: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.enter_before_exec(ns, &mut command);
        command
    }

    /// Runs a command to its end and gives its stdout; the error holds its stderr.
    pub fn run(&self, ns: &str, arguments: &[&str]) -> Result<String> {
        let (program, rest) = arguments.split_first().context("an empty command")?;
        output(self.command(ns, program).args(rest)).with_context(|| format!("in {}", self.full_name(ns)))
    }

    /// Starts a command inside a namespace, its output going to a log file. The lab kills it when dropped.
    pub fn spawn(&self, ns: &str, mut command: Command) -> Result<Process> {
        self.enter_before_exec(ns, &mut command);
        let mut processes = locked(&self.processes);
        let program = Path::new(command.get_program()).file_name().unwrap_or_default();
        let log = format!("{}-{ns}-{}.log", processes.len(), program.to_string_lossy());
        let process = Process::start(command, self.directory().join(log))
            .with_context(|| format!("in {}", self.full_name(ns)))?;
        processes.push(process.clone());
        Ok(process)
    }

    /// Runs a closure on a fresh thread inside a namespace. Sockets it makes stay in that namespace.
    pub fn in_namespace<T: Send>(&self, ns: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path(ns);
        let namespace = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        std::thread::scope(|scope| {
            let entered = scope.spawn(move || setns(namespace, CloneFlags::CLONE_NEWNET).map(|()| work()));
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .with_context(|| format!("entering {}", path.display()))
    }

    /// For a test that failed: a queue of the lab that overflowed is the lab's loss, not that of the programs under test.
    fn say_what_queues_lost(&self) {
        let backlog = backlog_drops() - self.backlog_drops;
        if backlog > 0 {
            disturbed(&format!("a CPU's backlog overflowed and lost {backlog} packets"));
        }
        let names = locked(&self.namespaces).clone();
        for ns in names.iter().filter_map(|full| full.strip_prefix(&self.prefix)) {
            let links = self.in_namespace(ns, || fs::read_to_string("/proc/thread-self/net/dev"));
            let links = links.and_then(|links| Ok(links?)).unwrap_or_default();
            for (link, dropped) in links.lines().filter_map(transmit_drops) {
                if dropped > 0 {
                    disturbed(&format!("the ring behind {link} in {ns} was full for {dropped} packets"));
                }
                for (name, value) in self.ethtool_stats(ns, link).unwrap_or_default() {
                    if value > 0 && OVERFLOWS.iter().any(|overflow| name.ends_with(overflow)) {
                        disturbed(&format!("{link} in {ns} met a full ring: {name}={value}"));
                    }
                }
            }
        }
    }

    fn path(&self, ns: &str) -> PathBuf {
        Path::new("/run/netns").join(self.full_name(ns))
    }

    /// Kills what daemonised itself out of its process group: all in the namespace that carry our mark.
    /// A shell that somebody opened in there by hand does not, and stays.
    fn kill_strays(&self, full_name: &str) -> Result<()> {
        let mark = format!("{MARK}={}", self.directory().display());
        for pid in output(Command::new("ip").args(["netns", "pids", full_name]))?.split_whitespace() {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL);
            }
        }
        Ok(())
    }

    fn enter_before_exec(&self, ns: &str, command: &mut Command) {
        command.env(MARK, self.directory());
        let path = CString::new(self.path(ns).into_os_string().into_encoded_bytes());
        let enter = move || {
            let path = path.as_ref().map_err(|_| io::ErrorKind::InvalidInput)?;
            // SAFETY: a NUL-terminated path that outlives the call; no other memory is involved.
            let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: `fd` is open, and exec closes it (O_CLOEXEC).
            if unsafe { libc::setns(fd, libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: between fork and exec it only calls open and setns, which are plain system calls, and
        // makes errors that need no allocation.
        unsafe { command.pre_exec(enter) };
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say_what_queues_lost();
        }
        for process in locked(&self.processes).drain(..) {
            report(process.kill9().map(drop));
        }
        for namespace in locked(&self.namespaces).iter() {
            report(self.kill_strays(namespace));
        }
        // Unmounting drops the pins, and with the last reference the programs leave the interfaces.
        report(umount2(&self.bpffs, MntFlags::MNT_DETACH).context("unmounting the bpffs"));
        for namespace in locked(&self.namespaces).drain(..) {
            report(output(Command::new("ip").args(["netns", "del", &namespace])).map(drop));
        }
    }
}

/// Packets that all CPUs' backlogs have lost since the machine started: second column of softnet_stat, in hex.
fn backlog_drops() -> u64 {
    let text = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(dropped).sum()
}

/// (interface, packets that it could not send) of a line of /proc/net/dev.
fn transmit_drops(line: &str) -> Option<(&str, u64)> {
    let (link, counters) = line.split_once(':')?;
    // Eight columns of what was received; then bytes, packets, errs, drop of what was sent.
    Some((link.trim(), counters.split_whitespace().nth(11)?.parse().ok()?))
}

fn report(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("lab: cleaning up: {error:#}");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end; an error holds the command line and its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {shown}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {}: {}", output.status, stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
