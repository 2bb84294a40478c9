//! [`Stage`]: the namespaces in which every contestant has its turn, and which CPU does what.
//!
//! ```text
//! generator ─ injection-1 eth0 ── eth0 relay-1 eth1 ── eth0 egress ─ receivers (10.0.2.11 …)
//! ```

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use lab::relay::AUDIO;
use lab::{Endpoint, Lab, Topology};
use nix::net::if_::if_nametoindex;

use crate::frame::Frame;
use crate::machine::{Cpus, make_realtime, prefer, set_affinity};

/// Most children.
pub const MAX_CHILDREN: usize = 256;
/// The children share these many addresses; those beyond have another port.
const ADDRESSES: usize = 128;
const PORT_STEP: u16 = 10;

/// Who works where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// One CPU does everything, so its time is CPU time and a full CPU loses nothing.
    OneCpu,
    /// The generator has a CPU of its own and keeps to its schedule, whatever becomes of the packets. On the other one, a
    /// process has to share with the kernel thread that polls the interface (`true`), or there is none.
    TwoCpus { process: bool },
}

/// The namespaces, wired up.
pub struct Stage<'lab> {
    pub lab: &'lab Lab,
    pub topology: Topology,
    pub cpus: Cpus,
    /// Index of the generator's interface, and of the relay's towards the receivers.
    pub generator_interface: u32,
    pub relay_interface: u32,
    macs: [[u8; 6]; 3],
}

impl<'lab> Stage<'lab> {
    pub fn set(lab: &'lab Lab, cpus: Cpus) -> Result<Self> {
        let topology = Topology::one_nic(lab, ADDRESSES)?;
        let egress = &topology.children[0].endpoint;
        // An interface without NAPI takes no XDP frames.
        lab.enable_gro("relay-1", "eth0")?;
        // Some contestants send what the kernel cuts up afterwards: on a wire it would be cut up before.
        lab.set_feature("relay-1", "eth1", "tx-udp-segmentation", false)?;
        let macs = [mac(lab, &topology.injection)?, mac(lab, &topology.relay)?, mac(lab, egress)?];
        let generator_interface = index(lab, &topology.injection)?;
        let relay_interface = index(lab, &topology.children[0].relay)?;
        let stage = Self { lab, topology, cpus, generator_interface, relay_interface, macs };
        stage.make_neighbours()?;
        Ok(stage)
    }

    /// Where the first so many children get their media.
    pub fn clients(&self, children: usize) -> Vec<SocketAddr> {
        (0..children).map(|index| self.client(index)).collect()
    }

    /// A packet for the relay.
    pub fn frame(&self, length: usize) -> Frame {
        let [injection, relay, _] = self.macs;
        Frame::new([injection, relay], self.topology.injection.v4, self.topology.relay.v4, length)
    }

    /// MACs of the relay's side and the receivers' side of the wire between them.
    pub fn egress_macs(&self) -> Result<[[u8; 6]; 2]> {
        Ok([mac(self.lab, &self.topology.children[0].relay)?, self.macs[2]])
    }

    /// Lets the relay's interface be polled by a kernel thread on the CPU under test, or where the packets were sent.
    pub fn divide(&self, division: Division) -> Result<()> {
        let threaded = u8::from(division != Division::OneCpu);
        let before = napi_threads()?;
        let set = format!("echo {threaded} > /sys/class/net/eth0/threaded");
        let relay = self.lab.full_name("relay-1");
        // `ip netns exec` shows the namespace's own /sys.
        let output = std::process::Command::new("ip")
            .args(["netns", "exec", &relay, "sh", "-c", &set])
            .output()
            .context("starting ip")?;
        ensure!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stderr));
        if let Division::TwoCpus { process } = division {
            let threads: Vec<i32> =
                napi_threads()?.into_iter().filter(|thread| !before.contains(thread)).collect();
            for thread in &threads {
                set_affinity(*thread, self.cpus.tested)?;
                if process {
                    prefer(*thread);
                } else {
                    make_realtime(*thread);
                }
            }
        }
        Ok(())
    }

    /// Gives every interface on the way so many queues. None of them may have an XDP program then.
    pub fn set_queues(&self, queues: u32) -> Result<()> {
        let count = queues.to_string();
        for (ns, interface) in
            [("injection-1", "eth0"), ("relay-1", "eth0"), ("relay-1", "eth1"), ("egress", "eth0")]
        {
            // An error when there are so many already.
            let set = ["ethtool", "-L", interface, "rx", &count, "tx", &count];
            let done = self.lab.run(ns, &set);
            let shown = self.lab.run(ns, &["ethtool", "-l", interface])?;
            let current = shown.split("Current").nth(1).unwrap_or_default().to_owned();
            let has = |kind: &str| {
                current.lines().any(|line| line.strip_prefix(kind).is_some_and(|rest| rest.trim() == count))
            };
            ensure!(has("RX:") && has("TX:"), "{ns} {interface}: no {queues} queues: {done:?}");
        }
        Ok(())
    }

    fn client(&self, index: usize) -> SocketAddr {
        let port = AUDIO + PORT_STEP * (index / ADDRESSES) as u16;
        self.topology.children[index % ADDRESSES].endpoint.v4(port)
    }

    /// Nobody shall have to ask for MACs while time is taken.
    fn make_neighbours(&self) -> Result<()> {
        let [injection, relay, egress] = self.macs.map(text);
        let topology = &self.topology;
        let mut lines: Vec<String> = topology
            .children
            .iter()
            .map(|child| {
                format!("neigh replace {} lladdr {egress} dev eth1 nud permanent\n", child.endpoint.v4)
            })
            .collect();
        lines.push(format!(
            "neigh replace {} lladdr {injection} dev eth0 nud permanent\n",
            topology.injection.v4
        ));
        let file = self.lab.directory().join("neighbours");
        fs::write(&file, lines.concat()).context("writing the neighbours")?;
        self.lab.run("relay-1", &["ip", "-batch", &file.to_string_lossy()])?;
        let line = ["neigh", "replace", &topology.relay.v4.to_string(), "lladdr", &relay];
        let line = [&["ip"][..], &line, &["dev", "eth0", "nud", "permanent"]].concat();
        self.lab.run("injection-1", &line).map(drop)
    }
}

/// Kernel threads that poll interfaces called eth0.
fn napi_threads() -> Result<Vec<i32>> {
    threads("napi/eth0-")
}

/// Processes and kernel threads whose names begin so.
pub fn threads(name: &str) -> Result<Vec<i32>> {
    let processes = fs::read_dir("/proc").context("reading /proc")?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    Ok(ids
        .filter(|id| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.starts_with(name)))
        .collect())
}

fn index(lab: &Lab, endpoint: &Endpoint) -> Result<u32> {
    let interface = endpoint.interface.as_str();
    lab.in_namespace(&endpoint.namespace, || if_nametoindex(interface))?
        .with_context(|| format!("looking for {interface} in {}", endpoint.namespace))
}

/// The MAC of an interface.
pub fn mac(lab: &Lab, endpoint: &Endpoint) -> Result<[u8; 6]> {
    let line = lab.run(&endpoint.namespace, &["ip", "-o", "link", "show", &endpoint.interface])?;
    let text = line.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).context("no MAC")?;
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    bytes.try_into().ok().with_context(|| format!("not a MAC: {text}"))
}

/// A MAC as `ip` and `nft` read it.
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
