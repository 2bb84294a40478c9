//! What scripts, older injections and people write without index and count is followed as it always was.

use injection::store::Sessions;

use crate::common::{Server, config, only_heard};
use crate::crowd::{Crowd, begin, now};

#[tokio::test]
async fn hands_and_older_injections_are_heard() {
    let server = Server::start("").await;
    let config = config(&server);
    let store = Sessions::new(config.redis.clone(), "injection-2", "tree-1");
    begin(&store, "new").await;
    let crowd = Crowd::start(&config, 3, only_heard()).await;
    crowd.all_know("new", |known| known.len() == 1).await;

    // As an injection of the version before wrote it.
    let hash = "sessionId old roomId 7 audioSsrc 1111 videoSsrc 2222 recipients [] injectionNodeId injection-1 \
                treeId tree-1 active true createdAt 1 updatedAt 1";
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.hset_multiple("session:old", &pairs(hash)).sadd("sessions:active", "old");
    pipe.sadd("sessions:injection-1", "old");
    pipe.publish("sessions:tree:tree-1", r#"{"type":"session-created","sessionId":"old","treeId":"tree-1"}"#);
    pipe.query_async::<()>(&mut server.client().await).await.unwrap();
    crowd.all_know("old", |known| known.get("old") == Some(&2222)).await;

    // By hand, with nobody told.
    server.run("HSET session:typed audioSsrc 3333 videoSsrc 4444").await;
    server.run("SADD sessions:active typed").await;
    crowd.all_know("typed", |known| known.get("typed") == Some(&4444)).await;
    // Another tree's is nobody's business.
    server.run("HSET session:else audioSsrc 5 videoSsrc 6 treeId tree-2").await;
    server.run("SADD sessions:active else").await;
    // A hash that changes is noticed by an event that names it.
    server.run("HSET session:typed videoSsrc 4445").await;
    let event = r#"{"type":"session-created","sessionId":"typed","treeId":"tree-1"}"#;
    server.run(&format!("PUBLISH sessions:tree:tree-1 {event}")).await;
    crowd.all_know("its SSRC", |known| known.get("typed") == Some(&4445) && known.len() == 3).await;

    // Events that say everything go on between these.
    let more = begin(&store, "more").await;
    crowd.all_know("more", |known| known.len() == 4).await;
    server.run("SREM sessions:active old new").await;
    crowd.all_know("two ended by hand", |known| known.keys().eq(["more", "typed"])).await;
    store.end(&more, now()).await.unwrap();
    server.run("HSET session:typed active false").await;
    let event = r#"{"type":"session-destroyed","sessionId":"typed","treeId":"tree-1"}"#;
    server.run(&format!("PUBLISH sessions:tree:tree-1 {event}")).await;
    crowd.all_know("none", |known| known.is_empty()).await;

    // What an injection wrote, scripts find where it always was.
    let show = begin(&store, "show").await;
    assert_eq!(server.text("HGET session:show videoSsrc").await, Some(show.ssrcs.video.to_string()));
    for set in ["sessions:active", "sessions:injection-2"] {
        assert_eq!(server.number(&format!("SISMEMBER {set} show")).await, 1, "{set}");
    }
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
