//! Redis is killed and comes back: who watches notices nothing, who comes is sent on by what was known, who asks for something else is
//! told to come again; and afterwards all is as it was.

use std::time::Duration;

use lab::relay::Mode;
use lab::studio::INJECTION_API;
use lab::{Lab, Studio};

use super::{are_unharmed, asked, broadcast, door, until, view, watch};

/// Longer than anything that was read is fresh.
const AWAY: Duration = Duration::from_secs(3);

#[test]
fn redis_crashes_and_returns() {
    let lab = Lab::new("t-away-").unwrap();
    let mut studio = Studio::open(&lab, Mode::Tc, 2, 2).unwrap();
    let publisher = broadcast(&studio);
    let doors = [door(studio.injection_address().unwrap())];
    let before = view(&studio, &doors, &[]);
    watch(&studio, &before, 2);

    studio.redis.kill9().unwrap();
    std::thread::sleep(AWAY);
    let during = view(&studio, &doors, &[]);
    watch(&studio, &during, 2);
    let ask = |query: &str| asked(&lab, "injection-1", INJECTION_API, query);
    let (status, told) = ask("other");
    assert_eq!(status, 503, "{told}");
    assert!(told["error"].as_str().unwrap().contains("at present"), "{told}");
    assert_eq!(asked(&lab, "egress-1", lab::studio::EGRESS_API, "show?not=egress-2").1["node"], "egress-1");
    let log = studio.injection.process().log();
    assert!(log.contains("viewers cannot be sent to an egress"), "it is in the log");

    studio.redis.restart().unwrap();
    let took = until("what there is not is not there", &studio, || ask("other").0 == 404);
    println!("the door knows again {took:?} after Redis is back");
    studio.create_session("other", [17777, 18888]).unwrap();
    until("a new session is found", &studio, || ask("other").0 == 200);
    // It forgets everything: where viewers are sent to is written again at once.
    studio.redis.cli(&["FLUSHALL"]).unwrap();
    // What operators wrote, they write again.
    studio.redis.cli(&["SADD", "children:injection-1", "relay-1"]).unwrap();
    studio.redis.cli(&["SET", "parent:relay-1", "injection-1"]).unwrap();
    studio.join(0).unwrap();
    studio.join(1).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let took = until("the door knows again", &studio, || ask("show").0 == 200);
    println!("the door knows again {:?} after Redis has lost everything", took + Duration::from_millis(1100));
    assert!(took < Duration::from_secs(15), "{took:?}");
    let after = view(&studio, &doors, &[]);
    watch(&studio, &after, 2);
    for viewers in [&before, &during, &after] {
        are_unharmed(viewers);
    }
    for viewers in [before, during, after] {
        viewers.stop().unwrap();
    }
    publisher.stop().unwrap();
}
