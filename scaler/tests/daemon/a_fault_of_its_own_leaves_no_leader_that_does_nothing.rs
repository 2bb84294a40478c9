use super::stage::*;

#[tokio::test]
async fn another_leads_when_one_has_failed() {
    let stage = Stage::set(&[]).await;
    stage.policy("dry-run = true\n[pace]\nlook = 0.2\n");
    let first = stage.scaler("scaler-1", &[("SCALER_FAIL_AT", "3")]);
    stage.until("it has failed", || first.log().contains("the scaler itself failed")).await;
    let second = stage.scaler("scaler-2", &[]);
    stage.until("another leads", || second.tree()["leads"] == true).await;
    stage.until("the first says why", || first.get("/readyz").to_string().contains("itself failed")).await;
}
