//! `relay-ctl doctor`: what this machine can do, what is missing, and the command that mends it.

use std::path::Path;

use serde::Serialize;

use crate::kernel::{pins, probe};
use crate::net::Netlink;
use crate::report;

/// One thing looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// All is well.
    pub ok: bool,
    /// Not being well costs something but not the relay.
    pub optional: bool,
    /// What was seen.
    pub seen: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

fn finding(what: &str, result: Result<String, String>, optional: bool, cure: &str) -> Finding {
    let ok = result.is_ok();
    Finding {
        what: what.to_owned(),
        ok,
        optional,
        seen: result.unwrap_or_else(|why| why),
        cure: (!ok).then(|| cure.to_owned()),
    }
}

/// Looks at the machine and, if one is named, at an interface. `pin_root`: where its relay is pinned, if it has one.
pub fn examine(interface: Option<&str>, pin_root: &Path) -> Vec<Finding> {
    let mut findings = vec![
        finding(
            "kernel for tc",
            probe::tcx().map(|()| kernel()),
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
            match pins::is_bpffs(Path::new(pins::DEFAULT_ROOT)) {
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
        findings.extend(examine_interface(interface));
    }
    findings
}

fn examine_interface(name: &str) -> Vec<Finding> {
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
                Ok((interface, addresses))
            })
        });
    let (interface, addresses) = match looked {
        Ok(looked) => looked,
        Err(why) => return vec![finding("interface", Err(why), false, "`ip -br link` lists the interfaces")],
    };
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let up = if interface.up { Ok("up".to_owned()) } else { Err("down".to_owned()) };
    let has_address = if addresses.is_empty() { Err("none".to_owned()) } else { Ok(addresses.join(" ")) };
    let attach = probe::xdp_attach(interface.index, name).map(|()| "attaches in the driver".to_owned());
    let transmit = match interface.mac {
        Some(mac) => probe::Prober::new().and_then(|mut prober| prober.transmit(interface.index, name, mac)),
        None => Err(format!("{name} has no Ethernet address")),
    };
    vec![
        finding("link", up, false, &format!("ip link set {name} up")),
        finding("address", has_address, false, &format!("ip address add ADDRESS/PREFIX dev {name}")),
        finding(
            "XDP in",
            attach,
            true,
            "tc works too (--mode auto chooses it); a large MTU or another program may be in the way",
        ),
        finding(
            "XDP out",
            transmit,
            true,
            "tc works too; on veth, `ethtool -K PEER gro on` on the other end lets XDP frames in",
        ),
    ]
}

fn exists(path: &str) -> Result<String, String> {
    if Path::new(path).exists() { Ok(path.to_owned()) } else { Err(format!("{path} is missing")) }
}

fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "new enough".to_owned(),
        |uname| format!("Linux {}", uname.release().to_string_lossy()),
    )
}
