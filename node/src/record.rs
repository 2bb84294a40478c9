//! A node as it registers: the hash `node:{id}` (docs/contract.md, *Registration*).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::contract::field::node as field;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// Takes broadcasts in.
    Injection,
    /// Copies RTP.
    Relay,
    /// Serves viewers.
    Egress,
}

impl NodeType {
    /// The word for it, as in Redis and in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            NodeType::Injection => "injection",
            NodeType::Relay => "relay",
            NodeType::Egress => "egress",
        }
    }
}

/// What a node writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Name, unique in the tree.
    pub id: String,
    /// Type.
    pub node_type: NodeType,
    /// Tree.
    pub tree_id: String,
    /// Host name or address that other nodes send media to.
    pub host: String,
    /// HTTP port.
    pub port: u16,
    /// RTP ports: audio, video.
    pub media: [u16; 2],
    /// ms since 1970 at which the node started.
    pub created: u64,
    /// `--zone`; empty if nothing was said.
    pub zone: String,
    /// `--public-url`: where it is reached by HTTP, if not at its host and port.
    pub public_url: Option<String>,
    /// `--admin`: where it listens for operators, if not where all do.
    pub admin: Option<SocketAddr>,
}

impl Registration {
    /// Where viewers, publishers and operators reach it.
    pub fn url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.at(self.port)))
    }

    /// `HOST:PORT` of a listener: on all addresses, it is at this node's host.
    fn reached(&self, listener: SocketAddr) -> String {
        if listener.ip().is_unspecified() { self.at(listener.port()) } else { listener.to_string() }
    }

    /// As in a URL.
    fn at(&self, port: u16) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{port}", self.host),
            false => format!("{}:{port}", self.host),
        }
    }

    /// The hash's fields. `status`: `active` while the node can do its job; `addresses`: all that it may send media from.
    pub fn fields(&self, status: &str, addresses: &BTreeSet<IpAddr>) -> Vec<(&'static str, String)> {
        vec![
            (field::ID, self.id.clone()),
            (field::NODE_ID, self.id.clone()),
            (field::TYPE, self.node_type.name().to_owned()),
            (field::TREE_ID, self.tree_id.clone()),
            (field::HOST, self.host.clone()),
            (field::ADDRESSES, written(addresses)),
            (field::PORT, self.port.to_string()),
            (field::ADMIN, self.admin.map(|admin| self.reached(admin)).unwrap_or_default()),
            (field::AUDIO_PORT, self.media[0].to_string()),
            (field::VIDEO_PORT, self.media[1].to_string()),
            (field::STATUS, status.to_owned()),
            (field::CREATED, self.created.to_string()),
        ]
    }
}

/// Where a node takes media.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Host name or address.
    pub host: String,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
}

impl Place {
    /// Reads another node's hash. `Ok(None)` when there is none; an error says what is wrong with it.
    pub fn of(fields: &BTreeMap<String, String>) -> Result<Option<Place>, String> {
        if fields.is_empty() {
            return Ok(None);
        }
        let text = |name: &str| fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let host = text(field::HOST).ok_or("its registration has no host")?.to_owned();
        let port = |name: &str| {
            let value = text(name).ok_or(format!("its registration has no {name}"))?;
            match value.parse::<u16>() {
                Ok(port) if port != 0 => Ok(port),
                _ => Err(format!("its registration has {name} '{value}', which is no port")),
            }
        };
        Ok(Some(Place { host, ports: [port(field::AUDIO_PORT)?, port(field::VIDEO_PORT)?] }))
    }
}

/// Where a node's media comes from: what a child has to know of its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where the parent itself takes media. Its copies have these source ports.
    pub place: Place,
    /// The addresses that it may send from. Empty: an older version, which says only its host.
    pub addresses: BTreeSet<IpAddr>,
}

impl Origin {
    /// Reads a parent's hash. `Ok(None)` when there is none; an error says what is wrong with it.
    pub fn of(fields: &BTreeMap<String, String>) -> Result<Option<Origin>, String> {
        let Some(place) = Place::of(fields)? else { return Ok(None) };
        let addresses = fields.get(field::ADDRESSES).map(|text| read(text)).unwrap_or_default();
        Ok(Some(Origin { place, addresses }))
    }
}

/// Most addresses that a node says it has, and that are believed of one.
pub const MAX_ADDRESSES: usize = 64;

fn written(addresses: &BTreeSet<IpAddr>) -> String {
    let texts: Vec<String> = addresses.iter().take(MAX_ADDRESSES).map(ToString::to_string).collect();
    texts.join(",")
}

/// What is no address is left out: the others are as good as before.
fn read(text: &str) -> BTreeSet<IpAddr> {
    let parsed = text.split(',').filter_map(|one| one.trim().parse::<IpAddr>().ok());
    parsed.map(|address| address.to_canonical()).take(MAX_ADDRESSES).collect()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [audio, video] = self.ports;
        match self.host.contains(':') {
            true => write!(f, "[{}]:{audio}:{video}", self.host),
            false => write!(f, "{}:{audio}:{video}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn fields(registration: &Registration, addresses: &BTreeSet<IpAddr>) -> BTreeMap<String, String> {
        let fields = registration.fields("active", addresses).into_iter();
        fields.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn hash(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn registration() -> Registration {
        Registration {
            id: "egress-1".to_owned(),
            node_type: NodeType::Egress,
            tree_id: "tree-1".to_owned(),
            host: "10.0.0.7".to_owned(),
            port: 7073,
            media: [5002, 5004],
            created: 1_700_000_000_000,
            zone: String::new(),
            public_url: None,
            admin: None,
        }
    }

    #[test]
    fn what_a_node_writes_another_can_read() {
        let registration = registration();
        let addresses = set(&["10.0.0.7", "fd00::7"]);
        let written: BTreeMap<String, String> = fields(&registration, &addresses);
        assert_eq!(written["id"], written["nodeId"]);
        let place = Place { host: "10.0.0.7".to_owned(), ports: [5002, 5004] };
        assert_eq!(Place::of(&written), Ok(Some(place.clone())));
        assert_eq!(written["addresses"], "10.0.0.7,fd00::7");
        assert_eq!(Origin::of(&written), Ok(Some(Origin { place, addresses })));
    }

    #[test]
    fn where_operators_are_heard_is_written() {
        let admin = |host: &str, listener: Option<&str>| {
            let admin = listener.map(|listener| listener.parse().unwrap());
            let registration = Registration { host: host.to_owned(), admin, ..registration() };
            fields(&registration, &BTreeSet::new())["admin"].clone()
        };
        assert_eq!(admin("10.0.0.7", None), "", "a former one is gone");
        assert_eq!(admin("10.0.0.7", Some("10.1.0.7:7083")), "10.1.0.7:7083");
        assert_eq!(admin("10.0.0.7", Some("[::1]:7083")), "[::1]:7083");
        assert_eq!(admin("egress-1.example.com", Some("0.0.0.0:7083")), "egress-1.example.com:7083");
        assert_eq!(admin("fd00::7", Some("[::]:7083")), "[fd00::7]:7083");
    }

    #[test]
    fn a_parent_of_an_older_version_says_only_its_host() {
        let old = hash(&[("host", "a"), ("audioPort", "5002"), ("videoPort", "5004")]);
        assert_eq!(Origin::of(&old).unwrap().unwrap().addresses, BTreeSet::new());
        assert_eq!(Origin::of(&BTreeMap::new()), Ok(None));
        assert!(Origin::of(&hash(&[("audioPort", "5002")])).is_err());
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        assert_eq!(read(" 10.0.0.1 ,,x, ::ffff:10.0.0.2,fd00::1"), set(&["10.0.0.1", "10.0.0.2", "fd00::1"]));
        assert_eq!(read(""), BTreeSet::new());
        let many: BTreeSet<IpAddr> = (0..200).map(|last| [10, 0, 0, last].into()).collect();
        assert_eq!(read(&written(&many)).len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_hash_that_is_not_whole_is_refused_by_name() {
        let table = [
            (hash(&[("audioPort", "5002"), ("videoPort", "5004")]), "host"),
            (hash(&[("host", "a"), ("videoPort", "5004")]), "audioPort"),
            (hash(&[("host", "a"), ("audioPort", "5002"), ("videoPort", "0")]), "videoPort '0'"),
            (hash(&[("host", "a"), ("audioPort", "x"), ("videoPort", "5004")]), "audioPort 'x'"),
        ];
        for (fields, wanted) in table {
            let error = Place::of(&fields).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        assert_eq!(Place::of(&BTreeMap::new()), Ok(None));
    }
}
