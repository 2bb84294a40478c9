//! VLAN interfaces have a dot in their name, which bpffs takes in no file's name: attaching, looking, taking over and
//! detaching work all the same.

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, v4_argument};
use lab::relay::{Json, Mode, RelayConfig};
use lab::{Limit, Source, SourceConfig, Topology};

modes!(a_whole_life: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn a_whole_life(mode: Mode) {
    const NAME: &str = "eth0.100";
    let lab = lab_for("dot", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    lab.set_link("relay-1", "eth0", false).unwrap();
    lab.run("relay-1", &["ip", "link", "set", "eth0", "name", NAME]).unwrap();
    lab.set_link("relay-1", NAME, true).unwrap();
    let mut config = RelayConfig::new("relay-1", mode, vec![v4_argument(&topology, 0)]);
    NAME.clone_into(&mut config.interface);
    let mut bench = Bench::attach_with(&lab, topology, config);
    let sink = bench.sink(&[0]);
    let config = SourceConfig::new(bench.flows(), 1_000).limit(Limit::Packets(1_000));
    let source = Source::start(&lab, "injection-1", config).unwrap();
    bench.wait_packets(&sink, 2, 100);
    assert_eq!(bench.cli().json("status").unwrap()["dataplane"]["interface"].text(), NAME);

    bench.relay.kill9().unwrap();
    let offline = bench.cli().json("status").unwrap();
    assert_eq!(
        (offline["daemon"].clone(), offline["dataplane"]["interface"].text()),
        (Json::Bool(false), NAME)
    );
    bench.relay.restart_on_pins().unwrap();
    bench.cli().wait_forwarding(1).unwrap();
    let sent = source.wait(TIMEOUT).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_all_of("the child", &sink.stop(), &sent);

    bench.relay.kill9().unwrap();
    let said = bench.cli().ok(&["detach", NAME]).unwrap();
    assert!(said.contains("eth0.100: detached"), "{said}");
    assert_eq!(std::fs::read_dir(bench.cli().pin_root()).unwrap().count(), 0);
}
