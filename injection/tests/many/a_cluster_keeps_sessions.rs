//! Sessions in a Redis Cluster: made, refused, ended and mended as with one server, and all nodes are told.

use injection::store::Sessions;

use crate::common::cluster::Cluster;
use crate::common::only_heard;
use crate::crowd::{Crowd, begin, now, session};

#[tokio::test]
async fn a_cluster_keeps_sessions() {
    let cluster = Cluster::start().await;
    let config = cluster.config();
    let [one, two] = ["i-1", "i-2"].map(|node| Sessions::new(config.redis.clone(), node, "tree-1"));
    let crowd = Crowd::start(&config, 3, only_heard()).await;
    let mut show = begin(&one, "show").await;
    crowd.all_know("show", |known| known.contains_key("show")).await;
    for id in ["a", "b", "c"] {
        begin(&two, id).await;
    }
    crowd.all_know("four", |known| known.len() == 4).await;
    // What one was let have, another is not.
    let other = two.add(&session("show"), now()).await.unwrap().expect("the name twice");
    assert_eq!(other.id, "show");
    let mut same = session("other");
    same.ssrcs = show.ssrcs;
    assert_eq!(two.add(&same, now()).await.unwrap().expect("SSRCs twice").id, "show");

    show.codec = Some("h264".to_owned());
    one.encoded(&show, now()).await.unwrap();
    assert_eq!(cluster.type_in("HGET session:show videoCodec"), "h264");
    let [loaded] = &one.load().await.unwrap()[..] else { panic!("one session") };
    assert_eq!(loaded.1.as_ref().unwrap().codec.as_deref(), Some("h264"));
    assert_eq!(one.mend(&[show.clone()], now()).await.unwrap(), [""; 0]);
    cluster.type_in("SREM sessions:active show");
    crowd.all_know("the end by hand", |known| known.len() == 3).await;
    assert_eq!(one.mend(&[show.clone()], now()).await.unwrap(), ["show"]);
    crowd.all_know("it is back", |known| known.len() == 4).await;
    one.end(&show, now()).await.unwrap();
    crowd.all_know("the end", |known| !known.contains_key("show")).await;
    assert_eq!(cluster.type_in("SISMEMBER sessions:index:{tree-1} show"), "0");
}
