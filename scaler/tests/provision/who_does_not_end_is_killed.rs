use super::*;

#[tokio::test]
async fn who_does_not_end_is_killed() {
    let place = Place::new();
    let script = "trap 'echo told >> $PLACE/told' TERM; (exec sleep 600) & echo $! >> $PLACE/child; while :; do wait; done";
    let backend = place.processes(script, "end-within = 1.5");
    backend.make(&egress("egress-9"), true).await.unwrap();
    let child = place.wait_said("child", 1).await.remove(0);
    let trouble = backend.destroy("tree-1", "egress-9").await.unwrap_err();
    assert!(trouble.again && trouble.why.contains("is killed after 2 s"), "{trouble}");
    assert_eq!(running(&backend, "egress-9").await, Some(true));
    // Who is on the way out is not started again.
    assert!(backend.make(&egress("egress-9"), true).await.is_err_and(|trouble| trouble.again));
    destroyed(&backend, "egress-9").await;
    assert_eq!(place.said("told"), ["told"], "once, however often it was asked");
    until(|| async { (!Path::new(&format!("/proc/{child}/fd/0")).exists()).then_some(()) }).await;
}
