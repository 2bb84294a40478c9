//! A real Redis and a recorder in place of a node.
#![allow(dead_code, reason = "another program of tests has this, too, and uses some of it")]

pub mod cluster;
pub mod recorder;
pub mod server;

#[allow(unused_imports, reason = "the same")]
pub use recorder::{Recorder, place, registration};
pub use server::Server;

use std::time::{Duration, Instant};

use node::config::{RedisConfig, RedisServer, TreeConfig};
use node::secret::Secret;
use node::tree::{Timing, Tree, TreeView};

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(10);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Reads a server as it is, with a short grace.
pub fn config(server: &Server) -> TreeConfig {
    TreeConfig {
        redis: RedisConfig {
            server: RedisServer::Single { host: "127.0.0.1".to_owned(), port: server.port },
            user: None,
            password: None,
            database: 0,
            tls: false,
            tls_ca: None,
        },
        grace: Duration::from_secs(2),
        // A test that is about it turns it on.
        sweep_after: Duration::ZERO,
    }
}

pub fn with_password(mut config: TreeConfig, user: Option<&str>, password: &str) -> TreeConfig {
    config.redis.user = user.map(str::to_owned);
    config.redis.password = Some(Secret::new(password));
    config
}

/// Nothing is read again by itself for as long as a test lasts: what takes effect was heard.
pub fn only_heard() -> Timing {
    let never = Duration::from_secs(3600);
    Timing { reread: never, poll: never, ..Timing::default() }
}

/// Waits for the view to be as wanted; gives how long that took.
pub async fn seen(tree: &Tree, what: &str, wanted: impl Fn(&TreeView) -> bool) -> Duration {
    let started = Instant::now();
    let mut view = tree.view();
    let waiting = view.wait_for(|view| wanted(view));
    if tokio::time::timeout(LONG, waiting).await.is_err() {
        panic!("not seen within {LONG:?}: {what}; the view is {:#?}", *tree.view().borrow());
    }
    started.elapsed()
}

/// Connected and registered.
pub async fn settled(tree: &Tree) {
    seen(tree, "connected and registered", |view| view.redis.connected && view.redis.registered).await;
}
