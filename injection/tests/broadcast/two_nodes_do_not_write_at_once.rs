use injection::session::{NewSession, decide};
use injection::store::Sessions;
use node::config::{RedisConfig, RedisServer};

use crate::common::Scene;

/// What was decided upon is not written if somebody else wrote meanwhile.
#[test]
fn test() {
    let scene = Scene::start("at-once");
    let redis = RedisConfig {
        server: RedisServer::Single { host: "127.0.0.1".to_owned(), port: 6379 },
        user: None,
        password: None,
        database: 0,
        tls: false,
        tls_ca: None,
    };
    let [one, two] = ["i-1", "i-2"].map(|node| Sessions::new(redis.clone(), node, "tree-1"));
    let session = |id: &str, ssrc: u32| {
        let (id, ssrc) = (Some(id.to_owned()), Some(u64::from(ssrc)));
        decide(NewSession { session_id: id, audio_ssrc: ssrc, ..NewSession::default() }, &[], rand::random, 0)
            .unwrap()
    };
    let race = async {
        let (seen_by_one, seen_by_two) = (one.see().await.unwrap(), two.see().await.unwrap());
        assert!(one.add(seen_by_one, &session("a", 7)).await.unwrap());
        assert!(!two.add(seen_by_two, &session("b", 7)).await.unwrap(), "SSRC 7 twice");
        let seen = two.see().await.unwrap();
        assert_eq!((seen.taken.len(), seen.taken[0].ssrcs[0].0), (1, 7));
        assert!(two.add(seen, &session("b", 8)).await.unwrap());
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    scene.lab.in_namespace("node", || runtime().block_on(race)).unwrap();
    assert_eq!(scene.redis.members("sessions:active").unwrap(), ["a", "b"]);
}
