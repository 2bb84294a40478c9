use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::common::{Scene, rtmp, until, until_within};

/// HAProxy in front of RTMP says by the PROXY protocol whom it connects for: each encoder has places of its own, and what operators read
/// names it.
#[test]
fn test() {
    let settings = [rtmp::PORT, ("TRUSTED_PROXIES", "10.77.0.1"), ("PROXY_PROTOCOL", "on")];
    let scene = Scene::with("rtmp-proxy", &settings);
    let config = scene.lab.directory().join("haproxy.cfg");
    let text = "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n\
                listen rtmp\n bind 10.77.0.1:1936\n server injection 10.77.0.1:1935 send-proxy-v2\n";
    std::fs::write(&config, text).unwrap();
    let mut haproxy = Command::new("haproxy");
    haproxy.arg("-f").arg(&config);
    let haproxy = scene.lab.spawn("node", haproxy).unwrap();
    let listens = || TcpStream::connect("10.77.0.1:1936").is_ok();
    until("HAProxy listens", || scene.lab.in_namespace("far", listens).unwrap());
    let made = scene.ask_with(
        "POST",
        "/session/create",
        &[("Content-Type", "application/json")],
        r#"{"sessionId":"s1"}"#,
    );
    assert_eq!(made.status, 201, "{} {}", made.body, haproxy.log());

    let encoder = scene.encoder_at("10.77.0.1:1936", "s1", rtmp::BASELINE);
    until_within(Duration::from_secs(30), "media comes", || {
        assert_eq!(encoder.status().unwrap(), None, "{}", encoder.log());
        scene.session("s1")["publisher"]["state"] == "publishing"
    });
    assert!(scene.injection.log().contains("session s1: RTMP from 10.77.0.2"), "{}", scene.injection.log());

    // Who comes from the proxy's machine and does not say so is let in no further.
    let direct = "exec 3<>/dev/tcp/10.77.0.1/1935; printf '\\003%01536d' 0 >&3; cat <&3; true";
    scene.lab.run("node", &["bash", "-c", direct]).unwrap();
    until("it is refused", || scene.injection.log().contains("no PROXY protocol header"));
}
