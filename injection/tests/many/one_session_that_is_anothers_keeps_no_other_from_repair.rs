//! A server that lost its data has its sessions again, but for those that another injection has made meanwhile.

use injection::store::Sessions;

use crate::common::{Server, config};
use crate::crowd::{begin, now};

#[tokio::test]
async fn one_session_that_is_anothers_keeps_no_other_from_repair() {
    let server = Server::start("").await;
    let store = Sessions::new(config(&server).redis, "injection-2", "tree-1");
    let mut ours = Vec::new();
    for id in ["first", "second", "third"] {
        ours.push(begin(&store, id).await);
    }
    server.run("FLUSHALL").await;
    // By number and by name.
    let audio = ours[0].ssrcs.audio;
    let other = Sessions::new(config(&server).redis, "injection-1", "tree-1");
    begin(&other, "second").await;
    let thief = injection::session::Session { id: "thief".to_owned(), ..ours[0].clone() };
    assert!(other.add(&thief, now()).await.unwrap().is_none());

    let why = store.mend(&ours, now()).await.unwrap_err();
    assert!(why.contains("second is another injection's") && why.contains("thief has its SSRC"), "{why}");
    for (session, there) in [("first", 0), ("second", 1), ("third", 1), ("thief", 1)] {
        assert_eq!(server.number(&format!("SISMEMBER sessions:active {session}")).await, there, "{session}");
    }
    assert_eq!(server.text("HGET session:second injectionNodeId").await.as_deref(), Some("injection-1"));
    assert_eq!(server.text("HGET session:thief audioSsrc").await, Some(audio.to_string()));
}
