//! node_exporter of the machine that the scaler makes nodes on. The tests' machine has other things to do, and how busy it is says nothing of
//! the audience: of CPU the real exporter passes on what the nodes themselves have taken, as if they had a machine with one processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::Lab;
use lab::studio::MACHINE;

use super::house::By;

/// What nodes are, to the kernel.
const NODES: [&str; 2] = ["egress", "relay-ctl"];
/// Ticks of the clock in which the kernel counts CPU time (`USER_HZ`, the same on all that Linux runs on).
const TICKS: f64 = 100.0;
const EVERY: Duration = Duration::from_millis(250);

/// Starts it; in the namespace of the machine, or for containers here.
pub fn start(lab: &Lab, by: By) -> Option<Child> {
    let folder = lab.directory().join("textfile");
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg("--collector.disable-defaults").args(["--collector.meminfo", "--collector.netdev"]);
    command.arg("--collector.textfile").arg(format!("--collector.textfile.directory={}", folder.display()));
    command.arg("--web.listen-address=0.0.0.0:9100");
    let network = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let (exporter, network) = match by {
        By::Processes => {
            lab.spawn(MACHINE, command).unwrap();
            (None, lab.in_namespace(MACHINE, network).unwrap())
        }
        By::Containers => (Some(command.stderr(Stdio::null()).spawn().unwrap()), network()),
    };
    std::thread::spawn(move || write(&folder, &network));
    exporter
}

/// Until the folder goes with the lab.
fn write(folder: &Path, network: &Path) {
    let (began, mut machine) = (Instant::now(), Machine::default());
    while folder.exists() {
        machine.look(network);
        let busy = machine.busy;
        let idle = (began.elapsed().as_secs_f64() - busy).max(0.0);
        let series = |mode: &str, seconds: f64| {
            format!("node_cpu_seconds_total{{cpu=\"0\",mode=\"{mode}\"}} {seconds:.3}\n")
        };
        let _ = fs::write(folder.join("new"), series("idle", idle) + &series("user", busy));
        let _ = fs::rename(folder.join("new"), folder.join("cpu.prom"));
        std::thread::sleep(EVERY);
    }
}

/// What the nodes of a network have taken, those that have ended among them.
#[derive(Default)]
struct Machine {
    /// Seconds.
    busy: f64,
    /// Seconds, by process.
    seen: BTreeMap<String, f64>,
}

impl Machine {
    fn look(&mut self, network: &Path) {
        let before = std::mem::take(&mut self.seen);
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(taken) = taken(&entry.path(), network) else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            self.busy += (taken - before.get(&name).copied().unwrap_or(0.0)).max(0.0);
            self.seen.insert(name, taken);
        }
    }
}

/// CPU time of a process, if it is a node in this network (proc(5): `comm` in brackets; `utime` and `stime` are the 14th and 15th).
fn taken(process: &Path, network: &Path) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    if !NODES.contains(&name) || fs::read_link(process.join("ns/net")).ok()? != *network {
        return None;
    }
    let ticks = rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / TICKS)
}
