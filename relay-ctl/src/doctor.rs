//! `relay-ctl doctor`: what this machine can do, what is missing, and the command that fixes it.

use std::path::Path;

use node::doctor::Finding;

use crate::kernel::probe::Verdict;
use crate::kernel::{self, Pins, pins, probe};
use crate::net::{Interface, Netlink, XdpFeatures, xdp_features};
use crate::report;

fn finding(what: &str, result: Result<String, String>, optional: bool, fix: &str) -> Finding {
    match optional {
        true => Finding::wanted(what, result, fix),
        false => Finding::needed(what, result, fix),
    }
}

/// Examines the machine and, if one is named, an interface. `pin_root`: where its relay is pinned, if it has one.
pub fn examine(interface: Option<&str>, pin_root: &Path) -> Vec<Finding> {
    let mut findings = vec![
        finding(
            "kernel for tc",
            probe::tcx().map(|()| running_kernel()),
            true,
            "Linux 6.6 or later; xdp and userspace work without",
        ),
        finding(
            "BTF",
            exists("/sys/kernel/btf/vmlinux"),
            false,
            "a kernel built with CONFIG_DEBUG_INFO_BTF, as every distribution's is; or --mode userspace",
        ),
        finding(
            "rights",
            probe::bpf_rights().map(|()| "eBPF programs can be loaded".to_owned()),
            false,
            "root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; or --mode userspace",
        ),
        finding(
            "BPF filesystem",
            match kernel::is_bpffs(Path::new(pins::DEFAULT_ROOT)) {
                true => Ok("/sys/fs/bpf".to_owned()),
                false => Err("not mounted; `relay-ctl attach` mounts it, if it may".to_owned()),
            },
            true,
            "mount -t bpf bpf /sys/fs/bpf",
        ),
        finding(
            "JIT",
            match std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
                Ok("0") => Err("eBPF programs are interpreted".to_owned()),
                _ => Ok("on".to_owned()),
            },
            true,
            "sysctl net.core.bpf_jit_enable=1",
        ),
    ];
    if let Some(interface) = interface {
        findings.push(finding("relay", Ok(report::keeper(pin_root, interface)), true, ""));
        findings.extend(examine_interface(interface, pin_root));
    }
    findings
}

fn examine_interface(name: &str, pin_root: &Path) -> Vec<Finding> {
    let looked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
        .and_then(|runtime| {
            runtime.block_on(async {
                let netlink = Netlink::connect().map_err(|error| error.to_string())?;
                let interface = netlink.interface(name).await.map_err(|error| error.to_string())?;
                let addresses =
                    netlink.addresses(interface.index).await.map_err(|error| error.to_string())?;
                let program = netlink.xdp_program(interface.index).await.unwrap_or_default();
                Ok((interface, addresses, program))
            })
        });
    let (interface, addresses, program) = match looked {
        Ok(looked) => looked,
        Err(why) => return vec![finding("interface", Err(why), false, "`ip -br link` lists the interfaces")],
    };
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let up = if interface.up { Ok("up".to_owned()) } else { Err("down".to_owned()) };
    let has_address = if addresses.is_empty() { Err("none".to_owned()) } else { Ok(addresses.join(" ")) };
    let seen = Xdp {
        features: xdp_features(interface.index).ok(),
        program: program.map(kernel::program),
        held: held_by(&interface, pin_root),
        veth: interface.kind.as_deref() == Some("veth"),
    };
    let (attach, attach_fix) = seen.takes_a_program(name);
    let (transmit, transmit_fix) = seen.transmits(name, || match interface.mac {
        Some(mac) => probe::Prober::new().and_then(|mut prober| prober.survey(interface.index, mac)),
        None => Err("it has no Ethernet address".to_owned()),
    });
    vec![
        finding("link", up, false, &format!("ip link set {name} up")),
        finding("address", has_address, false, &format!("ip address add ADDRESS/PREFIX dev {name}")),
        finding("XDP in", attach, true, &attach_fix),
        finding("XDP out", transmit, true, &transmit_fix),
    ]
}

/// What can be known of XDP on an interface without touching it: attaching a program, if only for a moment, makes many cards
/// reset their rings.
struct Xdp {
    /// What the driver says; `None` before Linux 6.3.
    features: Option<XdpFeatures>,
    /// The program that is attached.
    program: Option<kernel::Known>,
    /// The interface whose relay attached it.
    held: Option<String>,
    veth: bool,
}

impl Xdp {
    /// Would it take our program? And what to do if not.
    fn takes_a_program(&self, name: &str) -> (Result<String, String>, String) {
        let tc = "tc works too (--mode auto chooses it)".to_owned();
        let answer = match (&self.held, &self.program, self.features) {
            (Some(relay), ..) => Ok(format!("the relay on {relay} has a program on it")),
            (None, Some(program), _) => Err(probe::in_the_way(name, program)),
            (None, None, Some(features)) if features.receives() => {
                Ok("the driver has native XDP (not tried: that would touch the card)".to_owned())
            }
            (None, None, Some(_)) => Err("the driver has no native XDP".to_owned()),
            (None, None, None) => Ok(format!(
                "only an attach can tell: this kernel, older than 6.3, does not say what the driver can; \
                 `relay-ctl attach {name}` finds out"
            )),
        };
        (answer, tc)
    }

    /// Would copies leave by it? A program that is there already makes it safe to ask the interface itself.
    fn transmits(
        &self,
        name: &str,
        ask: impl FnOnce() -> Result<Verdict, String>,
    ) -> (Result<String, String>, String) {
        let fix = match self.veth {
            true => "tc works too; on veth, `ethtool -K PEER gro on` on the other end lets XDP frames in",
            false => "tc works too (--mode auto chooses it)",
        };
        let answer = if self.program.is_some() {
            match ask() {
                Ok(Verdict::Works { not_from }) => Ok(probe::not_from(name, &not_from)
                    .unwrap_or_else(|| format!("a probe frame got through on {name}"))),
                Ok(Verdict::Unsure) => Ok("it was too busy to be asked, or down".to_owned()),
                Ok(Verdict::Cannot(errno)) => Err(probe::refusal(name, errno, None)),
                Err(why) => Err(format!("{name} could not be probed: {why}")),
            }
        } else {
            match self.features {
                Some(features) if features.transmits() => Ok("the driver transmits XDP frames".to_owned()),
                Some(features) if features.receives() && !self.veth => Ok(format!(
                    "most drivers transmit XDP frames only while they have a program; `relay-ctl attach {name}` finds out"
                )),
                Some(_) => Err(format!("{name} cannot transmit XDP frames")),
                None => Ok(format!("only an attach can tell; `relay-ctl attach {name}` finds out")),
            }
        };
        (answer, fix.to_owned())
    }
}

/// The interface whose relay, pinned there, has a program on this one.
fn held_by(interface: &Interface, root: &Path) -> Option<String> {
    Pins::interfaces(root).into_iter().find(|name| {
        let pins = Pins::new(root, name);
        let on_it = |link: &str| pins.is_attached(link, interface.index).unwrap_or(false);
        on_it(pins::LINK_XDP) || on_it(&Pins::holder(interface.index))
    })
}

fn exists(path: &str) -> Result<String, String> {
    if Path::new(path).exists() { Ok(path.to_owned()) } else { Err(format!("{path} is missing")) }
}

fn running_kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "new enough".to_owned(),
        |uname| format!("Linux {}", uname.release().to_string_lossy()),
    )
}
