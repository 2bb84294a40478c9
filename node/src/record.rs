//! A node as it registers: the hash `node:{id}`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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
}

impl Registration {
    /// The hash's fields. `status`: `active` while the node can do its job.
    pub fn fields(&self, status: &str) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.clone()),
            ("nodeId", self.id.clone()),
            ("type", self.node_type.name().to_owned()),
            ("treeId", self.tree_id.clone()),
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("audioPort", self.media[0].to_string()),
            ("videoPort", self.media[1].to_string()),
            ("status", status.to_owned()),
            ("created", self.created.to_string()),
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
        let host = text("host").ok_or("its registration has no host")?.to_owned();
        let port = |name: &str| {
            let value = text(name).ok_or(format!("its registration has no {name}"))?;
            match value.parse::<u16>() {
                Ok(port) if port != 0 => Ok(port),
                _ => Err(format!("its registration has {name} '{value}', which is no port")),
            }
        };
        Ok(Some(Place { host, ports: [port("audioPort")?, port("videoPort")?] }))
    }
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

    fn hash(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_a_node_writes_another_can_read() {
        let registration = Registration {
            id: "egress-1".to_owned(),
            node_type: NodeType::Egress,
            tree_id: "tree-1".to_owned(),
            host: "10.0.0.7".to_owned(),
            port: 7073,
            media: [5002, 5004],
            created: 1_700_000_000_000,
        };
        let written: BTreeMap<String, String> =
            registration.fields("active").into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(written["id"], written["nodeId"]);
        assert_eq!(Place::of(&written), Ok(Some(Place { host: "10.0.0.7".to_owned(), ports: [5002, 5004] })));
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
