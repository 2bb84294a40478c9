//! Which mode a start takes: what can be found out, found out, and no more than has to be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use relay_common::layout::MODE_XDP;

use super::super::StartError;
use super::super::interface::hold_at_rest;
use super::super::probes::{EgressProber, Fallen, Probes, Standing};
use crate::config::Config;
use crate::kernel::{self, DataPlane, Found, Inherited, KernelError, Pins, probe};
use crate::mode::{self, Before, Facts, Mode, ModeWanted, Start, choose};
use crate::net::{Interface, Netlink};

/// The kernel's side of a start, as far as there are rights to it.
pub struct Kernel {
    pub bpf: Result<(), String>,
    pub plane: Option<(DataPlane, Inherited)>,
}

/// Opens the data plane, if a mode of the kernel's is wanted and possible. The lock comes first: whose interface another
/// daemon manages is not even inspected.
pub fn open_kernel(
    config: &Config,
    interface: &Interface,
    prober: &EgressProber,
) -> Result<Kernel, StartError> {
    let pins = Pins::new(&config.pin_root, &config.interface);
    let found = pins.inspect()?;
    let there = matches!(found, Found::DataPlane | Found::Older(_));
    let in_the_way = |mode: &'static str| KernelError::Mode {
        mode,
        interface: config.interface.clone(),
        why: "a kernel data plane is attached there and takes the packets".to_owned(),
        fix: format!("run `relay-ctl detach {}` first", config.interface),
    };
    if config.mode == ModeWanted::Userspace {
        if there {
            return Err(in_the_way("userspace").into());
        }
        return Ok(Kernel { bpf: Ok(()), plane: None });
    }
    let bpf = prober.prepare().and(match interface.mac {
        Some(_) => Ok(()),
        None => Err(format!("{} is no Ethernet interface", interface.name)),
    });
    if bpf.is_err() {
        if there && config.mode == ModeWanted::Auto {
            return Err(in_the_way("userspace").into());
        }
        return Ok(Kernel { bpf, plane: None });
    }
    kernel::ensure_bpffs(&config.pin_root)?;
    let plane = DataPlane::open(pins, interface.index, config.constants)?;
    Ok(Kernel { bpf, plane: Some(plane) })
}

/// What was found out on the way to a mode.
pub struct Findings {
    pub bpf: Result<(), String>,
    pub attach: Result<(), String>,
    pub transmit: Result<String, String>,
    pub program: Result<(), String>,
    pub veth: bool,
    pub probes: Probes,
    pub fallen: Option<Fallen>,
    /// Interfaces that a program was attached to for it.
    pub taken: Vec<u32>,
}

impl Default for Findings {
    fn default() -> Findings {
        Findings {
            bpf: Ok(()),
            attach: Ok(()),
            transmit: Err("not probed".to_owned()),
            program: Ok(()),
            veth: false,
            probes: Probes::default(),
            fallen: None,
            taken: Vec::new(),
        }
    }
}

impl Findings {
    pub fn facts(&self) -> Facts {
        Facts {
            bpf: self.bpf.clone(),
            xdp_attach: self.attach.clone(),
            xdp_transmit: self.transmit.clone(),
            xdp_program: self.program.clone(),
            veth: self.veth,
            tcx: probe::tcx(),
        }
    }
}

/// What a start decides by.
pub struct Circumstances<'a> {
    pub netlink: &'a Netlink,
    pub config: &'a Config,
    /// The interface to attach to.
    pub interface: &'a Interface,
    /// Where copies will most likely go.
    pub destinations: Vec<IpAddr>,
    pub prober: &'a EgressProber,
}

impl Circumstances<'_> {
    /// The mode, and why. What was attached for probing and is not needed is taken off again.
    pub async fn mode(
        &self,
        plane: &mut DataPlane,
        inherited: &Inherited,
        findings: &mut Findings,
    ) -> Result<(Mode, String), (String, String)> {
        let attached = plane.is_attached().unwrap_or(false);
        let before = inherited.relay.map(|relay| Before {
            mode: if relay.mode == MODE_XDP { Mode::Xdp } else { Mode::Tc },
            reason: kernel::unpadded(&relay.mode_reason),
            attached,
        });
        let mut chosen = match mode::start(self.config.mode, before.as_ref(), &self.interface.name) {
            Start::Keep { mode: Mode::Xdp, reason } => {
                // Copies leave already, as far as anybody knows: the first probe must not stop them.
                for egress in self.egresses().await {
                    let not_held = hold_at_rest(self.netlink, plane, &egress).await.err();
                    findings.probes.add(
                        egress.index,
                        &egress.name,
                        not_held,
                        Standing::Works { warning: None },
                    );
                }
                findings.transmit = Ok(reason.clone());
                Ok((Mode::Xdp, reason))
            }
            Start::Keep { mode, reason } => {
                // XDP lets everything pass there: the predecessor fell back, and looked whether it may return.
                let auto = self.config.mode == ModeWanted::Auto;
                findings.fallen = (auto && plane.holds_main()).then(|| Fallen::again(None));
                return Ok((mode, reason));
            }
            Start::Probe => {
                if self.config.mode != ModeWanted::Tc {
                    self.probe(plane, findings).await;
                }
                choose(self.config.mode, &findings.facts())
            }
        };
        if matches!(chosen, Ok((Mode::Xdp, _)))
            && let Err(error) = plane.verify(Mode::Xdp)
        {
            tracing::warn!("{error}");
            findings.program = Err(error.to_string());
            chosen = choose(self.config.mode, &findings.facts());
        }
        if !matches!(chosen, Ok((Mode::Xdp, _))) {
            for ifindex in findings.taken.drain(..) {
                let _ = plane.let_go(ifindex);
            }
            findings.probes.forget_all();
        }
        chosen
    }

    /// Attaches what stays attached while xdp is in force, and asks whether frames get through then.
    async fn probe(&self, plane: &mut DataPlane, findings: &mut Findings) {
        match hold_at_rest(self.netlink, plane, self.interface).await {
            Ok(true) => findings.taken.push(self.interface.index),
            Ok(false) => {}
            Err(why) => {
                findings.attach = Err(why);
                return;
            }
        }
        let mut names = Vec::new();
        let mut warnings = Vec::new();
        for egress in self.egresses().await {
            let not_held = match hold_at_rest(self.netlink, plane, &egress).await {
                Ok(now) => {
                    findings.taken.extend(now.then_some(egress.index));
                    None
                }
                Err(why) => Some(why),
            };
            let verdict = self.prober.series(egress.index, egress.mac.unwrap_or_default(), true).await;
            findings.probes.add(egress.index, &egress.name, not_held, Standing::Probing);
            findings.probes.hear(egress.index, verdict);
            if let Some(why) = findings.probes.refusal(&BTreeSet::from([egress.index])) {
                findings.veth = egress.kind.as_deref() == Some("veth");
                findings.transmit = Err(why);
                return;
            }
            names.push(egress.name);
        }
        warnings.extend(findings.probes.warnings());
        let seen = format!("native XDP, and a probe frame got through on {}", names.join(", "));
        findings.transmit = Ok(std::iter::once(seen).chain(warnings).collect::<Vec<_>>().join("; "));
    }

    /// The interfaces that copies would leave by; without children the one attached to. Those that are down say nothing.
    async fn egresses(&self) -> Vec<Interface> {
        let mut interfaces = BTreeMap::new();
        for address in &self.destinations {
            if let Ok(hop) = self.netlink.next_hop(*address).await
                && hop.interface.mac.is_some()
                && hop.interface.up
            {
                interfaces.insert(hop.interface.index, hop.interface);
            }
        }
        if interfaces.is_empty() {
            interfaces.insert(self.interface.index, self.interface.clone());
        }
        interfaces.into_values().collect()
    }
}
