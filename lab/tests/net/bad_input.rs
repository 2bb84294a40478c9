//! Bad input is refused with one clear line and the right exit code, and what was forwarding goes on forwarding.

use std::fs;
use std::path::PathBuf;

use crate::common::{Bench, QUIET, TIMEOUT, lab_for, v4_argument};
use lab::relay::{Answer, BAD_CONFIGURATION, Mode, RelayCli, RelayConfig};
use lab::{Sink, Source, SourceConfig, Topology};
use relay_common::layout::VERSION;

const RATE: u64 = 2_000;

modes!(bad_configuration_is_refused);
modes!(bad_changes_of_a_running_relay_are_refused);
modes!(a_second_daemon_is_refused);
modes!(a_damaged_pin_directory_is_refused: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(a_pin_directory_of_another_layout_is_refused: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(the_257th_child_is_refused: in_tc_mode = Tc, in_userspace_mode = Userspace);
modes!(without_rights_kernel_modes_are_refused: in_xdp_mode = Xdp, in_tc_mode = Tc);

/// Media that flows while things are tried, and must not notice.
struct Media<'a, 'lab> {
    bench: &'a Bench<'lab>,
    sink: Sink,
    source: Source,
}

impl<'a, 'lab> Media<'a, 'lab> {
    fn flow(bench: &'a Bench<'lab>) -> Self {
        let sink = bench.sink(&[0]);
        let source = Source::start(bench.lab, "injection-1", SourceConfig::new(bench.flows(), RATE)).unwrap();
        bench.wait_packets(&sink, 2, 50);
        Self { bench, sink, source }
    }

    fn still_flows(&self) {
        self.bench.wait_more(&self.sink, 50);
    }

    fn was_complete(self) {
        self.still_flows();
        let sent = self.source.stop();
        assert!(self.sink.wait_quiet(QUIET, TIMEOUT));
        self.bench.assert_all_of("what was forwarding", &self.sink.stop(), &sent);
    }
}

/// Answers that should have been refusals; what is wrong with them is told all at once.
#[derive(Default)]
struct Refusals {
    wrong: Vec<String>,
}

impl Refusals {
    /// Not accepted, and told in one line on stderr that holds all of the words.
    fn check(&mut self, what: &str, answer: &Answer, codes: &[i32], words: &[&str]) {
        println!("{what}: {}", answer.stderr.trim());
        if !answer.code.is_some_and(|code| codes.contains(&code)) {
            self.wrong.push(format!("{what}: exit code {:?}, not {codes:?}", answer.code));
        }
        if answer.stderr.lines().count() != 1 {
            self.wrong.push(format!("{what}: not one line: {:?}", answer.stderr));
        }
        for word in words.iter().filter(|word| !answer.stderr.contains(**word)) {
            self.wrong.push(format!("{what}: no `{word}` in: {}", answer.stderr.trim()));
        }
    }

    fn assert_all_good(self) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

/// Any refusal: of bad configuration or for another reason.
const REFUSED: [i32; 2] = [1, BAD_CONFIGURATION];

fn bad_configuration_is_refused(mode: Mode) {
    let lab = lab_for("badconf", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let config = lab.directory().join("unknown-key.toml");
    fs::write(&config, "interfaec = \"eth0\"\n").unwrap();
    let config = config.to_string_lossy().into_owned();
    let bench = Bench::attach(&lab, topology, mode, 1);
    let media = Media::flow(&bench);
    let many: Vec<String> = (0..257)
        .flat_map(|n| ["--child".to_owned(), format!("c{n}=10.0.2.11:{}:{}", 10_000 + 4 * n, 10_002 + 4 * n)])
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // (what, arguments after `attach`, words of the message)
    let cases: [(&str, &[&str], &[&str]); 20] = [
        ("unknown interface", &["eth9"], &["eth9", "eth0"]),
        ("no interface", &[], &["attach"]),
        ("port 0", &["eth0", "--listen", "0:5004"], &["--listen", "port 0"]),
        ("RTCP past the last port", &["eth0", "--listen", "65535:5004"], &["65535"]),
        ("no such port", &["eth0", "--listen", "70000:5004"], &["70000"]),
        ("the same port twice", &["eth0", "--listen", "5002:5002"], &["5002"]),
        ("a port that is the other's RTCP port", &["eth0", "--listen", "5002:5003"], &["5003"]),
        ("child's port 0", &["eth0", "--child", "a=10.0.2.12:0:5004"], &["child a", "port 0"]),
        ("child's port twice", &["eth0", "--child", "a=10.0.2.12:5004:5004"], &["child a", "5004"]),
        ("child without host", &["eth0", "--child", "a=:5002:5004"], &["child a", "NAME=HOST:AUDIO:VIDEO"]),
        ("child without ports", &["eth0", "--child", "a=10.0.2.12"], &["child a", "NAME=HOST:AUDIO:VIDEO"]),
        ("child without address", &["eth0", "--child", "a"], &["NAME=HOST:AUDIO:VIDEO"]),
        ("child without name", &["eth0", "--child", "=10.0.2.12:5002:5004"], &["child name"]),
        (
            "duplicate child",
            &["eth0", "--child", "a=10.0.2.12:5002:5004", "--child", "a=10.0.2.13:5002:5004"],
            &["name a", "twice"],
        ),
        (
            "unresolvable host",
            &["eth0", "--child", "a=no-such-host.invalid:5002:5004"],
            &["no-such-host.invalid"],
        ),
        ("unknown mode", &["eth0", "--mode", "quick"], &["quick", "userspace"]),
        ("unknown option", &["eth0", "--chidl", "a=10.0.2.12:5002:5004"], &["--chidl"]),
        ("API address that is none", &["eth0", "--api", "everywhere"], &["everywhere"]),
        ("no such file", &["eth0", "--config", "/nowhere/relay.toml"], &["/nowhere/relay.toml"]),
        ("unknown key in the file", &["eth0", "--config", &config], &["interfaec"]),
    ];
    let mode = mode.to_string();
    let refused = |arguments: &[&str]| {
        let mode = if arguments.contains(&"--mode") { &[][..] } else { &["--mode", mode.as_str()] };
        // The default address is the running relay's.
        let api = if arguments.contains(&"--api") { &[][..] } else { &["--api", "127.0.0.1:7999"] };
        bench.cli().run(&[&["attach"], arguments, mode, api].concat()).unwrap()
    };
    let mut refusals = Refusals::default();
    for (what, arguments, words) in cases {
        refusals.check(what, &refused(arguments), &[BAD_CONFIGURATION], words);
        media.still_flows();
    }
    let all = [&["eth0"], &many[..]].concat();
    refusals.check("the 257th child", &refused(&all), &[BAD_CONFIGURATION], &["256"]);
    media.was_complete();
    refusals.assert_all_good();
}

fn bad_changes_of_a_running_relay_are_refused(mode: Mode) {
    let lab = lab_for("badchange", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 2).unwrap(), mode, 1);
    let media = Media::flow(&bench);
    // (what, arguments, words of the message)
    let cases: [(&str, &[&str], &[&str]); 11] = [
        ("port 0", &["child", "add", "a=10.0.2.12:0:5004"], &["child a", "port 0"]),
        ("port twice", &["child", "add", "a=10.0.2.12:5004:5004"], &["5004"]),
        ("no address", &["child", "add", "a"], &["NAME=HOST:AUDIO:VIDEO"]),
        ("multicast", &["child", "add", "a=239.1.1.1:5002:5004"], &["239.1.1.1"]),
        ("duplicate name", &["child", "add", "egress-1=10.0.2.12:5002:5004"], &["egress-1"]),
        (
            "unresolvable host",
            &["child", "add", "a=no-such-host.invalid:5002:5004"],
            &["no-such-host.invalid"],
        ),
        ("unknown child", &["child", "remove", "nobody"], &["nobody"]),
        (
            "route to an unknown child",
            &["route", "8888", "--port", "5004", "--children", "nobody"],
            &["nobody"],
        ),
        ("route of a port not listened on", &["route", "8888", "--port", "6004", "--all"], &["6004"]),
        ("route of no SSRC", &["route", "many", "--port", "5004", "--all"], &["many"]),
        (
            "route to nobody and all",
            &["route", "8888", "--port", "5004", "--children", "egress-1", "--all"],
            &["--all"],
        ),
    ];
    let mut refusals = Refusals::default();
    for (what, arguments, words) in cases {
        refusals.check(what, &bench.cli().run(arguments).unwrap(), &REFUSED, words);
        media.still_flows();
    }
    assert_eq!(bench.cli().forwarding(), ["egress-1"]);
    let children = bench.cli().json("children").unwrap();
    assert_eq!(children["children"].list().len(), 1, "{children:?}");
    media.was_complete();

    bench.relay.kill9().unwrap();
    let answer = bench.cli().run(&["child", "remove", "egress-1"]).unwrap();
    refusals.check("no daemon to ask", &answer, &[1], &["127.0.0.1:7071", "--api"]);
    refusals.assert_all_good();
}

fn a_second_daemon_is_refused(mode: Mode) {
    let lab = lab_for("second", mode);
    let bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let media = Media::flow(&bench);
    let mut refusals = Refusals::default();
    // In userspace mode what the two collide on are ports; the interface plays no part.
    let words = if mode == Mode::Userspace { ["127.0.0.1:7071", "port 5002"] } else { ["eth0"; 2] };
    for (api, word) in ["127.0.0.1:7071", "127.0.0.1:7999"].into_iter().zip(words) {
        let answer = bench.cli().run(&["attach", "eth0", "--mode", &mode.to_string(), "--api", api]).unwrap();
        refusals.check(api, &answer, &[1], &[word]);
        media.still_flows();
    }
    // The API's address is somebody else's, the interface is free.
    if mode != Mode::Userspace {
        let answer = bench.cli().run(&["attach", "eth1", "--mode", &mode.to_string()]).unwrap();
        refusals.check("API address in use", &answer, &[1], &["127.0.0.1:7071", "--api"]);
        assert!(!bench.cli().pin_root().join("eth1").exists(), "a refused attach leaves nothing");
    }
    media.was_complete();
    refusals.assert_all_good();
}

/// The pin directory while no daemon looks after it.
fn orphaned_pins(bench: &Bench) -> PathBuf {
    bench.relay.kill9().unwrap();
    bench.cli().pin_root().join("eth0")
}

fn a_damaged_pin_directory_is_refused(mode: Mode) {
    let lab = lab_for("damaged", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    let again = ["attach", "eth0", "--mode", &mode.to_string()].map(str::to_owned);
    let again = again.each_ref().map(String::as_str);
    {
        let media = Media::flow(&bench);
        let mut refusals = Refusals::default();
        let pins = orphaned_pins(&bench);
        let version = fs::read_dir(&pins).unwrap().next().unwrap().unwrap().path();
        // One map in the place of another, then one that is gone.
        let (streams, routes, aside) =
            (version.join("STREAMS"), version.join("ROUTES"), version.join("ASIDE"));
        fs::rename(&streams, &aside).unwrap();
        fs::rename(&routes, &streams).unwrap();
        fs::rename(&aside, &routes).unwrap();
        let cure = "relay-ctl detach eth0";
        refusals.check(
            "swapped maps",
            &bench.cli().run(&again).unwrap(),
            &[1],
            &[&format!("v{VERSION}"), cure],
        );
        media.still_flows();
        fs::remove_file(&streams).unwrap();
        refusals.check("a map is missing", &bench.cli().run(&again).unwrap(), &[1], &["STREAMS", cure]);
        refusals.assert_all_good();
        media.was_complete();
    }
    // The cure that is named does cure.
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    bench.relay.restart().unwrap();
    Media::flow(&bench).was_complete();
}

fn a_pin_directory_of_another_layout_is_refused(mode: Mode) {
    let lab = lab_for("layout", mode);
    let mut bench = Bench::attach(&lab, Topology::one_nic(&lab, 1).unwrap(), mode, 1);
    {
        let media = Media::flow(&bench);
        let pins = orphaned_pins(&bench);
        let ours = fs::read_dir(&pins).unwrap().next().unwrap().unwrap().path();
        let other = pins.join("v99");
        fs::rename(&ours, &other).unwrap();
        let answer = bench.cli().run(&["attach", "eth0", "--mode", &mode.to_string()]).unwrap();
        let mut refusals = Refusals::default();
        refusals.check("another layout", &answer, &[1], &["v99", "relay-ctl detach eth0"]);
        refusals.assert_all_good();
        media.still_flows();
        fs::rename(&other, &ours).unwrap();
        media.was_complete();
    }
    bench.relay.restart().unwrap();
    Media::flow(&bench).was_complete();
}

fn the_257th_child_is_refused(mode: Mode) {
    let lab = lab_for("full", mode);
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let children =
        (0..256).map(|n| format!("c{n}=10.0.2.11:{}:{}", 10_000 + 4 * n, 10_002 + 4 * n)).collect();
    let bench = Bench::attach_with(&lab, topology, RelayConfig::new("relay-1", mode, children));
    let answer = bench.cli().run(&["child", "add", &v4_argument(&bench.topology, 0)]).unwrap();
    let mut refusals = Refusals::default();
    refusals.check("the 257th child", &answer, &REFUSED, &["256"]);
    refusals.assert_all_good();
    assert_eq!(bench.cli().forwarding().len(), 256);
    // One goes, so that there is room for one.
    bench.cli().ok(&["child", "remove", "c100"]).unwrap();
    bench.cli().ok(&["child", "add", &v4_argument(&bench.topology, 0)]).unwrap();
    assert_eq!(bench.cli().forwarding().len(), 256);
    Media::flow(&bench).still_flows();
}

fn without_rights_kernel_modes_are_refused(mode: Mode) {
    let lab = lab_for("norights", mode);
    let _topology = Topology::one_nic(&lab, 1).unwrap();
    let attach = ["attach", "eth0", "--mode", &mode.to_string()].map(str::to_owned);
    let answer =
        RelayCli::new(&lab, "relay-1").run_unprivileged(&attach.each_ref().map(String::as_str)).unwrap();
    let cure = if mode == Mode::Xdp { "CAP_BPF" } else { "--mode userspace" };
    let mut refusals = Refusals::default();
    refusals.check("no rights", &answer, &[1], &["Operation not permitted", cure]);
    refusals.assert_all_good();
}
