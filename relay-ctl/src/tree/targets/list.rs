//! Who is to be asked. Pure: time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use node::overview::MOST_NODES;
use node::overview::facts::{Facts, NodeFacts, RegistrationFacts};
use node::record::NodeType;
use serde::{Deserialize, Serialize};

/// Who has left the tree is asked for so long: when Redis has lost its data, nodes write themselves within 20 s.
const LINGERS: Duration = Duration::from_secs(30);
/// `job` of a node's own metrics begins with this, and ends with its type.
const JOB: &str = "media-tree-";
/// `job` of its machine's.
const MACHINE_JOB: &str = "node-exporter";
/// Where clouds tell a machine of itself, besides 169.254.169.254: Alibaba's, and Amazon's by IPv6.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];
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
    /// One that is not asked, and why: it says that it is where no node can be, or where only its own machine reaches it.
    not_asked: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    node_type: NodeType,
    /// Host of its machine, as in a URL: IPv6 in brackets.
    host: String,
    /// Where its own metrics are: the listener for operators, where there is one. `None`: only its own machine reaches that.
    metrics: Option<Socket>,
    /// Since when it has been no part of the tree.
    left: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket {
    /// As in a URL.
    host: String,
    port: u16,
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
        let not_asked = facts.nodes.iter().find_map(|(id, node)| not_asked(id, node.registered_in(tree_id)?));
        List { tree_id: tree_id.clone(), nodes, left_out: facts.nodes_left_out, not_asked }
    }

    /// Hosts that are names: where they are, a name server says.
    pub fn names(&self) -> BTreeSet<String> {
        let hosts = self.nodes.values().flat_map(|node| {
            [Some(&node.host), node.metrics.as_ref().map(|metrics| &metrics.host)].into_iter().flatten()
        });
        hosts.filter(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()).cloned().collect()
    }

    /// The same without nodes of these hosts, which are where no node can be.
    pub fn without(mut self, astray: &BTreeSet<String>) -> List {
        let is_astray = |node: &Target| {
            astray.contains(&node.host)
                || node.metrics.as_ref().is_some_and(|metrics| astray.contains(&metrics.host))
        };
        if let Some((id, _)) = self.nodes.iter().find(|(_, node)| is_astray(node)) {
            self.not_asked = Some(nowhere(id));
        }
        self.nodes.retain(|_, node| !is_astray(node));
        self
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
            List { not_asked: Some(why), .. } => Some(why.clone()),
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
        let group = |job: String, host: &str, port: u16| Group {
            targets: vec![format!("{host}:{port}")],
            labels: [
                ("job", job),
                ("tree_id", self.tree_id.clone()),
                ("node_id", id.to_owned()),
                ("node_type", node.node_type.name().to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        };
        let own = node.metrics.iter();
        let job = format!("{JOB}{}", node.node_type.name());
        let mut groups: Vec<Group> =
            own.map(|metrics| group(job.clone(), &metrics.host, metrics.port)).collect();
        if ports.exporter != 0 {
            groups.push(group(MACHINE_JOB.to_owned(), &node.host, ports.exporter));
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
            let kind = kinds.into_iter().find(|known| Some(known.name()) == label("node_type"));
            let place = targets.first().and_then(|target| socket(target));
            let (Some(node_type), Some(place), Some(job), Some(id), Some(tree)) =
                (kind, place, label("job"), label("node_id"), label("tree_id"))
            else {
                continue;
            };
            let is_machine = job == MACHINE_JOB;
            if !is_machine && job.strip_prefix(JOB) != Some(node_type.name()) {
                continue;
            }
            list.tree_id = tree.to_owned();
            let first = || Target { node_type, host: place.host.clone(), metrics: None, left: None };
            let node = list.nodes.entry(id.to_owned()).or_insert_with(first);
            match is_machine {
                true => node.host = place.host,
                false => node.metrics = Some(place),
            }
        }
        list
    }

    /// It is one of this tree; another one's nodes are nobody that is missed here.
    pub fn of(self, tree_id: &str) -> List {
        if self.tree_id == tree_id { self } else { List::default() }
    }
}

/// Where a node and its metrics are, if it is registered and says so.
fn target(node: &NodeFacts, tree_id: &str) -> Option<Target> {
    let registration = node.registered_in(tree_id)?;
    let host = written(registration.host.as_deref()?.trim())?;
    let metrics = match &registration.admin {
        Some(listener) => Some(socket(listener)?).filter(|own| !is_loopback(&own.host) || is_loopback(&host)),
        None => {
            let port = registration.port.filter(|port| *port != 0)?;
            Some(Socket { host: host.clone(), port })
        }
    };
    Some(Target { node_type: node.node_type()?, host, metrics, left: None })
}

/// Why a node that says where it is has not all of itself in the list.
fn not_asked(id: &str, registration: &RegistrationFacts) -> Option<String> {
    let host = registration.host.as_deref()?.trim();
    let listener = registration.admin.as_deref();
    if written(host).is_none() || listener.is_some_and(|listener| socket(listener).is_none()) {
        return Some(nowhere(id));
    }
    let own = listener.filter(|listener| {
        socket(listener).is_some_and(|own| is_loopback(&own.host)) && !is_loopback(host)
    })?;
    Some(format!(
        "{id} is not asked: its metrics are at {own} (--admin), where only its own machine reaches them; \
         have --admin listen where Prometheus does"
    ))
}

fn nowhere(id: &str) -> String {
    format!(
        "{id} is not asked at the host of its registration: no node is at such a one; correct its `host` or `admin`"
    )
}

/// `HOST:PORT` of a host that may be asked.
fn socket(text: &str) -> Option<Socket> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Socket { host: written(host.trim_matches(['[', ']']))?, port })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// A name or address as in a URL. Redis says what somebody has written: nothing else may be asked through this than a host, and none
/// that only the asking machine sees, as a cloud's metadata.
fn written(host: &str) -> Option<String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let host = if address.is_ipv6() { format!("[{host}]") } else { host.to_owned() };
        return (!is_nowhere(address)).then_some(host);
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_one = (1..=LONGEST_HOST).contains(&host.len()) && host.chars().all(is_host);
    (is_one && !is_number(host)).then(|| host.to_owned())
}

/// Only the asking machine sees it: link-local (RFC 3927, RFC 4291 section 2.5.6), or where a cloud tells a machine of itself.
pub fn is_nowhere(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || METADATA.contains(&address)
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
