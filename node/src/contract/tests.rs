//! docs/contract.md says what this file says: of every key, field, channel and event.

use super::{channel, field, key};
use crate::event::{Event, Payload};
use crate::media::Ssrc;

const CONTRACT: &str = include_str!("../../../docs/contract.md");

/// The part of the document below a heading, up to the next of the same rank.
fn section(heading: &str) -> &'static str {
    let rank = heading.split(' ').next().unwrap();
    let (_, below) = CONTRACT.split_once(&format!("\n{heading}\n")).expect(heading);
    below.split(&format!("\n{rank} ")).next().unwrap()
}

/// The names in code marks at the beginning of the rows of a section's table.
fn rows(heading: &str) -> Vec<&'static str> {
    let row = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name);
    section(heading).lines().filter_map(row).collect()
}

#[test]
fn the_document_has_exactly_these_fields() {
    assert_eq!(rows("### Registration"), field::node::ALL);
    assert_eq!(rows("### Sessions"), field::session::ALL);
    assert_eq!(rows("### Mountpoints"), field::mountpoint::ALL);
}

#[test]
fn the_document_has_exactly_these_keys() {
    let keys = [
        key::node("{id}"),
        key::instance("{id}"),
        key::directory("{treeId}"),
        key::children("{id}"),
        key::parent("{id}"),
        key::standby("{id}"),
        key::session("{sid}"),
        key::ACTIVE_SESSIONS.to_owned(),
        key::sessions("{injectionId}"),
        key::INDEXED_SESSIONS.to_owned(),
        key::session_index("treeId"),
        key::session_version("treeId"),
        key::session_claims("treeId"),
        key::mountpoint("{egressId}", "{sid}"),
        key::mountpoints("{egressId}"),
        key::ACTIVE_MOUNTPOINTS.to_owned(),
        key::sweeper_lease("treeId"),
        key::sweeper("KEY"),
        key::beside("KEY"),
        key::ACTIVE_TREES.to_owned(),
        key::scaled_egresses("{treeId}"),
        key::relay_slots("{treeId}"),
        key::scaler_leader("treeId"),
        key::scaler_fence("treeId"),
        key::scaler_actions("treeId"),
        key::scaler_running("treeId"),
        key::scaler_proposed("treeId"),
        key::scaler_approvals("treeId"),
        key::scaler_memory("treeId"),
        key::scaler_settings("treeId"),
    ];
    assert_eq!(rows("### Keys"), keys);
    let member = key::active_mountpoint("{egressId}", "{sid}");
    assert!(section("### Keys").contains(&format!("`{member}`")), "{member}");
}

#[test]
fn the_document_has_exactly_these_channels() {
    let channels = [
        channel::topology("{nodeId}"),
        channel::topology("{treeId}"),
        channel::tree_sessions("{treeId}"),
        channel::node_sessions("{injectionId}"),
    ];
    assert_eq!(rows("### Channels"), channels);
}

#[test]
fn the_document_has_exactly_these_events() {
    let (node_id, child_id) = ("relay-1".to_owned(), "egress-2".to_owned());
    let child_ids = vec![child_id.clone(), "egress-3".to_owned()];
    let parent_id = "relay-2".to_owned();
    let (session_id, tree_id) = ("show".to_owned(), "tree-1".to_owned());
    let events = [
        Event::ChildAdded { node_id: node_id.clone(), child_id: child_id.clone() },
        Event::ChildRemoved { node_id: node_id.clone(), child_id },
        Event::ChildrenAdded { node_id: node_id.clone(), child_ids: child_ids.clone() },
        Event::ChildrenRemoved { node_id: node_id.clone(), child_ids },
        Event::ParentChanged { node_id: node_id.clone(), new_parent: Some("injection-1".to_owned()) },
        Event::StandbyAdded { node_id: node_id.clone(), parent_id: parent_id.clone() },
        Event::StandbyRemoved { node_id, parent_id },
        Event::TopologyReset,
        Event::SessionCreated {
            session_id: session_id.clone(),
            tree_id: tree_id.clone(),
            version: Some(1_700_000_000_123),
            after: Some(1_700_000_000_000),
            session: Some(Payload {
                audio_ssrc: Ssrc(1111),
                video_ssrc: Ssrc(2222),
                room_id: 1234,
                video_codec: Some("vp8".to_owned()),
            }),
        },
        Event::SessionDestroyed {
            session_id: session_id.clone(),
            tree_id: tree_id.clone(),
            version: Some(1_700_000_000_456),
            after: Some(1_700_000_000_123),
        },
        Event::SessionCreated {
            session_id: session_id.clone(),
            tree_id: tree_id.clone(),
            version: None,
            after: None,
            session: None,
        },
        Event::SessionDestroyed { session_id, tree_id, version: None, after: None },
    ];
    let examples = section("### Channels").lines().filter_map(|line| line.strip_prefix("    "));
    let examples: Vec<Event> = examples.map(|line| Event::parse(line.as_bytes()).expect(line)).collect();
    assert_eq!(examples, events);
}
