//! The virtual machine itself: its cards and QEMU's command line.

use std::fmt;
use std::path::Path;

/// The kernel's command line. Mitigations cost time and test nothing of ours.
const KERNEL_LINE: &str = "console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0";
/// Processors of a machine.
pub const CPUS: usize = 2;

/// A network card, as QEMU emulates it; a machine has two of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Card {
    /// virtio with one pair of queues.
    Virtio,
    /// virtio with four: two for the processors, two for what XDP transmits, so that no queue is shared under a lock.
    VirtioQueues,
    /// VMware's paravirtual card.
    Vmxnet3,
    /// Intel's 82574, whose driver has no XDP.
    E1000e,
}

impl Card {
    /// All of them.
    pub const ALL: [Card; 4] = [Card::Virtio, Card::VirtioQueues, Card::Vmxnet3, Card::E1000e];

    /// Queue pairs of the card and its tap.
    pub fn queues(self) -> usize {
        if self == Card::VirtioQueues { 2 * CPUS } else { 1 }
    }

    /// QEMU's arguments for card `index`, at a tap of the same index.
    fn arguments(self, index: usize) -> [String; 4] {
        let (mut tap, mut rest) = (String::new(), String::new());
        let queues = self.queues();
        if queues > 1 {
            tap = format!(",queues={queues}");
            // One for each queue, one for changes of configuration, one for control.
            rest = format!(",mq=on,vectors={}", 2 * queues + 2);
        }
        let model = match self {
            Card::Virtio | Card::VirtioQueues => "virtio-net-pci",
            Card::Vmxnet3 => "vmxnet3",
            Card::E1000e => "e1000e",
        };
        [
            "-netdev".to_owned(),
            format!("tap,id=n{index},ifname={},script=no,downscript=no,vhost=off{tap}", tap_name(index)),
            "-device".to_owned(),
            // No ROM: nobody boots from the network.
            format!("{model},netdev=n{index},mac=52:54:00:50:00:{index:02x},romfile={rest}"),
        ]
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Card::Virtio => "virtio-1",
            Card::VirtioQueues => "virtio-4",
            Card::Vmxnet3 => "vmxnet3",
            Card::E1000e => "e1000e",
        })
    }
}

/// The tap that card `index` is plugged into.
pub(super) fn tap_name(index: usize) -> String {
    format!("tap{index}")
}

/// QEMU's arguments. No KVM: where it is nested, stock kernels may not even unpack themselves.
pub(super) fn arguments(kernel: &Path, initramfs: &Path, card: Card, control: &Path) -> Vec<String> {
    let smp = CPUS.to_string();
    let chardev = format!("socket,id=control,path={},server=on,wait=off", control.display());
    let (kernel, initramfs) = (kernel.to_string_lossy(), initramfs.to_string_lossy());
    let mut arguments: Vec<String> = [
        ["-accel", "tcg,thread=multi,tb-size=256"],
        ["-cpu", "max"],
        ["-m", "1024"],
        ["-smp", &smp],
        ["-display", "none"],
        ["-serial", "stdio"],
        ["-kernel", &kernel],
        ["-initrd", &initramfs],
        ["-append", KERNEL_LINE],
        ["-device", "virtio-serial-pci"],
        ["-chardev", &chardev],
        ["-device", "virtserialport,chardev=control,name=control"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect();
    arguments.extend(["-nodefaults", "-no-reboot"].map(str::to_owned));
    arguments.extend((0..2).flat_map(|index| card.arguments(index)));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_two_cards_at_two_taps() {
        let line = |card| arguments(Path::new("/k"), Path::new("/i"), card, Path::new("/c")).join(" ");
        let one = line(Card::Vmxnet3);
        for index in 0..2 {
            let netdev = format!(
                "-netdev tap,id=n{index},ifname=tap{index},script=no,downscript=no,vhost=off -device"
            );
            assert!(one.contains(&netdev), "{one}");
            let device = format!("-device vmxnet3,netdev=n{index},mac=52:54:00:50:00:0{index},romfile=");
            assert!(one.contains(&device), "{one}");
        }
        let four = line(Card::VirtioQueues);
        assert!(four.contains("vhost=off,queues=4 -device virtio-net-pci,"), "{four}");
        assert!(four.ends_with(",mq=on,vectors=10"), "{four}");
        assert!(!line(Card::Virtio).contains("mq=on"));
    }
}
