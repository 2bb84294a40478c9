//! What is wanted of a tree: when more nodes are made, how many there may be, how a sub-tree is built. From a TOML file, or as JSON from Redis
//! (`scaler:settings:{tree}`, which has the last word); what is not said is as here.

mod check;

use serde::{Deserialize, Serialize};

/// Of one tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// When there are to be more egresses, or fewer.
    pub thresholds: Thresholds,
    /// How many.
    pub limits: Limits,
    /// How fast.
    pub pace: Pace,
    /// How the tree is built.
    pub template: Template,
    /// Nothing is done but what somebody approves (`scaler approve`).
    pub manual: bool,
    /// It is only said what would be done.
    pub dry_run: bool,
}

/// The monitoring document's, and its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Thresholds {
    /// Percent of the egresses' CPUs, 5 minutes' mean: more above this.
    pub cpu_out: f64,
    /// Fewer below this.
    pub cpu_in: f64,
    /// Percent of their memory.
    pub memory_out: f64,
    /// Fewer below this.
    pub memory_in: f64,
    /// Percent of the fullest port pool.
    pub port_pool_out: f64,
    /// Fewer below this.
    pub port_pool_in: f64,
    /// Packets a second that egresses' cards drop.
    pub drops_out: f64,
    /// Percent of all places that are taken.
    pub places_out: f64,
    /// Fewer below this, counted as if those that go were gone.
    pub places_in: f64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            cpu_out: 70.0,
            cpu_in: 20.0,
            memory_out: 80.0,
            memory_in: 30.0,
            port_pool_out: 85.0,
            port_pool_in: 30.0,
            drops_out: 100.0,
            places_out: 80.0,
            places_in: 40.0,
        }
    }
}

/// How many egresses, and places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Limits {
    /// Never fewer egresses than this.
    pub baseline: u32,
    /// Never more.
    pub maximum: u32,
    /// Places that are free at any time.
    pub ready_places: u32,
    /// Most egresses that are made at once.
    pub step_out: u32,
    /// Most that are taken away at once.
    pub step_in: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { baseline: 8, maximum: 100, ready_places: 500, step_out: 16, step_in: 4 }
    }
}

/// How soon after what, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Pace {
    /// Between two looks.
    pub look: f64,
    /// After more were made, until more are made for the same reason; nothing that is critical waits.
    pub out_rest: f64,
    /// After any change, until fewer are wanted.
    pub in_rest: f64,
    /// For how long fewer must have been enough.
    pub in_after: f64,
    /// Figures that are older than this are missing.
    pub stale: f64,
    /// How far ahead a trend is carried on: what it takes until a new egress serves.
    pub ahead: f64,
    /// For how long a node may take until it is healthy.
    pub healthy_within: f64,
    /// For how long a drain may take.
    pub drained_within: f64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            look: 2.0,
            out_rest: 30.0,
            in_rest: 300.0,
            in_after: 300.0,
            stale: 60.0,
            ahead: 60.0,
            healthy_within: 90.0,
            drained_within: 120.0,
        }
    }
}

/// How sub-trees are built: `subTreeStandard` of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Most children of a relay: it gets a sibling beyond.
    pub children: u32,
    /// Most packets a second that a relay sends, to all children together; 0: any.
    pub packets_per_second: u64,
    /// Most bits a second that a relay sends; 0: any.
    pub bits_per_second: u64,
    /// Levels of relays below an injection.
    pub depth: u32,
    /// Relays that run and have room, so that new egresses can be put under them at once.
    pub warm: u32,
    /// Relays that are made and do not run.
    pub cold: u32,
    /// Zones that nodes are spread over; none: the back end says.
    pub zones: Vec<String>,
}

impl Default for Template {
    fn default() -> Template {
        Template {
            name: "subTreeStandard".to_owned(),
            children: 16,
            packets_per_second: 0,
            bits_per_second: 0,
            depth: 1,
            warm: 1,
            cold: 2,
            zones: Vec::new(),
        }
    }
}
