//! An egress that comes back while what it left is swept, after whichever step, has all its mountpoints; of one that does not
//! nothing is left.

use std::time::{SystemTime, UNIX_EPOCH};

use egress::records::{Record, Records, bring};
use lab::{Redis, RedisConfig};
use node::commands::Commands;
use node::sweep::carry::{Terms, carry};
use node::sweep::work::{Leftover, Outcome, Work};
use redis::aio::MultiplexedConnection;

use crate::common::lab;

/// What was written before this many ms is old.
const LATELY: i64 = 60_000;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Goes so many steps, or to the end.
async fn go(commands: &mut MultiplexedConnection, work: &mut Work, steps: usize) {
    let terms = Terms { tree: "tree-1".to_owned(), fence: 7, lately: LATELY as u64 };
    for _ in 0..steps {
        let Some(step) = work.next() else { return };
        let answer = carry(commands, &terms, &work.leftover, step, now()).await.unwrap();
        work.answered(answer);
    }
}

/// Whether the mountpoint is in both sets and has a hash that says so.
async fn places(commands: &mut MultiplexedConnection) -> (bool, bool, Option<String>) {
    let mut pipe = redis::pipe();
    pipe.sismember("mountpoints:egress-1", "show").sismember("mountpoints:active", "egress-1:show");
    pipe.hget("mountpoint:egress-1:show", "active");
    pipe.query_async(commands).await.unwrap()
}

async fn all_points() {
    let client = redis::Client::open("redis://127.0.0.1:6379/").unwrap();
    let mut commands = client.get_multiplexed_async_connection().await.unwrap();
    let config = node::config::RedisConfig::single("127.0.0.1", 6379);
    let store = Commands::new(config);
    let fields = vec![("sessionId", "show".to_owned()), ("egressNodeId", "egress-1".to_owned())];
    let record = Record { session: "show".to_owned(), fields, active: true };
    let wanted = Records::from([("show".to_owned(), record)]);
    let leftover = Leftover::Mountpoint { egress: "egress-1".to_owned(), session: "show".to_owned() };
    let (mut back, mut swept) = (0, 0);
    for point in 0.. {
        let mut pipe = redis::pipe();
        pipe.cmd("FLUSHALL").ignore();
        pipe.query_async::<()>(&mut commands).await.unwrap();
        bring(&store, "egress-1", None, &wanted).await.unwrap();
        let mut pipe = redis::pipe();
        pipe.pexpire("mountpoint:egress-1:show", 86_400_000 - 2 * LATELY).ignore();
        pipe.query_async::<()>(&mut commands).await.unwrap();

        let mut work = Work::new(leftover.clone());
        go(&mut commands, &mut work, point).await;
        if work.outcome() == Some(Outcome::Swept) {
            assert_eq!(places(&mut commands).await, (false, false, Some("false".to_owned())));
            swept += 1;
            break;
        }
        // It registers, and then writes what it has.
        let mut pipe = redis::pipe();
        pipe.hset("node:egress-1", "host", "10.0.0.1").ignore();
        pipe.query_async::<()>(&mut commands).await.unwrap();
        bring(&store, "egress-1", None, &wanted).await.unwrap();
        go(&mut commands, &mut work, usize::MAX).await;
        assert_eq!(work.outcome(), Some(Outcome::Kept), "back after {point} steps");
        assert_eq!(places(&mut commands).await, (true, true, Some("true".to_owned())), "after {point} steps");
        back += 1;
    }
    assert_eq!((back, swept), (6, 1));
}

#[test]
fn a_mountpoint_that_is_back_is_not_swept() {
    let lab = lab();
    let _redis = Redis::start(&lab, "eg", RedisConfig::default()).unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    lab.in_namespace("eg", || runtime().block_on(all_points())).unwrap();
}
