//! A Redis that does not answer is told of every node, and nothing else is: media goes on. Nor is anything when it is back and has forgotten
//! who was there, since more than a minute has passed.

use std::time::{Duration, Instant};

use lab::Lab;
use lab::relay::Mode;

use super::alarms::Alarms;

const NODES: [&str; 4] = ["injection-1", "relay-1", "egress-1", "egress-2"];
/// A registration lives so long.
const REGISTRATION: Duration = Duration::from_secs(60);

#[test]
fn test() {
    let lab = Lab::new("t-hangs-").unwrap();
    let scene = Alarms::open(&lab, Mode::Tc);
    let since = Instant::now();
    scene.studio.redis.freeze().unwrap();
    let told = NODES.map(|node| scene.told("RedisAway", node, since)).into_iter().max().unwrap_or_default();
    scene.only(since, &NODES.map(|node| ("RedisAway", node)));
    scene.broadcast.goes_on(30);
    std::thread::sleep(REGISTRATION.saturating_sub(since.elapsed()));
    let mended = Instant::now();
    scene.studio.redis.thaw().unwrap();
    let over = NODES.map(|node| scene.over("RedisAway", node, mended)).into_iter().max().unwrap_or_default();
    scene.only(mended, &[]);
    scene.broadcast.goes_on(30);
    println!(
        "Redis hangs, RedisAway of all nodes: told after {:.1} s, told to be over after {:.1} s",
        told.as_secs_f64(),
        over.as_secs_f64()
    );
    scene.broadcast.end();
}
