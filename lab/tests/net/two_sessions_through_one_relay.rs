//! Two sessions, four SSRCs, one relay: each child gets all of them whole, and what the relay shows names the sessions
//! that Redis knows.

use std::collections::BTreeMap;

use crate::common::tree::Tree;
use crate::common::{QUIET, TIMEOUT, eventually, lab_for};
use lab::relay::{AUDIO, Mode, VIDEO};
use lab::{Flow, Source, SourceConfig, Topology};

const RATE: u64 = 4_000;
/// (session, audio, video)
const SESSIONS: [(&str, u32, u32); 2] = [("session-1", 1111, 2222), ("session-2", 3333, 4444)];

modes!(both_reach_both_children_and_are_told_apart);

/// As an injection node writes it.
fn create_session(tree: &Tree, (id, audio, video): (&str, u32, u32)) {
    let hash = format!(
        "HSET session:{id} sessionId {id} roomId 1 audioSsrc {audio} videoSsrc {video} recipients [] injectionNodeId \
         injection-1 treeId tree-1 active true createdAt 1700000000000 updatedAt 1700000000000"
    );
    tree.type_in(&hash);
    tree.type_in(&format!("SADD sessions:active {id}"));
    tree.type_in(&format!("SADD sessions:injection-1 {id}"));
    tree.type_in(&format!(
        r#"PUBLISH sessions:tree:tree-1 {{"type":"session-created","sessionId":"{id}","treeId":"tree-1"}}"#
    ));
}

fn both_reach_both_children_and_are_told_apart(mode: Mode) {
    let lab = lab_for("sessions", mode);
    let tree = Tree::grow(&lab, Topology::nic_per_child(&lab, 2).unwrap(), mode, 2);
    let bench = &tree.bench;
    // One session is there before its media, the other is announced while it flows.
    create_session(&tree, SESSIONS[0]);
    let sinks = [bench.sink(&[0]), bench.sink(&[1])];
    let relay = &bench.topology.relay;
    let flows = SESSIONS.iter().flat_map(|(_, audio, video)| {
        [Flow::audio(*audio, relay.v4(AUDIO)), Flow::video(*video, relay.v4(VIDEO))]
    });
    let config = SourceConfig::new(flows.collect(), RATE);
    let source = Source::start(&lab, "injection-1", config).unwrap();
    sinks.iter().for_each(|sink| bench.wait_packets(sink, 4, 200));
    create_session(&tree, SESSIONS[1]);

    let wanted: BTreeMap<u64, String> = SESSIONS
        .iter()
        .flat_map(|(id, audio, video)| [*audio, *video].map(|ssrc| (u64::from(ssrc), (*id).to_owned())))
        .collect();
    eventually("streams names the sessions", || {
        let streams = bench.cli().json("streams").unwrap();
        let named = streams["streams"].list().iter();
        let named: BTreeMap<u64, String> =
            named.map(|stream| (stream["ssrc"].number(), stream["session"].text().to_owned())).collect();
        named == wanted
    });
    let metrics = tree.get("/metrics").body;
    for (id, ..) in SESSIONS {
        let label = format!("session_id=\"{id}\"");
        let series = metrics.lines().filter(|line| line.contains(&label)).count();
        assert!(series >= 2, "{series} series with {label} in {metrics}");
    }

    let sent = source.stop();
    for (index, sink) in sinks.into_iter().enumerate() {
        assert!(sink.wait_quiet(QUIET, TIMEOUT));
        let flows = sink.stop();
        assert_eq!(flows.len(), 4, "egress-{}: {flows:#?}", index + 1);
        bench.assert_all_of(&format!("egress-{}", index + 1), &flows, &sent);
    }
}
