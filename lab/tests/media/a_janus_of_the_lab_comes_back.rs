//! A Janus of the lab answers as soon as it is started, in each role, and again after a kill -9.

use std::time::{Duration, Instant};

use lab::janus::{JanusConfig, Role};
use lab::{Janus, Lab};

#[test]
fn in_both_roles() {
    let lab = Lab::new("t-janus-").unwrap();
    for (role, ns, address) in
        [(Role::VideoRoom, "room", "10.77.9.1"), (Role::Streaming, "stream", "10.77.9.2")]
    {
        lab.add_namespace(ns).unwrap();
        // Something that is not loopback, or there is no ICE.
        lab.run(ns, &["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far"]).unwrap();
        lab.set_link(ns, "far", true).unwrap();
        lab.address(ns, "eth0", &format!("{address}/24")).unwrap();
        lab.set_link(ns, "eth0", true).unwrap();
        let config = JanusConfig {
            ns: ns.to_owned(),
            address: address.parse().unwrap(),
            role,
            api_secret: "a".to_owned(),
            admin_key: "b".to_owned(),
            mapped: None,
        };
        let mut janus = Janus::start(&lab, config).unwrap();
        let log = janus.process().log();
        assert!(log.contains(&format!("JANUS {role:?} plugin initialized!")), "{log}");
        assert!(janus.restart().is_err(), "one that runs was restarted");
        janus.kill9().unwrap();
        let began = Instant::now();
        janus.restart().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        println!("{role:?}: back after {:?}", began.elapsed());
    }
}
