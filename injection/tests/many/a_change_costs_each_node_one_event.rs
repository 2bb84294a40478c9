//! However many sessions there are, and however many nodes: a change is some commands of the injection's and one message to
//! each node. No node reads anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use injection::store::Sessions;
use node::tree::Timing;

use crate::common::{Server, config, only_heard};
use crate::crowd::{Crowd, Work, begin, many_files, now, own_cpu};

struct Size {
    nodes: usize,
    sessions: usize,
    changes: usize,
    idle: Duration,
    timing: Timing,
}

struct Measured {
    /// All commands of all changes, each of which is a session that begins and one that ends.
    commands: BTreeMap<String, u64>,
}

async fn measure(size: Size) -> Measured {
    many_files();
    let server = Server::start("maxclients 4000").await;
    let config = config(&server);
    let store = Sessions::new(config.redis.clone(), "injection-1", "tree-1");
    let mut own = Vec::new();
    for number in 0..size.sessions {
        own.push(begin(&store, &format!("s{number:04}")).await);
    }
    own.sort_by(|a, b| a.id.cmp(&b.id));
    println!("{} sessions are there", own.len());
    let started = Instant::now();
    let crowd = Crowd::start(&config, size.nodes, size.timing).await;
    crowd.all_know("all sessions", |known| known.len() == size.sessions).await;
    println!(
        "{} nodes have {} sessions {:?} after their start",
        size.nodes,
        size.sessions,
        started.elapsed()
    );

    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut work = Work::begin(&server).await;
    let (cpu, began) = (own_cpu(), Instant::now());
    tokio::time::sleep(size.idle).await;
    let (idle, seconds) = (work.commands().await, began.elapsed().as_secs_f64());
    let own_idle = (own_cpu() - cpu) / seconds;
    let redis_idle = work.cpu().await / seconds;
    println!(
        "idle: {:.0} commands/s at Redis ({}), {:.2} % CPU there, {:.2} % of all nodes together",
        idle.values().sum::<u64>() as f64 / seconds,
        shown(&idle, seconds),
        redis_idle * 100.0,
        own_idle * 100.0
    );

    work.again().await;
    let (cpu, began) = (own_cpu(), Instant::now());
    let mut took = Vec::new();
    for number in 0..size.changes {
        let id = format!("t{number}");
        let change = Instant::now();
        let session = begin(&store, &id).await;
        crowd.all_know(&id, |known| known.get(&id) == Some(&session.ssrcs.video.0)).await;
        took.push(change.elapsed());
        let change = Instant::now();
        store.end(&session, now()).await.unwrap();
        crowd.all_know("its end", |known| !known.contains_key(&id)).await;
        took.push(change.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    let (commands, count) = (work.commands().await, took.len() as f64);
    took.sort();
    println!(
        "a change: {} commands ({}); all know after p50 {:?}, p99 {:?}; CPU {:.2} ms at Redis, {:.1} µs a node",
        commands.values().sum::<u64>() as f64 / count,
        shown(&commands, count),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        (work.cpu().await - redis_idle * seconds) / count * 1e3,
        (own_cpu() - cpu - own_idle * seconds) / count / size.nodes as f64 * 1e6
    );

    work.again().await;
    assert_eq!(store.mend(&own, now()).await.unwrap(), [""; 0]);
    println!("an injection's check of its {} sessions: {}", own.len(), shown(&work.commands().await, 1.0));
    let looks: u64 = crowd.trees.iter().map(|tree| tree.view().borrow().redis.looks).sum();
    println!("looks at the topology since the start: {looks}");
    Measured { commands }
}

fn shown(commands: &BTreeMap<String, u64>, of: f64) -> String {
    let one = |(name, count): (&String, &u64)| format!("{name} {:.1}", *count as f64 / of);
    commands.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_change_costs_each_node_one_event() {
    // What nodes do by the clock is not what a change costs.
    let never = Duration::from_secs(3600);
    let timing = Timing { pulse: never, rewrite: never, ..only_heard() };
    let idle = Duration::from_millis(500);
    let measured = measure(Size { nodes: 20, sessions: 150, changes: 10, idle, timing }).await;
    for read in ["smembers", "hmget", "get", "hgetall"] {
        let count = measured.commands.get(read).copied().unwrap_or_default();
        // The scripts of 20 changes read the counter once each; the injection looks at the name before it makes a session.
        let (own, most) = match read {
            "get" => ("the scripts'", 20),
            "hgetall" => ("the injection's", 10),
            _ => ("nobody's", 0),
        };
        assert!(count <= most, "{read}: {count}, {own} are {most}");
    }
}

#[tokio::test]
#[ignore = "some minutes of numbers: cargo test --profile tests -p injection --test many -- --ignored --nocapture"]
async fn a_thousand_sessions_and_five_hundred_egresses() {
    // One process has the work of five hundred machines: it may take its time over an answer.
    let timing = Timing { answer: Duration::from_secs(20), ..Timing::default() };
    let idle = Duration::from_secs(60);
    measure(Size { nodes: 500, sessions: 1000, changes: 50, idle, timing }).await;
}
