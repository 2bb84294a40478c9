use super::*;

#[tokio::test]
async fn settings_of_the_scaler_are_not_the_nodes() {
    let place = Place::new();
    let backend = place
        .processes("env | cut -d= -f1 | sort > $PLACE/new; mv $PLACE/new $PLACE/env; exec sleep 600", "");
    let mut spec = egress("egress-9");
    spec.zone = "a".to_owned();
    // cargo sets a hundred variables of its own.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    backend.make(&spec, true).await.unwrap();
    let names = place.wait_said("env", 1).await;
    let known =
        ["HOME", "LANG", "NODE_ID", "PATH", "PLACE", "PWD", "TREE_ID", "TZ", "ZONE", "_", "OLDPWD", "SHLVL"];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
    for name in ["NODE_ID", "PATH", "PLACE", "TREE_ID", "ZONE"] {
        assert!(names.iter().any(|there| there == name), "{name} of {names:?}");
    }
    destroyed(&backend, "egress-9").await;
}
