//! `relay-ctl maps` shows the pinned maps decoded, only what is in use, and without a daemon.

use crate::common::{AUDIO_SSRC, Bench, TIMEOUT, VIDEO_SSRC, lab_for};
use lab::relay::{Json, Mode};
use lab::{Limit, Source, SourceConfig, Topology};

modes!(only_what_is_in_use: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn only_what_is_in_use(mode: Mode) {
    let lab = lab_for("maps", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 2);
    let cli = bench.cli();
    cli.ok(&["route", &VIDEO_SSRC.to_string(), "--port", "5004", "--children", "egress-2"]).unwrap();
    let config = SourceConfig::new(bench.flows(), 1_000).limit(Limit::Packets(200));
    Source::start(&lab, "injection-1", config).unwrap().wait(TIMEOUT).unwrap();
    bench.relay.kill9().unwrap();

    let maps: Json = cli.ok(&["maps", "--json"]).unwrap().parse().unwrap();
    let entries = |name: &str| {
        let map = maps.list().iter().find(|map| map["map"].text() == name);
        map.unwrap_or_else(|| panic!("no {name} in {maps:?}"))["entries"].list().to_vec()
    };
    let texts = |name: &str, field: &str| {
        let mut all: Vec<String> = entries(name).iter().map(|entry| entry[field].text().to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(texts("CHILDREN", "destination"), ["10.0.2.11", "10.0.2.12"]);
    assert_eq!(texts("CHILDREN", "interface"), ["eth1", "eth1"]);
    assert_eq!(texts("CHILD_INFO", "name"), ["egress-1", "egress-2"]);
    let mut ssrcs: Vec<u64> = entries("STREAMS").iter().map(|stream| stream["ssrc"].number()).collect();
    ssrcs.sort_unstable();
    assert_eq!(ssrcs, [u64::from(AUDIO_SSRC), u64::from(VIDEO_SSRC)]);
    let routes = entries("ROUTES");
    assert_eq!((routes.len(), routes[0]["ssrc"].number()), (1, u64::from(VIDEO_SSRC)));
    let of_own = entries("SET_CHILDREN");
    assert_eq!((of_own.len(), of_own[0]["set"].number()), (1, routes[0]["set"].number()));
    let mut peers = texts("PEERS", "address");
    peers.dedup();
    assert_eq!(peers, ["10.0.2.11", "10.0.2.12"]);
    assert!(texts("LISTENERS", "address").contains(&"10.0.1.1".to_owned()));
    // Of every member there is a child, and of every instance there are members.
    let slots: Vec<u64> = entries("CHILDREN").iter().map(|child| child["slot"].number()).collect();
    assert!(entries("MEMBERS").iter().all(|member| slots.contains(&member["slot"].number())));
    assert!(!entries("SETS").is_empty() && !entries("INSTANCES").is_empty());

    let text = cli.ok(&["maps", "children"]).unwrap();
    assert!(text.contains("10.0.2.11") && !text.contains("STREAMS"), "{text}");
    assert_eq!(text.lines().count(), 4, "title, head and two children\n{text}");
    let unknown = cli.run(&["maps", "CHLIDREN"]).unwrap();
    assert_eq!(unknown.code, Some(64), "{unknown:?}");
    assert!(
        unknown.stderr.contains("no map 'CHLIDREN'") && unknown.stderr.contains("CHILDREN"),
        "{unknown:?}"
    );
}
