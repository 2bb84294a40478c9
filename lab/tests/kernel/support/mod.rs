//! What the tests of the kernel programs share: a data plane that is loaded but not attached, in namespaces of its own,
//! and `BPF_PROG_TEST_RUN` on its programs.
//!
//! ```text
//! injection eth0 ─── eth0 relay eth1 ─── eth1 egress
//!                               eth2 ─── eth2
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::time::Duration;

use aya::programs::{SchedClassifier, TestRunAttrs, Xdp};
use aya::{TestRun, TestRunOptions};
use lab::Lab;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use relay_common::layout::{self, ChildStats, ListenerKey, StreamKey};
use relay_common::reason::Reason;
use relay_ctl::fanout::{FanoutError, Wanted};
use relay_ctl::kernel::{Constants, DataPlane, Inherited, KernelError, Mode, Pins};

pub mod frames;
pub mod redirector;
pub mod rows;
pub mod wire;

use frames::{Checksum, Datagram};

pub const RELAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 1];
pub const SENDER_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 2];
pub const AUDIO: u16 = 5002;
pub const VIDEO: u16 = 5004;
pub const RELAY_V4: [u8; 4] = [10, 0, 1, 1];
pub const RELAY_V6: [u16; 8] = [0xfd00, 0, 0, 1, 0, 0, 0, 1];
const SENDER_V4: [u8; 4] = [10, 0, 1, 2];
const SENDER_V6: [u16; 8] = [0xfd00, 0, 0, 1, 0, 0, 0, 2];
const SENDER_PORT: u16 = 40_000;

/// `__sk_buff` up to `ifindex`; the kernel takes the rest as zero.
const SK_BUFF: usize = 44;
const SK_BUFF_MARK: usize = 8;
const SK_BUFF_IFINDEX: usize = 40;
/// What a forwarded packet must not carry on.
pub const MARK: u32 = 77;

pub const XDP_DROP: u32 = 1;
pub const XDP_PASS: u32 = 2;
pub const XDP_REDIRECT: u32 = 4;
pub const TC_NEXT: u32 = u32::MAX;
/// Dropped, or ended after its copies have gone.
pub const TC_SHOT: u32 = 2;
/// The packet itself goes to the last child.
pub const TC_REDIRECT: u32 = 7;
/// For so long after an interface has taken a copy, the last child gets the packet itself, and longer.
const UNPROVEN: Duration = Duration::from_micros(1_200);

/// One IP version or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    V4,
    V6,
}

/// An RTP packet from the sender to the relay's video port.
pub fn media(ip: Ip, payload: Vec<u8>) -> Datagram {
    let (source, destination): (IpAddr, IpAddr) = match ip {
        Ip::V4 => (SENDER_V4.into(), RELAY_V4.into()),
        Ip::V6 => (SENDER_V6.into(), RELAY_V6.into()),
    };
    Datagram {
        destination_mac: RELAY_MAC,
        source_mac: SENDER_MAC,
        tags: Vec::new(),
        source: (source, SENDER_PORT).into(),
        destination: (destination, VIDEO).into(),
        ttl: 64,
        checksum: Checksum::Right,
        payload,
        padding: 0,
    }
}

/// A child as a test knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    pub id: u32,
    /// 1 or 2: behind `eth1` or `eth2`.
    pub nic: usize,
    pub ip: Ip,
    /// Audio, video.
    pub ports: [u16; 2],
}

impl Child {
    pub fn mac(&self) -> [u8; 6] {
        [0x02, 0xc0, 0, 0, (self.id >> 8) as u8, self.id as u8]
    }

    pub fn address(&self) -> IpAddr {
        let [high, low] = (self.id as u16 + 10).to_be_bytes();
        match self.ip {
            Ip::V4 => IpAddr::from([10, self.nic as u8 + 1, high, low]),
            Ip::V6 => IpAddr::from([0xfd00, 0, 0, self.nic as u16 + 1, 0, 0, 0, self.id as u16 + 10]),
        }
    }

    /// The relay's address towards it.
    pub fn source(&self) -> IpAddr {
        match self.ip {
            Ip::V4 => IpAddr::from([10, self.nic as u8 + 1, 0, 1]),
            Ip::V6 => IpAddr::from([0xfd00, 0, 0, self.nic as u16 + 1, 0, 0, 0, 1]),
        }
    }

    /// Where a packet for the relay's `port` goes.
    pub fn goal(&self, port: u16) -> SocketAddr {
        let kind = usize::from(port >= VIDEO);
        let rtcp = port - [AUDIO, VIDEO][kind];
        (self.address(), self.ports[kind] + rtcp).into()
    }

    /// The copy of a packet that this child must get.
    pub fn copy_of(&self, packet: &Datagram) -> Datagram {
        Datagram {
            destination_mac: self.mac(),
            source_mac: nic_mac(self.nic),
            tags: Vec::new(),
            source: (self.source(), packet.destination.port()).into(),
            destination: self.goal(packet.destination.port()),
            ttl: packet.ttl - 1,
            ..packet.clone()
        }
    }

    fn headers(&self, ifindex: u32, mtu: u16) -> layout::Child {
        let (source, destination) = (mapped(self.source()), mapped(self.address()));
        layout::Child {
            destination_mac: self.mac(),
            source_mac: nic_mac(self.nic),
            ethertype: if self.ip == Ip::V4 { [0x08, 0x00] } else { [0x86, 0xdd] },
            mtu,
            source,
            destination,
            ports: self.ports,
            address_sum: relay_common::rewrite::address_sum(&source, &destination, self.ip == Ip::V4),
            ifindex,
            counter: self.id,
        }
    }
}

/// What a test run gave.
#[derive(Debug)]
pub struct Ran {
    pub verdict: u32,
    pub packet: Vec<u8>,
    /// XDP metadata in front of the packet.
    pub metadata: Vec<u8>,
    /// `skb->mark` at the end.
    pub mark: u32,
    /// Reasons that were counted, and how often.
    pub counted: Vec<(Reason, u64)>,
}

/// A data plane with its programs loaded.
pub struct Kernel<'lab> {
    pub lab: &'lab Lab,
    pub plane: DataPlane,
    /// Of the ways to the children that come.
    pub mtu: u16,
    mode: Mode,
    ingress: u32,
    egress: [u32; 2],
}

/// Runs a test in a relay's namespace, with nothing configured but where it listens.
pub fn with_kernel(name: &str, mode: Mode, test: impl FnOnce(&mut Kernel<'_>) + Send) {
    with_kernel_of(name, mode, Constants::default(), test);
}

/// The same with programs that are loaded with these constants.
pub fn with_kernel_of(
    name: &str,
    mode: Mode,
    constants: Constants,
    test: impl FnOnce(&mut Kernel<'_>) + Send,
) {
    let lab = Lab::new(&format!("k-{name}-{mode}-")).unwrap();
    for ns in ["injection", "relay", "egress"] {
        lab.add_namespace(ns).unwrap();
    }
    lab.link("injection", "eth0", "relay", "eth0").unwrap();
    lab.set_mac("relay", "eth0", &text(RELAY_MAC)).unwrap();
    for nic in [1, 2] {
        let interface = format!("eth{nic}");
        lab.link("relay", &interface, "egress", &interface).unwrap();
        lab.set_mac("relay", &interface, &text(nic_mac(nic))).unwrap();
        lab.enable_gro("egress", &interface).unwrap();
    }
    lab.in_namespace("relay", || {
        let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap();
        let ingress = index("eth0");
        let pins = Pins::new(lab.bpffs(), "eth0");
        let (mut plane, _) = DataPlane::open(pins, ingress, constants).unwrap();
        plane.prepare(mode).unwrap();
        plane.listen(listeners()).unwrap();
        plane.describe("relay-1", [AUDIO, VIDEO], "a test", true).unwrap();
        let egress = [index("eth1"), index("eth2")];
        test(&mut Kernel { lab: &lab, plane, mtu: 1500, mode, ingress, egress });
    })
    .unwrap();
}

impl Kernel<'_> {
    /// Gives the relay its children, and streams (on both ports) sets of their own.
    pub fn children(&mut self, children: &[Child], routes: &[(u32, &[Child])]) {
        let subset = |children: &[Child]| children.iter().map(|child| child.id).collect();
        let mut wanted = self.wanted(children);
        for port in [AUDIO, VIDEO] {
            wanted.routes.extend(routes.iter().map(|(ssrc, children)| (key(port, *ssrc), subset(children))));
        }
        self.change(&wanted);
    }

    /// Says again where the relay listens, as after a change of addresses.
    pub fn listen(&mut self) {
        self.plane.listen(listeners()).unwrap();
    }

    /// These children, and no routes.
    pub fn wanted(&self, children: &[Child]) -> Wanted {
        let headers = |child: &Child| (child.id, child.headers(self.egress[child.nic - 1], self.mtu));
        Wanted { children: children.iter().map(headers).collect(), ..Wanted::default() }
    }

    /// The daemon ends and another opens what it left. Gives what it inherited.
    pub fn take_over(&mut self) -> Inherited {
        // The lock is held for as long as the old one is there: another takes its place in between.
        let elsewhere = Pins::new(self.lab.bpffs(), "elsewhere");
        let (placeholder, _) = DataPlane::open(elsewhere, self.ingress, Constants::default()).unwrap();
        drop(std::mem::replace(&mut self.plane, placeholder));
        // A command that another test starts just now holds a copy of the lock between fork and exec.
        let inherited = loop {
            match DataPlane::open(Pins::new(self.lab.bpffs(), "eth0"), self.ingress, Constants::default()) {
                Ok((plane, inherited)) => {
                    self.plane = plane;
                    break inherited;
                }
                Err(KernelError::AnotherDaemon { .. }) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("{error}"),
            }
        };
        self.plane.prepare(self.mode).unwrap();
        self.listen();
        self.plane.attach().unwrap();
        inherited
    }

    /// As the daemon does it: what comes too soon after other changes is tried again when their grace is over.
    pub fn change(&mut self, wanted: &Wanted) {
        loop {
            match self.plane.change(wanted) {
                Err(KernelError::Fanout(FanoutError::Busy)) => {
                    std::thread::sleep(Duration::from_millis(relay_ctl::fanout::GRACE_MS));
                }
                result => return result.unwrap(),
            }
        }
    }

    /// The interface index of `eth1` or `eth2`.
    pub fn nic(&self, nic: usize) -> u32 {
        self.egress[nic - 1]
    }

    /// These children, with an MTU of its own for the way to each.
    pub fn children_with_mtus(&mut self, children: &[(Child, u16)]) {
        let all: Vec<Child> = children.iter().map(|(child, _)| *child).collect();
        let mut wanted = self.wanted(&all);
        for (child, mtu) in children {
            wanted.children.entry(child.id).and_modify(|headers| headers.mtu = *mtu);
        }
        self.change(&wanted);
    }

    /// Lets children of `eth1` or `eth2` seem to be behind another interface.
    pub fn pretend_nic(&mut self, nic: usize, ifindex: u32) {
        self.egress[nic - 1] = ifindex;
    }

    /// Makes the host a router that knows the way to IPv4 children behind `eth1`.
    pub fn let_the_host_forward(&self, children: &[Child]) {
        self.lab.address("relay", "eth0", "10.0.1.1/24").unwrap();
        self.lab.address("relay", "eth1", "10.2.0.1/16").unwrap();
        self.lab.sysctl("relay", "ipv4/ip_forward", "1").unwrap();
        for key in ["ipv4/conf/all/rp_filter", "ipv4/conf/eth0/rp_filter"] {
            self.lab.sysctl("relay", key, "0").unwrap();
        }
        // The relay's own address as a source would be a martian; a router on the way would not care.
        self.lab.sysctl("relay", "ipv4/conf/eth0/accept_local", "1").unwrap();
        for child in children {
            let (address, mac) = (child.address().to_string(), text(child.mac()));
            let neighbour = ["ip", "neigh", "replace", &address, "lladdr", &mac, "dev", "eth1"];
            self.lab.run("relay", &neighbour).unwrap();
        }
    }

    /// The same packet with the number that its stream goes on with: what has come is not forwarded again.
    pub fn fresh(&self, packet: &Datagram) -> Datagram {
        let ssrc = u32::from_be_bytes(*packet.payload[8..].first_chunk().unwrap());
        let pair = if packet.destination.port() < VIDEO { AUDIO } else { VIDEO };
        let stream = self.plane.maps().streams.get(&key(pair, ssrc), 0);
        packet.clone().numbered(stream.map_or(1, |stream| stream.highest as u16 + 1))
    }

    /// Runs the mode's ingress program on a packet. The tc program's clones are really sent, and all copies are clones: it
    /// is left so much time that no interface counts as proven.
    pub fn run(&mut self, packet: &[u8]) -> Ran {
        if self.mode == Mode::Tc {
            std::thread::sleep(UNPROVEN);
        }
        let before = self.counters();
        let ran = self.run_uncounted(packet);
        Ran { counted: since(&before, &self.counters()), ..ran }
    }

    /// [`Kernel::run`] without a look at the counters, which takes longer than the run.
    pub fn run_uncounted(&mut self, packet: &[u8]) -> Ran {
        match self.mode {
            Mode::Xdp => self.run_xdp(packet, &[]),
            Mode::Tc => self.run_tc(packet),
            Mode::Userspace => panic!("no kernel program"),
        }
    }

    /// [`Kernel::run`] with XDP metadata in front of the packet.
    pub fn run_xdp(&mut self, packet: &[u8], metadata: &[u8]) -> Ran {
        let input = [metadata, packet].concat();
        let program: &mut Xdp =
            self.plane.programs().ebpf().program_mut("relay_xdp").unwrap().try_into().unwrap();
        // xdp_md: data, data_end, and four more words.
        let mut context = [0u8; 24];
        context[0..4].copy_from_slice(&(metadata.len() as u32).to_ne_bytes());
        context[4..8].copy_from_slice(&(input.len() as u32).to_ne_bytes());
        let (mut output, mut context_out) = ([0u8; 4096], [0u8; 24]);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&input);
        options.data_out = Some(&mut output);
        options.ctx_in = Some(&context);
        options.ctx_out = Some(&mut context_out);
        let result = program.test_run(options).unwrap();
        let output = &output[..result.data_size_out as usize];
        let (metadata, packet) = output.split_at(word(&context_out, 0) as usize);
        Ran {
            verdict: result.return_value,
            packet: packet.to_vec(),
            metadata: metadata.to_vec(),
            mark: 0,
            counted: Vec::new(),
        }
    }

    fn run_tc(&mut self, packet: &[u8]) -> Ran {
        let mut context = [0u8; SK_BUFF];
        context[SK_BUFF_MARK..][..4].copy_from_slice(&MARK.to_ne_bytes());
        // The device decides, by its MAC, whether the packet is PACKET_HOST.
        context[SK_BUFF_IFINDEX..][..4].copy_from_slice(&self.ingress.to_ne_bytes());
        let program: &mut SchedClassifier =
            self.plane.programs().ebpf().program_mut("relay_tc").unwrap().try_into().unwrap();
        let (mut output, mut context_out) = ([0u8; 4096], [0u8; 256]);
        let mut options = TestRunOptions::new();
        options.data_in = Some(packet);
        options.data_out = Some(&mut output);
        options.ctx_in = Some(&context);
        options.ctx_out = Some(&mut context_out);
        let result =
            program.test_run(options).unwrap_or_else(|error| panic!("{} bytes: {error}", packet.len()));
        Ran {
            verdict: result.return_value,
            packet: output[..result.data_size_out as usize].to_vec(),
            metadata: Vec::new(),
            mark: word(&context_out, SK_BUFF_MARK),
            counted: Vec::new(),
        }
    }

    /// Runs the mode's ingress program on the packets of two senders, each sender's on a CPU of its own at the same time. Gives what was
    /// counted.
    pub fn run_on_two_cpus(&mut self, packets: [Vec<Vec<u8>>; 2]) -> Vec<(Reason, u64)> {
        let before = self.counters();
        let mut context = [0u8; SK_BUFF];
        context[SK_BUFF_IFINDEX..][..4].copy_from_slice(&self.ingress.to_ne_bytes());
        let (mode, ebpf) = (self.mode, &*self.plane.programs().ebpf());
        let run = |packet: &[u8]| {
            let mut options = TestRunOptions::new();
            options.data_in = Some(packet);
            if mode == Mode::Xdp {
                let program: &Xdp = ebpf.program("relay_xdp").unwrap().try_into().unwrap();
                return program.test_run(options).unwrap();
            }
            options.ctx_in = Some(&context);
            let program: &SchedClassifier = ebpf.program("relay_tc").unwrap().try_into().unwrap();
            program.test_run(options).unwrap()
        };
        let cpus = two_cpus();
        let arrived = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (cpu, packets) in cpus.into_iter().zip(&packets) {
                let (run, arrived) = (&run, &arrived);
                scope.spawn(move || {
                    let mut alone = CpuSet::new();
                    alone.set(cpu).unwrap();
                    sched_setaffinity(Pid::from_raw(0), &alone).unwrap();
                    for (round, some) in (1..).zip(packets.chunks(64)) {
                        // Neither gets so far ahead that they do not meet. Whoever slept would be late.
                        arrived.fetch_add(1, AcqRel);
                        while arrived.load(Acquire) < 2 * round {
                            std::thread::yield_now();
                        }
                        for packet in some {
                            run(packet);
                        }
                    }
                });
            }
        });
        since(&before, &self.counters())
    }

    /// Runs the XDP program on a packet as if it had come in: copies go through the devmap program and out.
    pub fn run_live(&mut self, packet: &[u8]) -> Vec<(Reason, u64)> {
        self.run_live_in_a_row(packet, 1)
    }

    /// [`Kernel::run_live`] on several packets that come at once.
    pub fn run_live_in_a_row(&mut self, packet: &[u8], packets: u32) -> Vec<(Reason, u64)> {
        let before = self.counters_with_copies();
        let program: &mut Xdp =
            self.plane.programs().ebpf().program_mut("relay_xdp").unwrap().try_into().unwrap();
        live(program, packet, packets);
        since(&before, &self.counters_with_copies())
    }

    pub fn stats(&self, child: &Child) -> ChildStats {
        self.plane.maps().stats_of(child.id)
    }

    /// RTP and RTCP packets of a stream.
    pub fn stream(&self, port: u16, ssrc: u32) -> Option<(u64, u64)> {
        let stream = self.plane.maps().streams.get(&key(port, ssrc), 0).ok()?;
        Some((stream.packets, stream.rtcp_packets))
    }

    /// Packets of a stream that are missing.
    pub fn stream_lost(&self, port: u16, ssrc: u32) -> u64 {
        self.plane.maps().streams.get(&key(port, ssrc), 0).unwrap().lost()
    }

    /// How often a reason has been counted.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counters()[reason.name()]
    }

    /// How often each reason has been counted, by its name.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let drops = &self.plane.maps().drops;
        let count = |reason: &Reason| drops.get(&(*reason as u32), 0).unwrap().iter().sum();
        Reason::ALL.iter().map(|reason| (reason.name(), count(reason))).collect()
    }

    /// The same with the copies that the kernel did not make: of packets that are really redirected.
    pub fn counters_with_copies(&self) -> BTreeMap<&'static str, u64> {
        let mut counters = self.counters();
        let not_made = relay_ctl::kernel::copies_not_made(self.plane.maps());
        counters.entry(Reason::CopyNotMade.name()).and_modify(|count| *count = not_made.max(*count));
        counters
    }
}

/// Two CPUs that this process may run on.
fn two_cpus() -> [usize; 2] {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap());
    [(); 2].map(|()| cpus.next().expect("this test needs two CPUs"))
}

/// What was counted between two looks at the counters.
fn since(before: &BTreeMap<&'static str, u64>, after: &BTreeMap<&'static str, u64>) -> Vec<(Reason, u64)> {
    let times = |reason: &Reason| (*reason, after[reason.name()] - before[reason.name()]);
    Reason::ALL.iter().map(times).filter(|(_, times)| *times > 0).collect()
}

/// Runs an XDP program on packets that are really redirected.
pub fn live(program: &Xdp, packet: &[u8], packets: u32) {
    let mut options = TestRunOptions::new();
    options.data_in = Some(packet);
    options.repeat = packets;
    options.attrs = TestRunAttrs::new().xdp_live_frames(packets);
    program.test_run(options).unwrap();
}

pub fn listeners() -> std::collections::HashMap<ListenerKey, layout::Listener> {
    let mut listeners = std::collections::HashMap::new();
    for address in [IpAddr::from(RELAY_V4), IpAddr::from(RELAY_V6)] {
        let mut add = |port: u16, pair: u16, kind: u8, rtcp: u8| {
            let key = ListenerKey { address: mapped(address), port, reserved: [0; 2] };
            listeners.insert(
                key,
                layout::Listener { mac: RELAY_MAC, port: pair, kind, rtcp, routed: 0, reserved: [0; 5] },
            );
        };
        add(0, 0, 0, 0);
        for (pair, kind) in [(AUDIO, layout::AUDIO), (VIDEO, layout::VIDEO)] {
            add(pair, pair, kind, 0);
            add(pair + 1, pair, kind, 1);
        }
    }
    listeners
}

pub fn key(port: u16, ssrc: u32) -> StreamKey {
    StreamKey { port, reserved: [0; 2], ssrc }
}

pub fn nic_mac(nic: usize) -> [u8; 6] {
    [0x02, 0, 0, 0, nic as u8 + 1, 1]
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
