//! kill -9 of the scaler at every point of every kind of action: before a step, after it and before that is recorded, after that. The
//! one that comes next brings it to the same end.

use node::record::NodeType;
use scaler::action::Kind;
use scaler::provision::Provisioner;

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

/// What is carried out, and what there is before.
struct Scene {
    kind: Kind,
    /// The back end has the relay, which was never started.
    is_cold: bool,
    /// The relay never can do its job, so that all is undone.
    is_ill: bool,
}

impl Scene {
    fn of(kind: Kind) -> Scene {
        Scene { kind, is_cold: false, is_ill: false }
    }

    fn cold(kind: Kind) -> Scene {
        Scene { is_cold: true, ..Scene::of(kind) }
    }

    async fn set(&self) -> Stage {
        let ill = [("ILL", "r1")];
        let stage = Stage::set(if self.is_ill { &ill } else { &[] }).await;
        let within = if self.is_ill { 1.0 } else { 30.0 };
        stage.policy(&format!("dry-run = true\n[pace]\nhealthy-within = {within:.1}\n"));
        if self.is_cold {
            stage.backend.make(&spec("r1", NodeType::Relay, "injection-1"), false).await.unwrap();
        }
        let relay = ("r1", NodeType::Relay, "injection-1");
        let egresses = [("e1", NodeType::Egress, "r1"), ("e2", NodeType::Egress, "r1")];
        match self.kind {
            Kind::Shrink { .. } => stage.have(&[relay, egresses[0], egresses[1]]).await,
            Kind::Clear { .. } => {
                stage.have(&[relay]).await;
                stage.have_dead(&egresses).await;
            }
            _ => {}
        }
        stage
    }
}

/// Carries it out by a scaler that dies at its n-th point, and another one. `None`: it did not come to that point.
async fn killed_at(scene: &Scene, point: Option<u64>) -> Option<End> {
    let stage = scene.set().await;
    stage.record(&action(scene.kind.clone()));
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

/// Gives the end. `steps`: so many are taken at least, each with a point before and one behind it, besides the action's own end.
async fn every_point(scene: Scene, steps: u64) -> End {
    let wanted = killed_at(&scene, None).await.unwrap();
    let mut points = 0;
    while let Some(found) = killed_at(&scene, Some(points + 1)).await {
        points += 1;
        assert_eq!(found, wanted, "killed at its point {points}");
    }
    assert!(points > 2 * steps, "there are but {points} points");
    eprintln!("the same end from each of {points} points");
    wanted
}

#[tokio::test]
async fn in_the_middle_of_growing() {
    // Its egresses are made, and attached, about here.
    let scene = Scene::cold(grow_cold());
    let (wanted, found) = tokio::join!(killed_at(&scene, None), killed_at(&scene, Some(9)));
    assert_eq!(found.unwrap(), wanted.unwrap());
}

#[tokio::test]
#[ignore = "minutes; cargo test -p scaler --test daemon -- at_every_point --ignored --nocapture"]
async fn at_every_point_of_growing_below_a_new_relay() {
    every_point(Scene::of(grow_cold()), 6).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_growing_below_a_cold_slot() {
    let end = every_point(Scene::cold(grow_cold()), 6).await;
    assert_eq!(end.machines, ["e1", "e2", "r1"].map(|name| (name.to_owned(), true)));
    assert_eq!((&end.children[0], &end.slots), (&names(&["r1"]), &names(&["r1"])));
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_making_a_cold_slot() {
    let end = every_point(Scene::of(slot(false)), 1).await;
    assert_eq!(end.machines, [("r1".to_owned(), false)]);
    assert!(end.slots.is_empty());
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_a_new_warm_slot() {
    every_point(Scene::of(slot(true)), 3).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_warming_a_cold_slot() {
    let end = every_point(Scene::cold(slot(true)), 3).await;
    assert_eq!((end.machines, end.slots), (vec![("r1".to_owned(), true)], names(&["r1"])));
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_undoing_a_slot_that_was_cold() {
    let end = every_point(Scene { is_ill: true, ..Scene::cold(grow_cold()) }, 4).await;
    assert!(end.machines.is_empty() && end.children[0].is_empty() && end.slots.is_empty(), "{end:?}");
    assert_eq!(end.parents, names(&["", "", ""]));
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_shrinking() {
    every_point(Scene::of(Kind::Shrink { nodes: names(&["e1", "e2"]) }), 3).await;
}

#[tokio::test]
#[ignore = "see above"]
async fn at_every_point_of_clearing() {
    let end = every_point(Scene::of(Kind::Clear { nodes: names(&["e1", "e2"]) }), 2).await;
    assert_eq!(end.machines, [("r1".to_owned(), true)]);
    assert!(end.children[1].is_empty() && end.egresses.is_empty(), "{end:?}");
}
