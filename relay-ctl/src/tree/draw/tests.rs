use node::overview::view::LeftOut;

use super::*;
use crate::tree::samples::tree;

const PLAIN: Paint = Paint(false);

#[test]
fn nodes_are_drawn_below_their_parents() {
    let drawn = overview(&tree(), PLAIN);
    let wanted = "\
tree-1: healthy · 5 nodes · 1 session · 12 viewers

i            injection  ok
└─ r1        relay      ok                         2040/s   1.5 Mbit/s  no loss
   ├─ e1     egress     ok                12/300     2040/s   1.5 Mbit/s  no loss
   └─ r2     relay      ok                         2040/s   1.5 Mbit/s  no loss
      └─ e2  egress     ok                         2040/s   1.5 Mbit/s  no loss";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&drawn), squeezed(wanted), "{drawn}");
    let starts: Vec<&str> = drawn.lines().skip(2).filter_map(|line| line.split("  relay").next()).collect();
    assert!(starts[0].starts_with("i  ") && starts[3].starts_with("   └─ r2"), "{drawn}");
    assert!(drawn.lines().all(|line| line == line.trim_end()), "{drawn}");
}

#[test]
fn branches_go_on_as_long_as_there_is_somebody_on_them() {
    use crate::tree::samples::node;
    let rows = [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (2, "e"), (1, "f"), (0, "g"), (1, "h")];
    let nodes: Vec<NodeView> =
        rows.iter().map(|(depth, id)| node(NodeType::Relay, id, None, *depth)).collect();
    let drawn: Vec<String> =
        branches(&nodes).iter().zip(rows).map(|(branch, (_, id))| format!("{branch}{id}")).collect();
    assert_eq!(drawn, ["a", "├─ b", "│  ├─ c", "│  │  └─ d", "│  └─ e", "└─ f", "g", "└─ h"]);
}

#[test]
fn what_is_wrong_is_said_where_it_is_and_above() {
    let mut tree = tree();
    tree.healthy = false;
    tree.problems = vec!["r1 to e1: \x1b[2Jnothing\nproblem of its own".to_owned()];
    tree.notes = vec!["e2: it is full".to_owned()];
    tree.nodes[4].state = State::CutOff;
    tree.edges[1].state = EdgeState::Silent;
    tree.edges[2].loss = Some(0.000_02);
    tree.left_out = LeftOut { nodes: 3, sessions: 0 };
    tree.edges[3].loss_before_repair = Some(0.012);
    let drawn = overview(&tree, PLAIN);
    assert!(drawn.starts_with("tree-1: NOT healthy · 8 nodes"), "{drawn}");
    assert!(!drawn.contains('\x1b'), "a name steers the terminal: {drawn:?}");
    assert_eq!(drawn.lines().filter(|line| line.starts_with("problem")).count(), 1, "{drawn}");
    let line = |id: &str| drawn.lines().find(|line| line.contains(&format!("─ {id} "))).unwrap().to_owned();
    assert!(line("e1").ends_with("nothing comes"), "{drawn}");
    assert!(line("e2").contains("cut off"), "{drawn}");
    assert!(line("r2").ends_with("< 0.01 % lost"), "what is lost is not nothing: {drawn}");
    let repaired = drawn.lines().filter(|line| line.ends_with("no loss, 1.20 % repaired"));
    assert_eq!(repaired.count(), 1, "{drawn}");
    assert!(drawn.ends_with("… and 3 nodes not shown"), "{drawn}");
}

#[test]
fn colours_are_for_terminals() {
    assert!(overview(&tree(), Paint(true)).contains("\x1b[32mhealthy\x1b[0m"));
    let plain: String =
        overview(&tree(), Paint(true)).split('\x1b').enumerate().fold(String::new(), |all, (at, part)| {
            all + if at == 0 { part } else { part.split_once('m').unwrap().1 }
        });
    let plain: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(plain, overview(&tree(), PLAIN).lines().collect::<Vec<_>>(), "columns do not move");
}

#[test]
fn sessions_have_a_state_in_words() {
    let mut tree = tree();
    let first = tree.sessions[0].clone();
    tree.sessions.push(SessionView {
        session_id: "a-longer-name".to_owned(),
        live: Some(false),
        egresses: None,
        ..first.clone()
    });
    tree.sessions.push(SessionView { video_codec: None, live: None, ..first.clone() });
    tree.sessions.push(SessionView { orphan: true, ..first });
    let drawn = sessions(&tree, PLAIN);
    let rows: Vec<Vec<&str>> = drawn
        .lines()
        .skip(1)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["show", "live", "i", "2"]);
    assert_eq!(rows[1], ["a-longer-name", "paused", "i", "-"]);
    assert_eq!((rows[2][1], rows[3][1]), ("not started", "injection gone"));
}

#[test]
fn who_stands_by_is_behind_the_node() {
    let mut tree = tree();
    tree.nodes[2].standby = vec!["r2".to_owned()];
    let last =
        |tree: &Overview| overview(tree, PLAIN).lines().find(|line| line.contains("e1")).unwrap().to_owned();
    assert!(last(&tree).ends_with("no loss  standby r2"), "{}", last(&tree));
}
