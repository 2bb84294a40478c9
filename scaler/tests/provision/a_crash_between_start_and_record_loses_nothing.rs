use super::*;

/// The scaler was killed when it had started the process and had not yet written which it is.
#[tokio::test]
async fn a_crash_between_start_and_record_loses_nothing() {
    let place = Place::new();
    let backend = place.processes("echo $$ >> $PLACE/began; sleep 600 & wait", "");
    backend.make(&egress("egress-9"), true).await.unwrap();
    let pid = place.wait_said("began", 1).await.remove(0);
    let file = place.path().join("state/tree-1/egress-9.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(record["process"]["pid"].to_string(), pid);
    record["process"] = serde_json::Value::Null;
    std::fs::write(&file, record.to_string()).unwrap();

    assert_eq!(running(&backend, "egress-9").await, Some(true));
    backend.make(&egress("egress-9"), true).await.unwrap();
    assert_eq!(place.said("began").len(), 1);
    destroyed(&backend, "egress-9").await;
    assert!(!Path::new(&format!("/proc/{pid}/fd")).join("0").exists());
}
