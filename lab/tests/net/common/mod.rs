//! What the relay's namespace tests share: a relay in a topology, and the judgement of what it forwarded.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::relay::{AUDIO, Mode, RelayCli, RelayConfig, RelayProcess, VIDEO, child_argument};
use lab::{Child, Flow, FlowReport, Lab, Sent, Sink, Topology};

pub mod foreign;
pub mod frame;
pub mod tree;

/// For everything that is waited for.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Nothing has come for so long: nothing is on its way any more.
pub const QUIET: Duration = Duration::from_millis(100);
pub const AUDIO_SSRC: u32 = 7777;
pub const VIDEO_SSRC: u32 = 8888;

/// One `#[test]` for each mode: `modes!(what_is_so: in_xdp_mode = Xdp, …)` runs `what_is_so(Mode::Xdp)`.
macro_rules! modes {
    ($behaviour:ident: $($name:ident = $mode:ident),+ $(,)?) => {
        mod $behaviour {
            $(#[test]
            fn $name() {
                super::$behaviour(lab::relay::Mode::$mode);
            })+
        }
    };
    ($behaviour:ident) => {
        modes!($behaviour: in_xdp_mode = Xdp, in_tc_mode = Tc, in_userspace_mode = Userspace);
    };
}

/// A lab with a prefix that says which test and mode it belongs to.
pub fn lab_for(test: &str, mode: Mode) -> Lab {
    Lab::new(&format!("t-{test}-{mode}-")).unwrap()
}

/// A relay in a topology, with its children egress-1, egress-2 … as `--child`.
pub struct Bench<'lab> {
    pub lab: &'lab Lab,
    pub topology: Topology,
    pub relay: RelayProcess<'lab>,
}

impl<'lab> Bench<'lab> {
    /// Attaches a relay to `eth0` of relay-1 with the first `attached` of the topology's children, by IPv4.
    pub fn attach(lab: &'lab Lab, topology: Topology, mode: Mode, attached: usize) -> Self {
        let children = (0..attached).map(|index| v4_argument(&topology, index)).collect();
        Self::attach_with(lab, topology, RelayConfig::new("relay-1", mode, children))
    }

    pub fn attach_with(lab: &'lab Lab, topology: Topology, config: RelayConfig) -> Self {
        let mode = config.mode;
        let relay = RelayProcess::attach(lab, config).unwrap();
        let ready = relay.ready().unwrap_or_default();
        assert!(mode == Mode::Auto || ready.contains(&format!("mode={mode}")), "asked for {mode}: {ready}");
        Self { lab, topology, relay }
    }

    pub fn cli(&self) -> RelayCli<'lab> {
        self.relay.cli()
    }

    pub fn child(&self, index: usize) -> &Child {
        &self.topology.children[index]
    }

    /// A sink on both RTP ports of some children, by IPv4. All of them in one namespace.
    pub fn sink(&self, children: &[usize]) -> Sink {
        let endpoints = children.iter().map(|index| &self.child(*index).endpoint);
        let addresses = endpoints.flat_map(|endpoint| [endpoint.v4(AUDIO), endpoint.v4(VIDEO)]).collect();
        Sink::bind(self.lab, &self.child(children[0]).endpoint.namespace, addresses).unwrap()
    }

    /// Ends a sink and begins a new one on the same sockets' addresses: what was lost before is forgotten.
    pub fn sink_again(&self, sink: Sink, children: &[usize]) -> Sink {
        drop(sink);
        self.sink(children)
    }

    /// One audio and one video flow to the relay.
    pub fn flows(&self) -> Vec<Flow> {
        let relay = &self.topology.relay;
        vec![Flow::audio(AUDIO_SSRC, relay.v4(AUDIO)), Flow::video(VIDEO_SSRC, relay.v4(VIDEO))]
    }

    /// Waits until every flow of a sink has this many packets.
    pub fn wait_packets(&self, sink: &Sink, flows: usize, packets: u64) {
        let come = sink.wait_until(TIMEOUT, |reports| {
            reports.len() == flows && reports.iter().all(|flow| flow.packets >= packets)
        });
        assert!(
            come,
            "not {packets} packets in each of {flows} flows: {:#?}{}",
            sink.report(),
            self.diagnosis()
        );
    }

    /// Waits until every flow has received some more packets than now.
    pub fn wait_more(&self, sink: &Sink, packets: u64) {
        let before: Vec<u64> = sink.report().iter().map(|flow| flow.packets).collect();
        let come = sink.wait_until(TIMEOUT, |reports| {
            reports.len() >= before.len()
                && reports.iter().zip(&before).all(|(flow, before)| flow.packets >= before + packets)
        });
        assert!(come, "not {packets} packets more: {:#?}{}", sink.report(), self.diagnosis());
    }

    /// Nothing is missing between a flow's first and last packet, and nothing is there that should not be.
    pub fn assert_flawless(&self, who: &str, flows: &[FlowReport]) {
        for flow in flows {
            let flaws = [flow.lost, flow.duplicated, flow.reordered, flow.corrupted, flow.renumbered];
            assert_eq!(
                flaws,
                [0; 5],
                "{who}: SSRC {} at {}: lost, duplicated, reordered, corrupted, renumbered of {}{}\n{}",
                flow.ssrc,
                flow.socket,
                flow.packets,
                if flow.receiver_drops > 0 { " (the TEST's socket dropped some)" } else { "" },
                self.diagnosis()
            );
        }
    }

    /// Each flow is whole: exactly the counters `0..sent`.
    pub fn assert_complete(&self, who: &str, flows: &[FlowReport], sent: u64) {
        self.assert_flawless(who, flows);
        for flow in flows {
            assert_eq!(
                (flow.packets, flow.first_counter, flow.last_counter),
                (sent, 0, sent - 1),
                "{who}: SSRC {} at {}: packets, first, last{}",
                flow.ssrc,
                flow.socket,
                self.diagnosis()
            );
        }
    }

    /// Each flow is whole: all that the source sent of it.
    pub fn assert_all_of(&self, who: &str, flows: &[FlowReport], sent: &Sent) {
        assert!(!flows.is_empty(), "{who}: nothing came{}", self.diagnosis());
        for flow in flows {
            self.assert_complete(who, std::slice::from_ref(flow), sent.packets[&flow.ssrc]);
        }
    }

    /// A counter of the relay's by reason: of what was lost, or of what it left to the stack.
    pub fn drops(&self, reason: &str) -> u64 {
        let plane = &self.cli().json("status").unwrap()["dataplane"];
        ["drops", "passedToStack"].iter().map(|kind| plane[*kind][reason].number()).sum()
    }

    /// Where packets may have gone, for the message of a failed assertion: the test's own losses first.
    pub fn diagnosis(&self) -> String {
        let mut text = String::from("\n-- the test's own losses (veth rings, sockets):");
        let endpoints = [&self.topology.injection, &self.topology.relay]
            .into_iter()
            .chain(self.topology.children.iter().flat_map(|child| [&child.relay, &child.endpoint]));
        let places: BTreeSet<(&str, &str)> =
            endpoints.map(|endpoint| (endpoint.namespace.as_str(), endpoint.interface.as_str())).collect();
        for (ns, interface) in &places {
            for (name, value) in self.lab.ethtool_stats(ns, interface).unwrap_or_default() {
                if value > 0 && ["drop", "err"].iter().any(|word| name.contains(word)) {
                    let _ = write!(text, "\n   {ns} {interface} {name}={value}");
                }
            }
        }
        for ns in places.iter().map(|(ns, _)| *ns).collect::<BTreeSet<_>>() {
            for (name, value) in self.lab.udp_stats(ns).unwrap_or_default() {
                if value > 0 && ["Errors", "NoPorts"].iter().any(|word| name.contains(word)) {
                    let _ = write!(text, "\n   {ns} {name}={value}");
                }
            }
        }
        for what in ["status", "children"] {
            let answer = self.cli().run(&[what, "--json"]);
            let _ = write!(
                text,
                "\n-- relay-ctl {what}: {}",
                answer.map_or_else(|e| e.to_string(), |a| a.stdout)
            );
        }
        let _ = write!(text, "\n-- daemon: {}", self.relay.process().tail());
        text
    }
}

/// `egress-N=…` for the topology's child of that index, by IPv4.
pub fn v4_argument(topology: &Topology, index: usize) -> String {
    child_argument(&name(index), topology.children[index].endpoint.v4(0))
}

/// `egress-N=…` for the topology's child of that index, by IPv6.
pub fn v6_argument(topology: &Topology, index: usize) -> String {
    child_argument(&name(index), topology.children[index].endpoint.v6(0))
}

/// What the child of that index is called.
pub fn name(index: usize) -> String {
    format!("egress-{}", index + 1)
}

/// A plain UDP socket in a namespace, for packets that no source sends and no sink judges.
pub fn socket(lab: &Lab, ns: &str, address: SocketAddr) -> UdpSocket {
    let socket = lab.in_namespace(ns, || UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// A socket on any port of any address.
pub fn any_socket(lab: &Lab, ns: &str, v6: bool) -> UdpSocket {
    let any: IpAddr = if v6 { [0_u16; 8].into() } else { [0_u8; 4].into() };
    socket(lab, ns, SocketAddr::new(any, 0))
}

/// The next datagram and where it came from.
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket
        .recv_from(&mut buffer)
        .unwrap_or_else(|error| panic!("nothing at {:?}: {error}", socket.local_addr()));
    (buffer[..length].to_vec(), from)
}

/// Waits for something to become true.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
