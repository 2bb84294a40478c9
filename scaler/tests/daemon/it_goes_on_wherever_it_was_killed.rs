//! kill -9 of the scaler at every point of every kind of action: before a step, after it and before that is recorded, after that. The
//! one that comes next brings it to the same end.

use node::record::NodeType;
use scaler::action::Kind;

use super::stage::*;

/// Everything that is left of an action.
#[derive(Debug, PartialEq, Eq)]
struct End {
    machines: Vec<(String, bool)>,
    children: [Vec<String>; 2],
    egresses: Vec<String>,
    slots: Vec<String>,
    parents: Vec<String>,
    draining: bool,
}

async fn end(stage: &Stage) -> End {
    End {
        machines: stage.machines().await.into_iter().collect(),
        children: ["injection-1", "r1"].map(|node| stage.members(&format!("children:{node}"))),
        egresses: stage.members("nodes:tree-1:egress"),
        slots: stage.members("relay-slots:tree-1:available"),
        parents: ["r1", "e1", "e2"].map(|node| stage.say(&format!("GET parent:{node}"))).to_vec(),
        draining: ["e1", "e2"]
            .iter()
            .any(|node| stage.say(&format!("HGET node:{node} status")).contains("drain")),
    }
}

/// Carries it out by a scaler that dies at its n-th point, and another one. `None`: it did not come to that point.
async fn killed_at(kind: &Kind, point: Option<u64>) -> Option<End> {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n");
    match kind {
        Kind::Shrink { .. } | Kind::Clear { .. } => {
            let nodes = [
                ("r1", NodeType::Relay, "injection-1"),
                ("e1", NodeType::Egress, "r1"),
                ("e2", NodeType::Egress, "r1"),
            ];
            stage.have(&nodes).await;
        }
        _ => {}
    }
    stage.record(&action(kind.clone()));
    let point_text = point.map(|point| point.to_string()).unwrap_or_default();
    let mut first = stage.scaler("scaler-1", &[("SCALER_DIE_AT", &point_text)]);
    let mut died = false;
    stage
        .until("it has died, or is done", || {
            died = first.ended().is_some();
            died || !stage.is_running()
        })
        .await;
    if !died {
        if point.is_some() {
            return None;
        }
        return Some(end(&stage).await);
    }
    let _second = stage.scaler("scaler-2", &[]);
    stage.until("the next one has brought it to its end", || !stage.is_running()).await;
    Some(end(&stage).await)
}

async fn every_point(kind: Kind) {
    let wanted = killed_at(&kind, None).await.unwrap();
    let mut point = 1;
    while let Some(found) = killed_at(&kind, Some(point)).await {
        assert_eq!(found, wanted, "killed at its point {point}");
        point += 1;
    }
    // Two for each step that is taken, at least.
    assert!(point > 4, "there are but {point} points");
    eprintln!("the same end from each of {} points", point - 1);
}

#[tokio::test]
async fn in_the_middle_of_growing() {
    // Its egresses are made, and attached, about here.
    let kind = grow_cold();
    let (wanted, found) = tokio::join!(killed_at(&kind, None), killed_at(&kind, Some(9)));
    assert_eq!(found.unwrap(), wanted.unwrap());
}

#[tokio::test]
#[ignore = "a minute; cargo test -p scaler --test daemon -- at_every_point --ignored --nocapture"]
async fn at_every_point_of_growing() {
    every_point(grow_cold()).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_a_warm_slot() {
    every_point(slot(true)).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_shrinking() {
    every_point(Kind::Shrink { nodes: names(&["e1", "e2"]) }).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_clearing() {
    every_point(Kind::Clear { nodes: names(&["e1", "e2"]) }).await;
}
