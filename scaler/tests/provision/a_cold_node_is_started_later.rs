use super::*;

#[tokio::test]
async fn a_cold_node_is_started_later() {
    let place = Place::new();
    let backend = place.processes("echo $NODE_ID >> $PLACE/began; exec sleep 600", "");
    backend.make(&egress("egress-9"), false).await.unwrap();
    let cold = backend.list("tree-1").await.unwrap().remove("egress-9").unwrap();
    assert!(!cold.running);
    assert_eq!(backend.list("tree-2").await.unwrap().len(), 0);
    backend.make(&egress("egress-9"), true).await.unwrap();
    assert_eq!(place.wait_said("began", 1).await, ["egress-9"]);
    let warm = backend.list("tree-1").await.unwrap().remove("egress-9").unwrap();
    assert!(warm.running && warm.created == cold.created);
    destroyed(&backend, "egress-9").await;

    backend.make(&egress("egress-10"), false).await.unwrap();
    destroyed(&backend, "egress-10").await;
    assert_eq!(backend.list("tree-1").await.unwrap().len(), 0);
}
