//! [`Scene`]: one way of copying between a generator and a sink, in namespaces of its own.
//!
//! ```text
//! generator ─ injection-1 eth0 ── eth0 relay-1 eth1 ── eth0 egress ─ sink
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, MapData, PerCpuArray, xdp::DevMap};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use lab::relay::{AUDIO, Mode, RelayConfig, RelayProcess, child_argument};
use lab::{Endpoint, Lab, Process, Topology};
use nix::net::if_::if_nametoindex;

use crate::frame::Frame;
use crate::load::{Arrived, FAN_OUT, Load, Sample};
use crate::machine::{Priority, with_priority};

const GSTREAMER_TIMEOUT: Duration = Duration::from_secs(30);

/// What copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing: the relay's interface drops all that comes. What the others contain of the generator.
    Generator,
    /// The bare kernel broadcast, with a devmap program that does nothing.
    Floor,
    /// `relay-ctl attach --mode xdp`.
    Xdp,
    /// `relay-ctl attach --mode tc`, its copies dropped before the receiver's stack by tcx.
    Tc,
    /// The same with xdp's sink.
    TcXdpSink,
    /// `relay-ctl attach --mode userspace`.
    Userspace,
    /// `udpsrc ! multiudpsink`.
    Gstreamer,
}

impl Way {
    /// All, in the order of the table.
    pub const ALL: [Way; 7] =
        [Way::Generator, Way::Floor, Way::Xdp, Way::Tc, Way::TcXdpSink, Way::Userspace, Way::Gstreamer];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Way::Generator => "generator alone",
            Way::Floor => "floor: bare broadcast, empty devmap program",
            Way::Xdp => "relay, xdp",
            Way::Tc => "relay, tc",
            Way::TcXdpSink => "relay, tc (into xdp's sink)",
            Way::Userspace => "relay, userspace",
            Way::Gstreamer => "GStreamer udpsrc ! multiudpsink",
        }
    }

    /// For namespaces and JSON.
    pub fn short(self) -> &'static str {
        match self {
            Way::Generator => "generator",
            Way::Floor => "floor",
            Way::Xdp => "xdp",
            Way::Tc => "tc",
            Way::TcXdpSink => "tc-xdp-sink",
            Way::Userspace => "userspace",
            Way::Gstreamer => "gstreamer",
        }
    }

    /// Runs in softirq, not in a process.
    fn in_kernel(self) -> bool {
        !matches!(self, Way::Userspace | Way::Gstreamer)
    }

    fn mode(self) -> Option<Mode> {
        match self {
            Way::Xdp => Some(Mode::Xdp),
            Way::Tc | Way::TcXdpSink => Some(Mode::Tc),
            Way::Userspace => Some(Mode::Userspace),
            Way::Generator | Way::Floor | Way::Gstreamer => None,
        }
    }
}

/// A way, ready to be measured again and again.
pub struct Scene<'lab> {
    way: Way,
    lab: &'lab Lab,
    topology: Topology,
    frame: Frame,
    /// Holds what is attached.
    programs: Ebpf,
    progress: Array<MapData, [u64; 3]>,
    arrived: PerCpuArray<MapData, Arrived>,
    relay: Option<RelayProcess<'lab>>,
    _gstreamer: Option<Process>,
}

impl<'lab> Scene<'lab> {
    /// Sets up everything but the xdp relay: its tracepoint sees all devices of the machine, so it is there only while it
    /// is measured.
    pub fn set(lab: &'lab Lab, way: Way) -> Result<Self> {
        let topology = Topology::one_nic(lab, FAN_OUT)?;
        let frame = Frame::new(
            [mac(lab, &topology.injection)?, mac(lab, &topology.relay)?],
            topology.injection.v4,
            topology.relay.v4,
        );
        let out = index(lab, &topology.injection)?;
        let object = object();
        let mut programs = EbpfLoader::new()
            .override_global("TEMPLATE", &frame.template(), true)
            .override_global("CHECKSUM", &frame.sum, true)
            .override_global("IFINDEX", &out, true)
            .load_file(&object)
            .with_context(|| format!("loading {}; `cargo xtask build-ebpf` makes it", object.display()))?;
        let arrived = programs.take_map("ARRIVED").context("no map ARRIVED")?.try_into()?;
        let progress = programs.take_map("PROGRESS").context("no map PROGRESS")?.try_into()?;
        xdp(&mut programs, "bench_generate")?.load().context("loading the generator")?;
        let mut scene =
            Self { way, lab, topology, frame, programs, progress, arrived, relay: None, _gstreamer: None };
        scene.attach_sink()?;
        match way {
            Way::Generator => scene.attach_xdp("relay-1", "bench_sink")?,
            Way::Floor => scene.attach_floor()?,
            Way::Xdp => {}
            // Without an XDP program of its own the relay's interface takes XDP frames only with GRO on.
            Way::Tc | Way::TcXdpSink | Way::Userspace => {
                lab.enable_gro("relay-1", "eth0")?;
                scene.attach_relay()?;
            }
            Way::Gstreamer => {
                lab.enable_gro("relay-1", "eth0")?;
                scene.start_gstreamer()?;
            }
        }
        Ok(scene)
    }

    /// One measurement.
    pub fn measure(&mut self, time: Duration) -> Result<Sample> {
        if self.way == Way::Xdp {
            self.attach_relay()?;
        }
        let generator: &Xdp = self.programs.program("bench_generate").context("no generator")?.try_into()?;
        let mut load = Load {
            generator,
            frame: &self.frame.bytes,
            progress: &mut self.progress,
            arrived: &self.arrived,
            fan_out: if self.way == Way::Generator { 1 } else { FAN_OUT as u64 },
            addressed: !matches!(self.way, Way::Generator | Way::Floor),
            process: !self.way.in_kernel(),
        };
        let prioritised = || with_priority(Priority::Generator, || load.saturate(time)).unwrap_or_else(|r| r);
        let sample = self.lab.in_namespace(&self.topology.injection.namespace, prioritised)??;
        if self.way == Way::Xdp {
            self.detach_relay()?;
        }
        Ok(sample)
    }

    fn attach_sink(&mut self) -> Result<()> {
        if matches!(self.way, Way::Generator | Way::Floor | Way::Xdp | Way::TcXdpSink) {
            return self.attach_xdp("egress", "bench_sink");
        }
        let program: &mut SchedClassifier =
            self.programs.program_mut("bench_sink_tc").context("no tc sink")?.try_into()?;
        program.load().context("loading the tc sink")?;
        self.lab
            .in_namespace("egress", || program.attach("eth0", TcAttachType::Ingress))?
            .context("attaching the tc sink")?;
        Ok(())
    }

    /// Attaches an XDP program natively to `eth0` of a namespace.
    fn attach_xdp(&mut self, ns: &str, name: &str) -> Result<()> {
        let program = xdp(&mut self.programs, name)?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("loading {name}"))?;
        }
        self.lab
            .in_namespace(ns, || program.attach("eth0", XdpMode::Driver))?
            .with_context(|| format!("attaching {name}"))?;
        Ok(())
    }

    fn attach_floor(&mut self) -> Result<()> {
        let egress = index(self.lab, &self.topology.children[0].relay)?;
        let empty = xdp(&mut self.programs, "bench_empty")?;
        empty.load().context("loading the empty devmap program")?;
        let empty = empty.fd()?.try_clone()?;
        let mut floor: DevMap<_> = self.programs.map_mut("FLOOR").context("no map FLOOR")?.try_into()?;
        let mut fill = || (0..FAN_OUT as u32).try_for_each(|slot| floor.set(slot, egress, Some(&empty), 0));
        self.lab.in_namespace("relay-1", &mut fill)?.context("filling the devmap")?;
        self.attach_xdp("relay-1", "bench_floor")
    }

    fn attach_relay(&mut self) -> Result<()> {
        let mode = self.way.mode().context("not a way of the relay's")?;
        let children = self.topology.children.iter().enumerate();
        let children = children
            .map(|(index, child)| child_argument(&format!("egress-{}", index + 1), child.endpoint.v4(0)))
            .collect();
        let config = RelayConfig::new("relay-1", mode, children);
        let attach = || RelayProcess::attach(self.lab, config);
        // Only the userspace path runs in the daemon.
        let relay = if self.way.in_kernel() {
            attach()?
        } else {
            with_priority(Priority::Process, attach).unwrap_or_else(|result| result)?
        };
        let ready = relay.ready().unwrap_or_default();
        ensure!(ready.contains(&format!("mode={mode}")), "asked for {mode}: {ready}");
        self.relay = Some(relay);
        Ok(())
    }

    fn detach_relay(&mut self) -> Result<()> {
        let relay = self.relay.take().context("no relay to detach")?;
        relay.terminate()?;
        relay.cli().ok(&["detach", "eth0"]).map(drop)
    }

    fn start_gstreamer(&mut self) -> Result<()> {
        let clients: Vec<String> =
            self.topology.children.iter().map(|child| child.endpoint.v4(AUDIO).to_string()).collect();
        let mut command = Command::new("gst-launch-1.0");
        command.args(["udpsrc", &format!("port={AUDIO}"), "!", "multiudpsink", "sync=false", "async=false"]);
        command.arg(format!("clients={}", clients.join(",")));
        let process = with_priority(Priority::Process, || self.lab.spawn("relay-1", command))
            .unwrap_or_else(|result| result)?;
        let deadline = Instant::now() + GSTREAMER_TIMEOUT;
        while !process.log().contains("Setting pipeline to PLAYING") {
            ensure!(
                process.status()?.is_none() && Instant::now() < deadline,
                "GStreamer does not start: {}",
                process.tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self._gstreamer = Some(process);
        Ok(())
    }
}

fn object() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab).join("target/bpf/relay-bench")
}

fn xdp<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(programs.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}

fn index(lab: &Lab, endpoint: &Endpoint) -> Result<u32> {
    let interface = endpoint.interface.as_str();
    lab.in_namespace(&endpoint.namespace, || if_nametoindex(interface))?
        .with_context(|| format!("looking for {interface} in {}", endpoint.namespace))
}

fn mac(lab: &Lab, endpoint: &Endpoint) -> Result<[u8; 6]> {
    let line = lab.run(&endpoint.namespace, &["ip", "-o", "link", "show", &endpoint.interface])?;
    let text = line.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).context("no MAC")?;
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    bytes.try_into().ok().with_context(|| format!("not a MAC: {text}"))
}
