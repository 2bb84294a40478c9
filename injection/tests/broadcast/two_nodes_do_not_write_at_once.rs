use injection::session::{NewSession, decide};
use injection::store::Sessions;
use node::config::RedisConfig;

use crate::common::Scene;

/// What one injection was let have, another is not, whether or not it knew.
#[test]
fn test() {
    let scene = Scene::start("at-once");
    let redis = RedisConfig::single("127.0.0.1", 6379);
    let [one, two] = ["i-1", "i-2"].map(|node| Sessions::new(redis.clone(), node, "tree-1"));
    let session = |id: &str, ssrc: u32| {
        let (id, ssrc) = (Some(id.to_owned()), Some(u64::from(ssrc)));
        decide(NewSession { session_id: id, audio_ssrc: ssrc, ..NewSession::default() }, &[], rand::random, 0)
            .unwrap()
    };
    let now = 1_700_000_000_000;
    let race = async {
        assert_eq!(one.add(&session("a", 7), now).await.unwrap(), None);
        let other = two.add(&session("b", 7), now).await.unwrap().expect("SSRC 7 twice");
        assert_eq!((other.id.as_str(), other.ssrcs[0].0), ("a", 7));
        let other = two.add(&session("a", 8), now).await.unwrap().expect("the name twice");
        assert_eq!(other.id, "a");
        assert_eq!(two.see("a").await.unwrap().unwrap().ssrcs[0].0, 7);
        assert_eq!(two.add(&session("b", 8), now).await.unwrap(), None);
        // What has ended is free again.
        one.end(&session("a", 7), now).await.unwrap();
        assert_eq!(one.see("a").await.unwrap(), None);
        assert_eq!(two.add(&session("c", 7), now).await.unwrap(), None);
        assert_eq!(two.add(&session("a", 9), now).await.unwrap(), None);
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    scene.lab.in_namespace("node", || runtime().block_on(race)).unwrap();
    for set in ["sessions:active", "sessions:index:{tree-1}", "sessions:indexed:{sessions:active}"] {
        assert_eq!(scene.redis.members(set).unwrap(), ["a", "b", "c"], "{set}");
    }
    let version = scene.redis.cli(&["GET", "sessions:version:{tree-1}"]).unwrap();
    assert_eq!(version, "1700000000004", "five changes, all in one millisecond");
}
