//! `scaler run`: from configuration to a scaler that runs until it is told to stop.

use std::io::Write;

use node::cli::Failure;
use node::port::{Transport, refusal};
use tokio::net::TcpListener;

use crate::api;
use crate::app::App;
use crate::config::Config;

/// The crates whose log is about the scaler itself.
const OWN: &[&str] = &["scaler"];

/// Runs until SIGINT or SIGTERM.
pub fn run(config: Config) -> Result<(), Failure> {
    let node = config.node.clone();
    node::daemon::run(&node, OWN, serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let mut signals = node::daemon::Signals::listen().map_err(|error| Failure::Other(error.to_string()))?;
    let listener = TcpListener::bind(config.api).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on --api {}: {}; choose another address or port",
            config.api,
            refusal(Transport::Tcp, config.api, &error)
        ))
    })?;
    let app = App::new(config).map_err(Failure::Other)?;
    let keeping = tokio::spawn(app.clone().keep());
    let telling = tokio::spawn(app.clone().tell());
    let config = app.config();
    let trees = config.trees.as_ref().map_or_else(|| "trees:active".to_owned(), |trees| trees.join(","));
    println!("ready: node={} api={} trees={trees}", config.node_id, config.api);
    let _ = std::io::stdout().flush();
    let service = api::service(app.clone());
    let stopped = async move {
        signals.next().await;
    };
    let served = node::http::serve(listener, service.router, service.limits, stopped).await;
    keeping.abort();
    telling.abort();
    app.stop().await;
    tracing::info!("stopped; what was being done is recorded, and whoever leads next goes on with it");
    served.map_err(|error| Failure::Other(format!("the HTTP server ended: {error}")))
}
