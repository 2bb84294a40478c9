//! [`Machine`]: a virtual machine with a kernel of Debian's and two network cards, for what namespaces cannot show: other
//! kernels and real drivers.
//!
//! ```text
//!            switch: bridge0 {tap0, near} ── near eth0 (10.0.1.1, and children)
//! guest eth0 ─┘
//! guest eth1 ─┐
//!            switch: bridge1 {tap1, far} ── far eth0 (10.0.2.1, and children)
//! ```
//!
//! Emulated without KVM it is some 20 times slower than the host: what it forwards is counted, never timed.

mod control;
mod initramfs;
mod kernel;
mod qemu;

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use self::control::Answer;
use self::control::Control;
pub use self::kernel::{Kernel, Series};
pub use self::qemu::{CPUS, Card};
use lab::netns::Lab;
use lab::process::Process;
use lab::relay::relay_ctl;

/// Namespaces on the wires of `eth0` and `eth1`.
pub const SIDES: [&str; 2] = ["near", "far"];
/// Receivers' addresses on each wire.
pub const CHILDREN: usize = 2;
const SWITCH: &str = "switch";
/// From QEMU's start to `init`, on a machine that has other things to do.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// For a command in the guest: loading the programs may take the verifier a minute there.
const COMMAND_LIMIT: Duration = Duration::from_secs(240);
/// Packets that a tap holds while the guest does not look; a second of it at the rates that are used here.
const TAP_QUEUE: &str = "4000";

/// A running machine. Dropping the handle leaves it to the lab, which kills it.
pub struct Machine {
    process: Process,
    control: Mutex<Control>,
}

impl Machine {
    /// Makes the wires in an empty lab, boots, and gives both cards their addresses.
    pub fn boot(lab: &Lab, kernel: &Kernel, card: Card) -> Result<Self> {
        lab.add_namespace(SWITCH)?;
        for (index, side) in SIDES.iter().enumerate() {
            plug(lab, index, side, card)?;
        }
        let initramfs = initramfs::build(kernel, &relay_ctl(), lab.directory())?;
        let socket = lab.directory().join("control");
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(qemu::arguments(&kernel.image(), &initramfs, card, &socket));
        let process = lab.spawn(SWITCH, qemu)?;
        let alive = || process.status().is_ok_and(|status| status.is_none());
        let control = Control::connect(&socket, BOOT_LIMIT, alive)
            .with_context(|| format!("booting {}; the console ends:\n{}", kernel.release, process.tail()))?;
        fs::remove_file(&initramfs).context("removing the initramfs")?;
        let machine = Self { process, control: Mutex::new(control) };
        for index in 0..SIDES.len() {
            let address = guest_address(index);
            machine
                .ok(&format!("ip address add {address}/24 dev eth{index} && ip link set eth{index} up"))?;
        }
        machine.spread_interrupts()?;
        Ok(machine)
    }

    /// Runs a shell command in the guest to its end.
    pub fn run(&self, command: &str) -> Result<Answer> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control
            .run(command, COMMAND_LIMIT)
            .with_context(|| format!("in the guest: {command}\nits console ends:\n{}", self.process.tail()))
    }

    /// Runs a command that has to succeed; gives what it printed.
    pub fn ok(&self, command: &str) -> Result<String> {
        let answer = self.run(command)?;
        ensure!(answer.code == 0, "in the guest: {command}: exit code {}: {}", answer.code, answer.output);
        Ok(answer.output)
    }

    /// Receive interrupts in turn to the processors; by themselves they often share one.
    fn spread_interrupts(&self) -> Result<()> {
        let spread = r"n=0
            for irq in $(awk -F: '/virtio[0-9]+-input|eth[0-9]-rx/ { print $1 }' /proc/interrupts); do
                echo $((1 << n % CPUS)) >/proc/irq/$irq/smp_affinity; n=$((n + 1))
            done";
        self.ok(&spread.replace("CPUS", &CPUS.to_string())).map(drop)
    }
}

/// The guest's address on a wire.
pub fn guest_address(side: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1 + side as u8, 2)
}

/// A receiver's address on a wire, counted from 0.
pub fn child_address(side: usize, child: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1 + side as u8, 11 + child as u8)
}

/// A namespace, a bridge and a tap, joined.
fn plug(lab: &Lab, index: usize, side: &str, card: Card) -> Result<()> {
    let (tap, bridge) = (qemu::tap_name(index), format!("bridge{index}"));
    lab.add_namespace(side)?;
    lab.link(SWITCH, side, side, "eth0")?;
    // Completes checksums before they reach the receivers, so that tcpdump there can tell wrong ones.
    lab.set_feature(SWITCH, side, "tx", false)?;
    lab.set_feature(SWITCH, side, "gro", false)?;
    lab.address(side, "eth0", &format!("10.0.{}.1/24", 1 + index))?;
    for child in 0..CHILDREN {
        lab.address(side, "eth0", &format!("{}/24", child_address(index, child)))?;
    }
    let mut tuntap = vec!["ip", "tuntap", "add", &tap, "mode", "tap"];
    if card.queues() > 1 {
        tuntap.push("multi_queue");
    }
    lab.run(SWITCH, &tuntap)?;
    lab.run(SWITCH, &["ip", "link", "set", &tap, "txqueuelen", TAP_QUEUE])?;
    lab.run(SWITCH, &["ip", "link", "add", &bridge, "type", "bridge", "stp_state", "0"])?;
    for port in [side, &tap] {
        lab.run(SWITCH, &["ip", "link", "set", port, "master", &bridge])?;
    }
    lab.set_link(SWITCH, &tap, true)?;
    lab.set_link(SWITCH, &bridge, true)
}
