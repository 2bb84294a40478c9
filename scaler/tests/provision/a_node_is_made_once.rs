use super::*;

/// Two scalers, or one that is not sure, ask for the same node at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_made_once() {
    let place = Place::new();
    let script = "echo $$ >> $PLACE/began; exec sleep 600";
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let backend = place.processes(script, "");
            tokio::spawn(async move { backend.make(&egress("egress-9"), true).await })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    let backend = place.processes(script, "");
    backend.make(&egress("egress-9"), false).await.unwrap();
    assert_eq!(running(&backend, "egress-9").await, Some(true));
    destroyed(&backend, "egress-9").await;
    destroyed(&backend, "egress-9").await;
    assert_eq!(place.said("began").len(), 1);
    assert_eq!(running(&backend, "egress-9").await, None);
}
