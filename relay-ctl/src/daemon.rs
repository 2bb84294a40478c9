//! `relay-ctl attach`: from configuration to a relay that runs until it is told to stop.

use std::io::Write;
use std::sync::Arc;

use node::cli::Failure;
use node::drain::Drains;
use node::tree::Tree;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::kernel::{self, KernelError, Pins};
use crate::mode::{Mode, is_fallback};
use crate::net::Netlink;
use crate::relay::{FamilyKeeper, NameKeeper, Relay, StartError, StockKeeper, Uplink};

/// The crates whose log is about the relay itself.
const OWN: &[&str] = &["relay_ctl", "relay_ebpf"];

/// Runs until SIGINT or SIGTERM. The data plane goes on forwarding after that.
pub fn run(config: Config) -> Result<(), Failure> {
    let node = config.node.clone();
    node::daemon::run(&node, OWN, serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let signals = node::daemon::Signals::listen().map_err(|error| Failure::Other(error.to_string()))?;
    // Bound before anything is attached, so that a port in use is found while nothing has changed.
    let listener = TcpListener::bind(config.api).await.map_err(|error| api_error(&config, &error))?;
    // Subscribed before anything is read, so that no change falls between.
    let changes = Netlink::subscribe().map_err(|error| Failure::Other(error.to_string()))?;
    let relay = Arc::new(Relay::start(config).await.map_err(failure)?);
    relay.log_programs().await;

    let tree = follow_tree(&relay).await;

    let status = relay.status().await;
    let plane = &status.dataplane;
    match is_fallback(relay.config().mode, plane.mode) {
        true => tracing::warn!("using userspace mode, which is slower: {}", plane.mode_reason),
        false => tracing::info!("{}: {}", plane.mode, plane.mode_reason),
    }
    println!("ready: mode={} interface={} reason={}", plane.mode, plane.interface, plane.mode_reason);
    let _ = std::io::stdout().flush();

    let watching = tokio::spawn(relay.clone().watch(changes));
    tokio::spawn(StockKeeper::new(relay.clone()).run());
    tokio::spawn(NameKeeper::new(relay.clone()).run());
    tokio::spawn(FamilyKeeper::new(relay.clone()).run());
    tokio::spawn(relay.clone().keep_egress());
    Uplink::keep(&relay);
    tokio::spawn(relay.clone().keep_drained());
    tokio::spawn(relay.clone().keep_parent());
    let router = crate::api::router(relay.clone());
    let stopped = node::drain::ended(signals, relay.clone());
    tokio::select! {
        ended = node::http::serve(listener, router, relay.limits().clone(), stopped) => {
            ended.map_err(|error| Failure::Other(format!("the HTTP server ended: {error}")))?;
        }
        _ = watching => {
            tracing::warn!("the data plane was detached; there is nothing left to manage");
            return Ok(());
        }
    }
    if let Some(tree) = tree {
        tree.stop().await;
    }
    tracing::info!("{}", farewell(relay.mode().await, &relay.config().interface));
    Ok(())
}

/// What becomes of the media when the daemon stops.
fn farewell(mode: Mode, interface: &str) -> String {
    match mode {
        Mode::Xdp | Mode::Tc if kernel::ends_with_us() => {
            "stopping; forwarding ends with the daemon: its BPF filesystem was mounted in a mount namespace of its own"
                .to_owned()
        }
        Mode::Xdp | Mode::Tc => {
            format!(
                "stopping; forwarding goes on without the daemon (`relay-ctl detach {interface}` ends it)"
            )
        }
        Mode::Userspace => {
            "stopping; forwarding ends with the daemon, which is the data plane in userspace mode".to_owned()
        }
    }
}

/// Registers in Redis and follows what it says; `None` without Redis. That Redis does not answer stops nobody: what a
/// predecessor left goes on being forwarded.
async fn follow_tree(relay: &Arc<Relay>) -> Option<Tree> {
    let config = relay.config().tree.clone()?;
    let tree = Tree::start(config, relay.registration().await, relay.clone());
    relay.membership().follow(&tree);
    relay.drain().tell(tree.clone());
    Some(tree)
}

/// The port is most often taken by the daemon that already manages the interface.
fn api_error(config: &Config, error: &std::io::Error) -> Failure {
    let pins = Pins::new(&config.pin_root, &config.interface);
    if pins.is_locked() {
        return KernelError::AnotherDaemon { interface: config.interface.clone(), pid: pins.keeper() }.into();
    }
    let why = node::port::refusal(node::port::Transport::Tcp, config.api, error);
    Failure::Other(format!("cannot listen on --api {}: {why}; choose another address or port", config.api))
}

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Config(error) => error.into(),
        other => Failure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farewell_is_true_in_every_mode() {
        for mode in [Mode::Xdp, Mode::Tc] {
            let text = farewell(mode, "eth0");
            assert!(text.contains("goes on") && text.contains("relay-ctl detach eth0"), "{text}");
        }
        let text = farewell(Mode::Userspace, "eth0");
        assert!(text.contains("ends") && !text.contains("goes on") && !text.contains("detach"), "{text}");
    }
}
