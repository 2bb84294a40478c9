use super::*;

#[tokio::test]
async fn nodes_that_end_at_once_say_why() {
    let place = Place::new();
    for (name, script, again) in [
        ("egress-1", "echo first; echo MAX_VIEWERS is many, and not a number >&2; exit 64", false),
        ("egress-2", "echo first; echo port 7073 is in use; exit 1", true),
    ] {
        let backend = place.processes(script, "");
        let trouble = backend.make(&egress(name), true).await.unwrap_err();
        let last = if again { "port 7073 is in use" } else { "MAX_VIEWERS is many, and not a number" };
        assert!(trouble.why.ends_with(last) && trouble.why.starts_with(name), "{trouble}");
        assert_eq!(trouble.again, again, "{trouble}");
        // It is there all the same, until it is taken away.
        assert_eq!(running(&backend, name).await, Some(false));
        destroyed(&backend, name).await;
    }
    let backend = Backend::read(&format!(
        "backend = 'process'\n[process]\nstate = '{}'\n[process.egress]\ncommand = ['/no/such/egress']\n",
        place.path().display()
    ));
    let trouble = backend.unwrap().make(&egress("egress-3"), true).await.unwrap_err();
    assert!(!trouble.again && trouble.why.contains("/no/such/egress: No such file"), "{trouble}");
}
