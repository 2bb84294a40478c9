//! From configuration to an egress that runs until it is told to stop.

use std::io::Write;
use std::time::Duration;

use node::cli::Failure;
use node::drain::Drains;
use node::port::{Transport, refusal};
use node::tree::Tree;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::state::Egress;

/// The crates whose log is about the egress itself.
const OWN: &[&str] = &["egress", "janus"];
/// How long Redis may take to be told that everything has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs until SIGINT or SIGTERM.
pub fn run(config: Config) -> Result<(), Failure> {
    let node = config.node.clone();
    node::daemon::run(&node, OWN, serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    crate::pipeline::hear_libraries();
    let signals = node::daemon::Signals::listen().map_err(|error| Failure::Other(error.to_string()))?;
    let api = config.api;
    let listener = TcpListener::bind(api).await.map_err(|error| {
        let why = refusal(Transport::Tcp, api, &error);
        Failure::Other(format!("cannot listen on --api {api}: {why}; choose another address or port"))
    })?;
    let admin = match config.auth.admin {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
            let why = refusal(Transport::Tcp, address, &error);
            Failure::Other(format!(
                "cannot listen on --admin {address}: {why}; choose another address or port"
            ))
        })?),
        None => None,
    };
    let (egress, records) = Egress::start(config).await.map_err(Failure::Other)?;
    let tree = egress.config.node.tree.clone().map(|config| {
        let tree = Tree::start(config, egress.registration(), egress.clone());
        egress.in_tree(&tree);
        egress.drain().tell(tree.clone());
        tree
    });
    let recording = tree.clone().zip(egress.config.node.tree.clone()).map(|(tree, config)| {
        let id = egress.config.node.node_id.clone();
        tokio::spawn(async move {
            // Under another's name nothing is written, nor ended.
            tree.is_named().await;
            crate::records::keep(config.redis, id, records).await;
        })
    });
    let keeping = [
        tokio::spawn(egress.clone().keep_server()),
        tokio::spawn(egress.clone().keep_mountpoints()),
        tokio::spawn(egress.clone().keep_watch()),
        tokio::spawn(egress.clone().keep_sources()),
        tokio::spawn(egress.clone().keep_parent()),
        tokio::spawn(egress.clone().keep_place()),
        tokio::spawn(egress.clone().keep_moving()),
    ];
    let [audio, video] = egress.config.media;
    println!("ready: api={api} audio={audio} video={video} whep={}", egress.config.whep_path);
    let _ = std::io::stdout().flush();

    let (api, operators) = crate::api::routers(egress.clone());
    let stopped = node::drain::ended(signals, egress.clone());
    let served = node::http::serve_both((listener, api), admin.zip(operators), stopped).await;
    for task in keeping {
        task.abort();
    }
    // What others are told first: that this node is none of the tree's any more.
    let mut is_ours = true;
    if let Some(tree) = tree {
        let view = tree.view();
        tree.stop().await;
        is_ours = view.borrow().redis.named && view.borrow().redis.taken.is_none();
    }
    egress.close().await;
    egress.webhooks().finish().await;
    if let Some(recording) = recording.filter(|_| is_ours) {
        let _ = tokio::time::timeout(FAREWELL, recording).await;
    }
    tracing::info!("stopped");
    served.map_err(|error| Failure::Other(format!("the HTTP server ended: {error}")))
}
