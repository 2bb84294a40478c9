//! Where a tree is read: in Redis or, by a node that reads it, by HTTP.

use node::asking::{Asking, Unheard};
use node::commands::Commands;
use node::config::{RedisConfig, WholeTreeConfig};
use node::overview::{Overview, make, read};

/// One of the two.
pub enum Source {
    /// Redis itself.
    Redis {
        /// Connection.
        commands: Box<Commands>,
        /// Tree.
        tree_id: String,
    },
    /// A node.
    Node {
        /// Its address, without a slash at the end.
        url: String,
    },
}

impl Source {
    /// The node, if one is named; else Redis, if that is configured; else the node on this machine.
    pub fn new(node: Option<&str>, config: &WholeTreeConfig) -> Source {
        match (node, &config.redis) {
            (Some(node), _) => Source::Node { url: url(node) },
            (None, Some(redis)) => Source::redis(redis, &config.tree_id),
            (None, None) => {
                let mut api = config.api;
                if api.ip().is_unspecified() {
                    api.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                Source::Node { url: format!("http://{api}") }
            }
        }
    }

    fn redis(redis: &RedisConfig, tree_id: &str) -> Source {
        Source::Redis { commands: Box::new(Commands::new(redis.clone())), tree_id: tree_id.to_owned() }
    }

    /// The tree as it is now; an error is one line.
    pub async fn read(&self, asking: &Asking) -> Result<Overview, String> {
        match self {
            Source::Redis { commands, tree_id } => Ok(make(&read(commands, tree_id).await?)),
            Source::Node { url } => asking.get(&format!("{url}/tree")).await.map_err(|error| match error {
                Unheard::Silent { .. } => {
                    format!("{error}; --node names another node of the tree, --redis-url its Redis")
                }
                other => other.to_string(),
            }),
        }
    }
}

/// `ADDRESS:PORT` is HTTP.
fn url(node: &str) -> String {
    let node = node.trim_end_matches('/');
    if node.contains("://") { node.to_owned() } else { format!("http://{node}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_an_address_and_port_or_a_url() {
        for (given, wanted) in [
            ("10.0.0.5:7071", "http://10.0.0.5:7071"),
            ("[::1]:7071", "http://[::1]:7071"),
            ("https://media.example.com/egress-1/", "https://media.example.com/egress-1"),
        ] {
            assert_eq!(url(given), wanted);
        }
    }
}
