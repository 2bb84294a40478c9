//! Two nodes with one NODE_ID would take turns in its registration: the second is refused, and both say so.

use std::sync::Arc;

use node::record::Registration;
use node::tree::{Timing, Tree};

use crate::common::*;

fn elsewhere() -> Registration {
    Registration { host: "10.0.0.99".to_owned(), ..registration() }
}

fn started(server: &Server, registration: Registration) -> Tree {
    Tree::start_with(config(server), registration, Arc::new(Recorder::default()), Timing::default())
}

#[tokio::test]
async fn a_second_node_of_one_name_is_refused() {
    let server = Server::start("").await;
    let first = started(&server, registration());
    settled(&first).await;
    let host = async || format!("{:?}", server.run("HGET node:relay-1 host").await);
    let before = host().await;

    let second = started(&server, elsewhere());
    let took = seen(&second, "refused", |view| view.redis.taken.is_some()).await;
    println!("refused after {took:?}");
    let view = second.view().borrow().clone();
    let said = view.redis.taken.unwrap();
    assert!(said.contains("relay-1 is taken") && said.contains(&registration().host), "{said}");
    assert!(!view.redis.registered && !view.redis.named && view.redis.problem == Some(said));
    let took = seen(&first, "the first knows", |view| view.redis.rival.is_some()).await;
    println!("the other knows after {took:?}");
    let view = first.view().borrow().clone();
    assert!(view.redis.rival.unwrap().contains("10.0.0.99:5002:5004"));
    assert!(view.redis.registered && view.redis.problem.is_none() && view.redis.taken.is_none());
    assert_eq!(host().await, before, "the tree sends media where it did");

    // It stops without taking the other's registration with it.
    second.stop().await;
    assert_eq!(host().await, before);
    // The first stops: the name is free at once.
    let second = started(&server, elsewhere());
    seen(&second, "refused", |view| view.redis.taken.is_some()).await;
    first.stop().await;
    settled(&second).await;
    assert_eq!(second.view().borrow().redis.taken, None);
    assert_ne!(host().await, before);
    second.stop().await;
}

#[tokio::test]
async fn a_node_that_starts_again_has_its_name_at_once() {
    let server = Server::start("").await;
    // Its predecessor was killed a moment ago, at the same place.
    let own = registration();
    let [audio, video] = own.media;
    server.run(&format!("HSET node:relay-1 host {} audioPort {audio} videoPort {video}", own.host)).await;
    server.run("EXPIRE node:relay-1 60").await;
    server.run("HSET node:instance:relay-1 instance before").await;
    let tree = started(&server, own);
    settled(&tree).await;
    assert_eq!(
        (tree.view().borrow().redis.taken.clone(), tree.view().borrow().redis.rival.clone()),
        (None, None)
    );
    let instance = format!("{:?}", server.run("HGET node:instance:relay-1 instance").await);
    assert!(!instance.contains("before"), "{instance}");
    tree.stop().await;
}
