use std::net::Ipv4Addr;
use std::process::Command;

use lab::firewall;

use crate::common::{Scene, rtmp, until};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// Janus and injection in a cloud: a public address, which is a router's, stands for their own. A publisher in the street knows
/// nothing but that one. By RTMP the injection itself is the publisher at its Janus, on the inside, where the public address leads
/// nowhere: the private one has to be offered as well.
///
///     street 203.0.113.2 --- 203.0.113.10 (for 10.77.0.1) far, a router --- node (injection, Janus)
#[test]
fn test() {
    let scene = Scene::mapped("nat", &[rtmp::PORT], Some(PUBLIC));
    let lab = scene.lab;
    lab.add_namespace("street").unwrap();
    lab.link("far", "s0", "street", "s1").unwrap();
    lab.address("far", "s0", "203.0.113.1/24").unwrap();
    lab.address("street", "s1", "203.0.113.2/24").unwrap();
    lab.route("node", "default", "10.77.0.2").unwrap();
    lab.route("street", "default", "203.0.113.1").unwrap();
    firewall::translate_one_to_one(lab, "far", "s0", PUBLIC, Ipv4Addr::new(10, 77, 0, 1)).unwrap();
    scene.create("s1");

    let program =
        std::path::Path::new(env!("CARGO_BIN_EXE_injection")).with_file_name("examples/whip-publish");
    let mut command = Command::new(program);
    command.arg(format!("http://{PUBLIC}:7070/whip/endpoint/s1")).arg("vp8");
    let publisher = lab.spawn("street", command).unwrap();
    until("media by WHIP from the street", || scene.session("s1")["publisher"]["state"] == "publishing");
    publisher.terminate().unwrap();
    until("its place is free", || scene.session("s1")["publisher"].is_null());
    scene.encodes("s1", "s1", rtmp::BASELINE);
}
