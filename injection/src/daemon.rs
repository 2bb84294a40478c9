//! From configuration to an injection that runs until it is told to stop.

use std::io::Write;

use node::cli::Failure;
use node::drain::Drains;
use node::port::{Transport, refusal};
use node::tree::Tree;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::injector::Injector;
use crate::{pipeline, rtmp};

/// The crates whose log is about the injection itself.
const OWN: &[&str] = &["injection", "janus"];

/// Runs until SIGINT or SIGTERM.
pub fn run(config: Config) -> Result<(), Failure> {
    let node = config.node.clone();
    node::daemon::run(&node, OWN, serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    pipeline::hear_libraries();
    pipeline::init().map_err(Failure::Other)?;
    let signals = node::daemon::Signals::listen().map_err(|error| Failure::Other(error.to_string()))?;
    let listener = TcpListener::bind(config.api).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on --api {}: {}; choose another address or port",
            config.api,
            refusal(Transport::Tcp, config.api, &error)
        ))
    })?;
    let admin = match config.auth.admin {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
            Failure::Other(format!(
                "cannot listen on --admin {address}: {}; choose another address or port",
                refusal(Transport::Tcp, address, &error)
            ))
        })?),
        None => None,
    };
    let rtmp = match config.rtmp {
        Some(address) => {
            rtmp::init().map_err(Failure::Other)?;
            let listener = TcpListener::bind(address).await.map_err(|error| {
                Failure::Other(format!(
                    "cannot listen on --rtmp {address}: {}; choose another address or port",
                    refusal(Transport::Tcp, address, &error)
                ))
            })?;
            Some(listener)
        }
        None => None,
    };
    let (injector, breaks) = Injector::new(config).map_err(Failure::Other)?;
    let tree = match injector.config().tree.clone() {
        Some(tree) => {
            let tree = Tree::start(tree, injector.registration().await, injector.clone());
            injector.in_tree(tree.clone());
            injector.drain().tell(tree.clone());
            Some(tree)
        }
        None => None,
    };

    injector.keep(breaks);
    tokio::spawn(injector.clone().keep_drained());

    let config = injector.config();
    let by_rtmp = config.rtmp.map(|address| format!(" rtmp={address}")).unwrap_or_default();
    println!(
        "ready: node={} api={} whip={}/endpoint/{by_rtmp} janus={}",
        config.node_id, config.api, config.whip_path, config.janus.url
    );
    let _ = std::io::stdout().flush();

    if let Some(listener) = rtmp {
        tokio::spawn(rtmp::serve(listener, injector.clone()));
    }
    let (api, operators) = crate::api::routers(injector.clone());
    let stopped = node::drain::ended(signals, injector.clone());
    let served = node::http::serve_both((listener, api), admin.zip(operators), stopped).await;
    let farewell = match &tree {
        Some(_) => "stopped; its sessions stay in Redis, and the next start takes them up again",
        None => "stopped; its sessions are gone with it, because it ran without Redis (--redis-url)",
    };
    if let Some(tree) = tree {
        tree.stop().await;
    }
    injector.stop().await;
    tracing::info!("{farewell}");
    served.map_err(|error| Failure::Other(format!("the HTTP server ended: {error}")))
}
