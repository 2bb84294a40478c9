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

impl ModeWanted {
    /// The mode that a failure is about: what `auto` cannot be is userspace.
    pub fn name(self) -> &'static str {
        match self {
            ModeWanted::Xdp => "xdp",
            ModeWanted::Tc => "tc",
            ModeWanted::Auto | ModeWanted::Userspace => "userspace",
        }
    }
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

/// Nobody asked for sockets, and the kernel's data planes cannot be had.
pub fn is_fallback(wanted: ModeWanted, mode: Mode) -> bool {
    wanted == ModeWanted::Auto && mode == Mode::Userspace
}

/// What was found out. `Err` says why not, in words.
#[derive(Clone, Debug)]
pub struct Facts {
    /// eBPF programs can be loaded.
    pub bpf: Result<(), String>,
    /// An XDP program attaches in the driver.
    pub xdp_attach: Result<(), String>,
    /// A frame sent like a copy got through on every egress interface.
    pub xdp_transmit: Result<String, String>,
    /// The kernel takes the program. Not known before the others say yes: it is large.
    pub xdp_program: Result<(), String>,
    /// Where no frame got through, it was on a veth.
    pub veth: bool,
    /// tcx is there (Linux 6.6).
    pub tcx: Result<(), String>,
}

/// A decision and its reason, or why there is none and what would help.
pub fn choose(wanted: ModeWanted, facts: &Facts) -> Result<(Mode, String), (String, String)> {
    let attach = facts.bpf.clone().and(facts.xdp_attach.clone());
    let xdp =
        attach.and(facts.xdp_transmit.clone()).and_then(|seen| facts.xdp_program.clone().map(|()| seen));
    let tc = facts.bpf.clone().and(facts.tcx.clone());
    match wanted {
        ModeWanted::Userspace => Ok((Mode::Userspace, "asked for with --mode userspace".to_owned())),
        ModeWanted::Xdp => match xdp {
            Ok(seen) => Ok((Mode::Xdp, format!("asked for with --mode xdp; {seen}"))),
            Err(why) => Err((why, fix_for_xdp(facts))),
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

fn fix_for_xdp(facts: &Facts) -> String {
    if facts.bpf.is_err() {
        return "run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON".to_owned();
    }
    if facts.xdp_attach.is_err() {
        return "use --mode tc, or an interface whose driver has native XDP and an MTU that fits one page"
            .to_owned();
    }
    if facts.xdp_transmit.is_ok() {
        return "use --mode tc, or a newer kernel".to_owned();
    }
    match facts.veth {
        true => "use --mode tc; `ethtool -K <peer> gro on` (on the veth's other end) lets XDP frames in"
            .to_owned(),
        false => "use --mode tc, or an egress interface whose driver transmits XDP frames".to_owned(),
    }
}

/// What a predecessor left attached to the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// The mode in force.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Its program is still attached to the interface as it is now.
    pub attached: bool,
}

/// What a start has to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Everything: nothing is attached that could suffer.
    Probe,
    /// Nothing: it goes on as it is.
    Keep { mode: Mode, reason: String },
}

/// Probing attaches a program, and many cards reset their rings at that. So a restart probes only where nothing is attached,
/// or another mode is asked for by name.
pub fn start(wanted: ModeWanted, before: Option<&Before>, interface: &str) -> Start {
    let Some(before) = before.filter(|before| before.attached) else { return Start::Probe };
    let keep = |reason: String| Start::Keep { mode: before.mode, reason };
    match (wanted, before.mode) {
        (ModeWanted::Xdp, Mode::Xdp) | (ModeWanted::Tc, Mode::Tc) => {
            keep(format!("asked for with --mode {}; in force already", before.mode))
        }
        (ModeWanted::Auto, Mode::Xdp | Mode::Tc) => {
            let reason = before.reason.split(KEPT).next().unwrap_or_default();
            let command = format!("`relay-ctl detach {interface} && relay-ctl attach {interface}`");
            keep(format!("{reason}{KEPT}{command} probes anew"))
        }
        _ => Start::Probe,
    }
}

/// What stands between a reason that was kept and the command that finds another.
const KEPT: &str = "; kept from the daemon before: ";

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
            xdp_program: Ok(()),
            veth: true,
            tcx: Ok(()),
        }
    }

    #[test]
    fn only_sockets_that_nobody_asked_for_are_a_fallback() {
        assert!(is_fallback(ModeWanted::Auto, Mode::Userspace));
        assert!(!is_fallback(ModeWanted::Userspace, Mode::Userspace));
        assert!(!is_fallback(ModeWanted::Auto, Mode::Tc));
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
    fn a_mode_asked_for_that_cannot_work_is_an_error_with_a_fix() {
        let facts = facts(Ok(()), Ok(()), no("eth0 took no frame"));
        let (why, fix) = choose(ModeWanted::Xdp, &facts).unwrap_err();
        assert_eq!(why, "eth0 took no frame");
        assert!(fix.contains("--mode tc"), "{fix}");
        assert_eq!(choose(ModeWanted::Tc, &facts).unwrap().0, Mode::Tc);
        assert_eq!(choose(ModeWanted::Userspace, &facts).unwrap().0, Mode::Userspace);
    }

    #[test]
    fn a_verifier_that_refuses_means_tc_with_its_words() {
        let facts = Facts { xdp_program: no("too large"), ..facts(Ok(()), Ok(()), Ok(())) };
        assert_eq!(choose(ModeWanted::Auto, &facts), Ok((Mode::Tc, "no xdp: too large".to_owned())));
        let (why, fix) = choose(ModeWanted::Xdp, &facts).unwrap_err();
        assert!(why == "too large" && fix.contains("newer kernel"), "{fix}");
    }

    #[test]
    fn gro_is_the_fix_on_a_veth_only() {
        let facts = |veth| Facts { veth, ..facts(Ok(()), Ok(()), no("eth1 took no frame")) };
        assert!(choose(ModeWanted::Xdp, &facts(true)).unwrap_err().1.contains("gro on"));
        assert!(!choose(ModeWanted::Xdp, &facts(false)).unwrap_err().1.contains("gro"));
    }

    #[test]
    fn a_restart_goes_on_as_it_was_unless_another_mode_is_asked_for() {
        let before = |mode, attached| Before { mode, reason: "no xdp: no queue".to_owned(), attached };
        let start = |wanted, mode, attached| super::start(wanted, Some(&before(mode, attached)), "eth0");
        assert_eq!(super::start(ModeWanted::Auto, None, "eth0"), Start::Probe);
        assert_eq!(start(ModeWanted::Auto, Mode::Tc, false), Start::Probe);
        for (wanted, mode) in [(ModeWanted::Xdp, Mode::Tc), (ModeWanted::Tc, Mode::Xdp)] {
            assert_eq!(start(wanted, mode, true), Start::Probe);
        }
        let Start::Keep { mode: Mode::Tc, reason } = start(ModeWanted::Auto, Mode::Tc, true) else {
            panic!("it probes again")
        };
        assert!(
            reason.starts_with("no xdp: no queue; ") && reason.contains("relay-ctl detach eth0"),
            "{reason}"
        );
        // However often it restarts, the reason stays the same.
        let again = Before { mode: Mode::Tc, reason: reason.clone(), attached: true };
        assert_eq!(
            super::start(ModeWanted::Auto, Some(&again), "eth0"),
            Start::Keep { mode: Mode::Tc, reason }
        );
    }
}
