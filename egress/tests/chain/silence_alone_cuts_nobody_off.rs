//! Nothing comes: that the publisher pauses ends no mountpoint, however long it takes. Redis says when there is another reason.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{By, World, lab};

#[test]
fn silence_alone_cuts_nobody_off() {
    let lab = lab();
    // Whatever were taken for cut off would have no mountpoint at once.
    let world = World::start_by(&lab, By::Native, &[("CUT_OFF_GRACE", "0")]);
    world.attach();
    world.session("s1", 4001, [7777, 8888]);
    let sending = world.broadcast([7777, 8888]);
    world.until("viewers are told", || world.events("s1").next().unwrap().1["active"] == json!(true));
    let mut events = world.events("s1");
    assert_eq!(events.next().unwrap().0, "state");
    for process in &sending {
        process.signal(Signal::SIGSTOP).unwrap();
    }
    let (told, data) = events.next().unwrap();
    assert_eq!((told.as_str(), data.get("cutOff")), ("stalled", None));
    let asked = || world.egress.log().matches("nothing comes from relay-1").count();
    world.until("Redis is asked why", || asked() >= 2);
    assert_eq!(world.get("/mountpoints")["count"], json!(1));
    assert_eq!(world.get("/status")["problems"], json!([]));

    let problem = |wanted: &str| world.get("/status")["problems"].to_string().contains(wanted);
    let redis = |command: &str| world.redis.cli(&command.split(' ').collect::<Vec<_>>()).unwrap();
    // Another egress has it, and lives.
    redis("HSET mountpoint:egress-2:s1 active true");
    redis("SADD mountpoints:active egress-2:s1");
    redis("HSET node:instance:egress-2 instance it");
    world.until("passed by", || {
        // It says so itself, again and again: whoever has not been heard of for six seconds is doubtful.
        redis("PEXPIRE node:instance:egress-2 60000");
        problem("other egresses have media")
    });
    assert_eq!(events.next().unwrap().1["cutOff"], json!(true));
    assert_eq!(world.get("/mountpoints")["count"], json!(1), "what others see ends nothing");
    redis("DEL node:instance:egress-2");
    world.until("nobody has it", || world.get("/status")["problems"] == json!([]));

    // The relay does not send here any more.
    redis("SREM children:relay-1 egress-1");
    world.until("not its child", || problem("SADD children:relay-1 egress-1"));
    world.until("released", || world.get("/mountpoints")["count"] == json!(0));
    redis("SADD children:relay-1 egress-1");
    world.until("its child again", || world.get("/mountpoints")["count"] == json!(1));

    // There is no relay any more; it comes back, and with it what it sends.
    redis("DEL node:relay-1");
    world.until("gone", || problem("is not registered any more"));
    world.until("released again", || world.get("/mountpoints")["count"] == json!(0));
    for process in &sending {
        process.signal(Signal::SIGCONT).unwrap();
    }
    world.until("media comes", || world.get("/mountpoint/s1")["active"] == json!(true));
    assert_eq!(world.get("/status")["problems"], json!([]), "media beats what Redis says");
}
