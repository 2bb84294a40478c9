//! Who is to be asked. Pure: time is an argument.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use node::overview::MOST_NODES;
use node::overview::facts::{Facts, NodeFacts};
use node::record::NodeType;
use serde::{Deserialize, Serialize};

/// Who has left the tree is asked for so long: when Redis has lost its data, nodes write themselves within 20 s.
const LINGERS: Duration = Duration::from_secs(30);
/// `job` of a node's own metrics begins with this, and ends with its type.
const JOB: &str = "media-tree-";
/// `job` of its machine's.
const MACHINE_JOB: &str = "node-exporter";
/// RFC 1123 section 2.1.
const LONGEST_HOST: usize = 255;

/// Ports that Redis does not know.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// node_exporter's on every node's machine; 0: there is none.
    pub exporter: u16,
}

/// Nodes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    tree_id: String,
    nodes: BTreeMap<String, Target>,
    /// Nodes that are not asked, since there are too many.
    left_out: usize,
    /// One that is not asked, since it says that it is where no node can be.
    astray: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    node_type: NodeType,
    /// As in a URL: IPv6 in brackets.
    host: String,
    port: u16,
    /// Since when it has been no part of the tree.
    left: Option<Instant>,
}

/// A group of `file_sd_configs`.
#[derive(Serialize, Deserialize)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl List {
    /// The list that follows this one. A node that is not registered keeps its place as long as it is in the directory or is somebody's
    /// child or parent: that it does not answer is what has to be known of it. When nobody is registered Redis has lost its data.
    pub fn then(self, facts: &Facts, now: Instant) -> List {
        let tree_id = &facts.tree_id;
        let registered = |(id, node): (&String, &NodeFacts)| Some((id.clone(), target(node, tree_id)?));
        let mut nodes: BTreeMap<String, Target> = facts.nodes.iter().filter_map(registered).collect();
        let is_lost = nodes.is_empty();
        for (id, mut former) in self.nodes {
            if !is_lost && !facts.nodes.contains_key(&id) {
                let left = *former.left.get_or_insert(now);
                if now.duration_since(left) >= LINGERS {
                    continue;
                }
            } else {
                former.left = None;
            }
            nodes.entry(id).or_insert(former);
        }
        let is_astray = |node: &NodeFacts| {
            let registered = node.registered_in(tree_id);
            let host = registered.and_then(|registered| registered.host.as_deref());
            host.is_some_and(|host| written(host.trim()).is_none())
        };
        let astray = facts.nodes.iter().find(|(_, node)| is_astray(node)).map(|(id, _)| id.clone());
        List { tree_id: tree_id.clone(), nodes, left_out: facts.nodes_left_out, astray }
    }

    /// How many nodes are in it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What somebody should know who relies on it.
    pub fn remark(&self) -> Option<String> {
        let tree = &self.tree_id;
        match self {
            List { left_out: 1.., .. } => Some(format!(
                "{} nodes of {tree} are not in the list, which has room for {MOST_NODES}",
                self.left_out
            )),
            List { astray: Some(id), .. } => Some(format!(
                "{id} is not asked at the host of its registration: no node is at such a one; correct its `host`"
            )),
            _ if self.is_empty() => Some(format!(
                "the list is empty: no node is registered in {tree} (--tree-id) with a host and a port"
            )),
            _ => None,
        }
    }

    /// As Prometheus reads it.
    pub fn text(&self, ports: Ports) -> String {
        let groups: Vec<Group> =
            self.nodes.iter().flat_map(|(id, node)| self.groups(id, node, ports)).collect();
        let mut text = serde_json::to_string_pretty(&groups).unwrap_or_default();
        text.push('\n');
        text
    }

    fn groups(&self, id: &str, node: &Target, ports: Ports) -> Vec<Group> {
        let group = |job: String, port: u16| Group {
            targets: vec![format!("{}:{port}", node.host)],
            labels: [
                ("job", job),
                ("tree_id", self.tree_id.clone()),
                ("node_id", id.to_owned()),
                ("node_type", node.node_type.name().to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        };
        let mut groups = vec![group(format!("{JOB}{}", node.node_type.name()), node.port)];
        if ports.exporter != 0 {
            groups.push(group(MACHINE_JOB.to_owned(), ports.exporter));
        }
        groups
    }

    /// What an earlier run has written. What is not ours is passed over.
    pub fn read(text: &str) -> List {
        let groups: Vec<Group> = serde_json::from_str(text).unwrap_or_default();
        let mut list = List::default();
        for Group { targets, labels } in groups {
            let label = |name: &str| labels.get(name).map(String::as_str);
            let kinds = [NodeType::Injection, NodeType::Relay, NodeType::Egress];
            let kind = label("job").and_then(|job| job.strip_prefix(JOB));
            let kind = kinds.into_iter().find(|known| Some(known.name()) == kind);
            let place = targets.first().and_then(|target| target.rsplit_once(':'));
            let (Some(node_type), Some((host, port)), Some(id), Some(tree)) =
                (kind, place, label("node_id"), label("tree_id"))
            else {
                continue;
            };
            let (Ok(port), Some(host)) = (port.parse(), written(host.trim_matches(['[', ']']))) else {
                continue;
            };
            list.tree_id = tree.to_owned();
            list.nodes.insert(id.to_owned(), Target { node_type, host, port, left: None });
        }
        list
    }

    /// It is one of this tree; another one's nodes are nobody that is missed here.
    pub fn of(self, tree_id: &str) -> List {
        if self.tree_id == tree_id { self } else { List::default() }
    }
}

/// Where a node's metrics are, if it is registered and says so.
fn target(node: &NodeFacts, tree_id: &str) -> Option<Target> {
    let registration = node.registered_in(tree_id)?;
    let host = written(registration.host.as_deref()?.trim())?;
    let port = registration.port.filter(|port| *port != 0)?;
    Some(Target { node_type: node.node_type()?, host, port, left: None })
}

/// A name or address as in a URL. Redis says what somebody has written: nothing else may be asked through this than a host, and none
/// that only the asking machine sees, as a cloud's metadata.
fn written(host: &str) -> Option<String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let host = if address.is_ipv6() { format!("[{host}]") } else { host.to_owned() };
        return (!is_link_local(address)).then_some(host);
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_one = (1..=LONGEST_HOST).contains(&host.len()) && host.chars().all(is_host);
    (is_one && !is_number(host)).then(|| host.to_owned())
}

/// RFC 3927 and RFC 4291 section 2.5.6.
fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Some resolvers take it for an IPv4 address, written in a way of its own (inet_aton(3)).
fn is_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.chars().all(|c| c.is_ascii_digit())
        || hex.is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
