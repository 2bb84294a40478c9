//! `relay-ctl tree targets`: whom a Prometheus has to ask, as a file for its `file_sd_configs`.
//!
//! | file | job |
//! |---|---|
//! | `list.rs` | from what Redis says to a list, and that as text; without I/O |
//! | `names.rs` | which names are where no node can be |
//! | `file.rs` | a file that is never seen half written |
//! | `watch.rs` | keeps the file current |

mod file;
mod list;
mod names;
mod watch;

pub use file::File;
pub use list::{List, Ports};
pub use watch::watch;

use std::time::{Duration, Instant};

use node::commands::Commands;
use node::overview::facts::Facts;
use node::overview::read_nodes;

/// A reading that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What Redis says now of the nodes; an error is one line.
async fn facts(commands: &Commands, tree_id: &str) -> Result<Facts, String> {
    let late = || Err(format!("Redis has not said within {} s who is in {tree_id}", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, read_nodes(commands, tree_id)).await.unwrap_or_else(|_| late())
}

/// The list as it is now. `former`: what is remembered of nodes that are not registered at this moment.
pub async fn list(commands: &Commands, tree_id: &str, former: List) -> Result<List, String> {
    let list = next(former, &facts(commands, tree_id).await?, Instant::now())?;
    let astray = names::astray(list.names()).await;
    Ok(list.without(&astray))
}

/// The list that follows `former`. Where Redis does not say everything, who is missing in its answer may be there.
fn next(former: List, facts: &Facts, now: Instant) -> Result<List, String> {
    match &facts.unread {
        Some(why) => Err(format!("the nodes of {} cannot be read: {why}", facts.tree_id)),
        None => Ok(former.then(facts, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_in_redis_is_no_empty_tree() {
        let mut facts = Facts { tree_id: "tree-1".to_owned(), ..Facts::default() };
        assert!(next(List::default(), &facts, Instant::now()).is_ok());
        facts.unread = Some("extend its ACL".to_owned());
        let why = next(List::default(), &facts, Instant::now()).err();
        assert!(why.is_some_and(|why| why.contains("ACL")));
    }
}
