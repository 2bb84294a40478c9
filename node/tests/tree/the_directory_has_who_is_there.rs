//! Every node is in its tree's directory while it runs, as it is, and in no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use node::directory::{Entry, Particulars, read};
use node::record::{NodeType, Registration};
use node::tree::Tree;

use crate::common::*;

async fn directory(server: &Server) -> BTreeMap<String, Entry> {
    let mut fields = BTreeMap::new();
    for id in ["egress-1", "relay-1"] {
        let text = server.text(&format!("HGET directory:tree-1 {id}")).await;
        fields.extend(text.map(|text| (id.to_owned(), text)));
    }
    read(fields)
}

#[tokio::test]
async fn the_directory_has_who_is_there() {
    let server = Server::start("").await;
    server.run("SET parent:egress-1 relay-1").await;
    let node = Arc::new(Recorder::default());
    let egress = Registration {
        id: "egress-1".to_owned(),
        node_type: NodeType::Egress,
        zone: "eu".to_owned(),
        public_url: Some("https://media.example.com/e1".to_owned()),
        ..registration()
    };
    let trees = [
        Tree::start(config(&server), registration(), Arc::new(Recorder::default())),
        Tree::start(config(&server), egress, node.clone()),
    ];
    for tree in &trees {
        settled(tree).await;
    }
    let found = directory(&server).await;
    assert_eq!(found["relay-1"].url, "http://127.0.0.1:7071");
    let wanted = Entry {
        node_type: NodeType::Egress,
        url: "https://media.example.com/e1".to_owned(),
        zone: "eu".to_owned(),
        status: "active".to_owned(),
        parent: Some("relay-1".to_owned()),
        particulars: Particulars::default(),
    };
    assert_eq!(found["egress-1"], wanted);
    // What changes is there soon, without anybody asking.
    *node.particulars.lock().unwrap() = Particulars { viewers: 7, draining: true, ..Particulars::default() };
    let began = Instant::now();
    while directory(&server).await["egress-1"].particulars.viewers != 7 {
        assert!(began.elapsed() < LONG, "{:?}", directory(&server).await);
        tokio::time::sleep(ms(20)).await;
    }
    // A parent names those whom it has just begun to send to.
    server.run("SADD children:relay-1 egress-1").await;
    let began = Instant::now();
    while directory(&server).await["relay-1"].particulars.new_children != ["egress-1"] {
        assert!(began.elapsed() < LONG, "{:?}", directory(&server).await);
        tokio::time::sleep(ms(20)).await;
    }
    for tree in &trees {
        tree.stop().await;
    }
    assert_eq!(server.number("EXISTS directory:tree-1").await, 0);
}
