//! The relay, by each of its data planes, run as people run it.

use anyhow::{Context, Result, ensure};
use lab::relay::{Mode, RelayConfig, RelayProcess};

use super::{Contestant, Role, Running};
use crate::machine::{Priority, on_cpu, with_priority};
use crate::stage::Stage;
use crate::tester::Drops;

/// A data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    Xdp,
    Tc,
    Userspace,
    /// Without counting streams and children, which nobody should want: it shows what counting costs.
    XdpUncounted,
    TcUncounted,
    /// Without keeping packets to be sent again: it shows what keeping them costs.
    XdpForgetful,
    TcForgetful,
}

impl Relay {
    fn mode(self) -> Mode {
        match self {
            Relay::Xdp | Relay::XdpUncounted | Relay::XdpForgetful => Mode::Xdp,
            Relay::Tc | Relay::TcUncounted | Relay::TcForgetful => Mode::Tc,
            Relay::Userspace => Mode::Userspace,
        }
    }
}

impl Contestant for Relay {
    fn name(&self) -> &'static str {
        match self {
            Relay::Xdp => "relay, xdp",
            Relay::Tc => "relay, tc",
            Relay::Userspace => "relay, userspace",
            Relay::XdpUncounted => "relay, xdp, statistics off",
            Relay::TcUncounted => "relay, tc, statistics off",
            Relay::XdpForgetful => "relay, xdp, history off",
            Relay::TcForgetful => "relay, tc, history off",
        }
    }

    fn short(&self) -> &'static str {
        match self {
            Relay::Xdp => "xdp",
            Relay::Tc => "tc",
            Relay::Userspace => "userspace",
            Relay::XdpUncounted => "xdp, statistics off",
            Relay::TcUncounted => "tc, statistics off",
            Relay::XdpForgetful => "xdp history off",
            Relay::TcForgetful => "tc history off",
        }
    }

    fn drops(&self) -> Drops {
        if self.mode() == Mode::Xdp { Drops::Xdp } else { Drops::Tc }
    }

    fn role(&self) -> Role {
        Role::Ours
    }

    fn start<'a>(&self, stage: &'a Stage<'a>, children: usize) -> Result<Box<dyn Running + 'a>> {
        let mode = self.mode();
        let children = (1..)
            .zip(stage.clients(children))
            .map(|(number, at)| format!("egress-{number}={}:{}:{}", at.ip(), at.port(), at.port() + 2))
            .collect();
        let mut config = RelayConfig::new("relay-1", mode, children);
        if matches!(self, Relay::XdpUncounted | Relay::TcUncounted) {
            config.arguments.push("--without-statistics".to_owned());
        }
        if matches!(self, Relay::XdpForgetful | Relay::TcForgetful) {
            let off = ["--history", "0", "--repair-within", "0"];
            config.arguments.extend(off.map(str::to_owned));
        }
        let attach = || RelayProcess::attach(stage.lab, config);
        let relay = if *self == Relay::Userspace {
            let prioritised = || with_priority(Priority::Process, attach).unwrap_or_else(|attached| attached);
            on_cpu(stage.cpus.tested, prioritised)??
        } else {
            // The daemon has no part in the copying.
            on_cpu(stage.cpus.tester, attach)??
        };
        let ready = relay.ready().unwrap_or_default();
        ensure!(ready.contains(&format!("mode={mode}")), "asked for {mode}: {ready}");
        Ok(Box::new(Attached { relay, userspace: *self == Relay::Userspace }))
    }
}

struct Attached<'a> {
    relay: RelayProcess<'a>,
    userspace: bool,
}

impl Running for Attached<'_> {
    fn process(&self) -> Option<u32> {
        self.userspace.then(|| self.relay.process().pid())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.relay.terminate().context("ending the relay")?;
        if self.userspace {
            return Ok(());
        }
        self.relay.cli().ok(&["detach", "eth0"]).map(drop)
    }
}
