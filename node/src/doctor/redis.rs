//! Whether Redis answers, and takes what a node sends.

use super::Finding;
use crate::config::TreeConfig;
use crate::redis::connect::Connector;
use crate::tree::Timing;

/// Connects and asks for a word. Without Redis a node is on its own, which may be meant.
pub async fn answers(tree: Option<&TreeConfig>) -> Finding {
    let Some(tree) = tree else {
        let why = "none is named: this node follows no tree";
        return Finding::wanted("Redis", Ok(why.to_owned()), "");
    };
    let mut connector = Connector::new(tree.redis.clone(), Timing::default().answer);
    let server = connector.server();
    // What the failure says has in it what to do.
    let result = match connector.connect().await {
        Ok(_) => Ok(format!("{server} answers")),
        Err(failure) => Err(failure.to_string()),
    };
    Finding::needed("Redis", result, "")
}
