use super::*;

/// With a `tokio` of its own each time, as each scaler has.
#[test]
fn nodes_outlive_the_scaler() {
    let place = Place::new();
    // It is not told by a closed pipe that the scaler has gone, and may say something afterwards.
    let script = "trap 'echo end >> $PLACE/ended; exit' TERM; while :; do sleep 0.05; echo I live; done";
    let scaler = |work: fn(Backend) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let backend = place.processes(script, "");
        runtime.block_on(work(backend));
        runtime.shutdown_background();
    };
    scaler(|backend| Box::pin(async move { backend.make(&egress("egress-9"), true).await.unwrap() }));
    scaler(|backend| {
        Box::pin(async move {
            assert_eq!(running(&backend, "egress-9").await, Some(true));
            // It is left as it is.
            backend.make(&egress("egress-9"), true).await.unwrap();
            destroyed(&backend, "egress-9").await;
        })
    });
    assert_eq!(place.said("ended"), ["end"]);
}
