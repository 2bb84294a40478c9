//! Which of the three paths: a pure decision over what was found out about the machine and the interface.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeWanted {
    /// The best that has been seen to work.
    Auto,
    /// XDP ingress and devmap program, in the driver.
    Xdp,
    /// tcx ingress.
    Tc,
    /// UDP sockets in the daemon; needs no rights.
    Userspace,
}

/// The path in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// XDP ingress and devmap program, in the driver.
    Xdp,
    /// tcx ingress.
    Tc,
    /// UDP sockets in the daemon.
    Userspace,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Xdp => "xdp",
            Mode::Tc => "tc",
            Mode::Userspace => "userspace",
        })
    }
}

/// What was found out. `Err` says why not, in words.
#[derive(Clone, Debug)]
pub struct Facts {
    /// eBPF programs can be loaded.
    pub bpf: Result<(), String>,
    /// The XDP program attaches in the driver.
    pub xdp_attach: Result<(), String>,
    /// A frame sent like a copy got through on every egress interface.
    pub xdp_transmit: Result<String, String>,
    /// tcx is there (Linux 6.6).
    pub tcx: Result<(), String>,
}

/// A decision and its reason, or why there is none and what would help.
pub fn choose(wanted: ModeWanted, facts: &Facts) -> Result<(Mode, String), (String, String)> {
    let xdp = facts.bpf.clone().and(facts.xdp_attach.clone()).and(facts.xdp_transmit.clone());
    let tc = facts.bpf.clone().and(facts.tcx.clone());
    match wanted {
        ModeWanted::Userspace => Ok((Mode::Userspace, "asked for with --mode userspace".to_owned())),
        ModeWanted::Xdp => match xdp {
            Ok(seen) => Ok((Mode::Xdp, format!("asked for with --mode xdp; {seen}"))),
            Err(why) => Err((why, cure_for_xdp(facts))),
        },
        ModeWanted::Tc => match tc {
            Ok(()) => Ok((Mode::Tc, "asked for with --mode tc".to_owned())),
            Err(why) => Err((why, "use --mode userspace, which needs no rights and any kernel".to_owned())),
        },
        ModeWanted::Auto => Ok(match (xdp, tc) {
            (Ok(seen), _) => (Mode::Xdp, seen),
            (Err(xdp), Ok(())) => (Mode::Tc, format!("no xdp: {xdp}")),
            (Err(xdp), Err(tc)) if xdp == tc => (Mode::Userspace, format!("no xdp or tc: {xdp}")),
            (Err(xdp), Err(tc)) => (Mode::Userspace, format!("no xdp: {xdp}; no tc: {tc}")),
        }),
    }
}

fn cure_for_xdp(facts: &Facts) -> String {
    if facts.bpf.is_err() {
        return "run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON".to_owned();
    }
    if facts.xdp_attach.is_err() {
        return "use --mode tc, or an interface whose driver has native XDP and an MTU that fits one page"
            .to_owned();
    }
    "use --mode tc; on veth, `ethtool -K <peer> gro on` (on the other end) lets XDP frames in".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no(why: &str) -> Result<(), String> {
        Err(why.to_owned())
    }

    fn facts(bpf: Result<(), String>, attach: Result<(), String>, transmit: Result<(), String>) -> Facts {
        Facts {
            bpf,
            xdp_attach: attach,
            xdp_transmit: transmit.map(|()| "a frame got through on eth0".to_owned()),
            tcx: Ok(()),
        }
    }

    #[test]
    fn auto_takes_the_best_that_was_seen_to_work() {
        let table = [
            (facts(Ok(()), Ok(()), Ok(())), Mode::Xdp, "a frame got through on eth0"),
            (facts(Ok(()), Ok(()), no("eth0 took no frame")), Mode::Tc, "no xdp: eth0 took no frame"),
            (facts(Ok(()), no("the driver has none"), Ok(())), Mode::Tc, "no xdp: the driver has none"),
            (facts(no("no rights"), Ok(()), Ok(())), Mode::Userspace, "no xdp or tc: no rights"),
        ];
        for (facts, mode, reason) in table {
            assert_eq!(choose(ModeWanted::Auto, &facts), Ok((mode, reason.to_owned())));
        }
    }

    #[test]
    fn a_mode_asked_for_that_cannot_work_is_an_error_with_a_cure() {
        let facts = facts(Ok(()), Ok(()), no("eth0 took no frame"));
        let (why, cure) = choose(ModeWanted::Xdp, &facts).unwrap_err();
        assert_eq!(why, "eth0 took no frame");
        assert!(cure.contains("--mode tc"), "{cure}");
        assert_eq!(choose(ModeWanted::Tc, &facts).unwrap().0, Mode::Tc);
        assert_eq!(choose(ModeWanted::Userspace, &facts).unwrap().0, Mode::Userspace);
    }
}
