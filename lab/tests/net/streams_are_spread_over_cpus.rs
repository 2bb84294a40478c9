//! With `--cpus` each stream is copied on a CPU of its own choice; nothing else about forwarding changes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::common::{Bench, QUIET, TIMEOUT, any_socket, eventually, receive, socket, v4_argument};
use lab::relay::{AUDIO, BAD_CONFIGURATION, Mode, RelayCli, RelayConfig, VIDEO};
use lab::{Flow, FlowReport, Lab, Limit, Source, SourceConfig, Topology};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use relay_common::layout::{Spread, StreamKey};
use relay_ctl::kernel::{Maps, Pins};

const CHILDREN: usize = 8;
const STREAMS: u32 = 8;
/// Packets a second of all streams: the veth ring of 256 frames takes what comes when a busy machine lets a queue wait.
const RATE: u64 = 2_000;

/// The relay copies on CPU 0 and CPU 1.
fn spread<'lab>(lab: &'lab Lab, children: usize) -> Bench<'lab> {
    attach(lab, children, "2")
}

fn attach<'lab>(lab: &'lab Lab, children: usize, cpus: &str) -> Bench<'lab> {
    let topology = Topology::one_nic(lab, children).unwrap();
    let arguments = (0..children).map(|index| v4_argument(&topology, index)).collect();
    let config = RelayConfig::new("relay-1", Mode::Xdp, arguments).with(&["--cpus", cpus]);
    Bench::attach_with(lab, topology, config)
}

/// Half of them audio, half video.
fn streams(bench: &Bench) -> Vec<Flow> {
    let relay = &bench.topology.relay;
    (0..STREAMS)
        .map(|ssrc| match ssrc % 2 {
            0 => Flow::audio(1000 + ssrc, relay.v4(AUDIO)),
            _ => Flow::video(1000 + ssrc, relay.v4(VIDEO)),
        })
        .collect()
}

/// Of `each` packets of every stream, how many belong to CPU 0 and how many to CPU 1.
fn shares(each: u64) -> [u64; 2] {
    let spread = Spread::over(&[0, 1], 0);
    let mut shares = [0; 2];
    for ssrc in 0..STREAMS {
        let port = if ssrc % 2 == 0 { AUDIO } else { VIDEO };
        let cpu = spread.cpu(&StreamKey { port, reserved: [0; 2], ssrc: 1000 + ssrc });
        shares[cpu as usize] += each;
    }
    shares
}

fn maps(bench: &Bench) -> Maps {
    Maps::open(&Pins::new(&bench.cli().pin_root(), "eth0")).unwrap()
}

fn packets(bench: &Bench) -> u64 {
    bench.cli().json("status").unwrap()["dataplane"]["packets"].number()
}

/// Kernel threads that work off a cpumap's queue.
fn queues() -> BTreeSet<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| {
        std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("cpumap/"))
    })
    .collect()
}

#[test]
fn every_child_gets_every_stream_whole_from_its_cpu() {
    let lab = Lab::new("t-spread-").unwrap();
    let bench = spread(&lab, CHILDREN);
    let sink = bench.sink(&Vec::from_iter(0..CHILDREN));
    let each = 1_000;
    let limit = Limit::Packets(each * u64::from(STREAMS));
    let source = Source::start(&lab, "injection-1", SourceConfig::new(streams(&bench), RATE).limit(limit));
    source.unwrap().wait(2 * TIMEOUT).unwrap();
    bench.wait_packets(&sink, CHILDREN * STREAMS as usize, each);
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    bench.assert_complete("every child", &sink.stop(), each);

    assert_eq!(packets(&bench), each * u64::from(STREAMS));
    for stream in bench.cli().json("streams").unwrap()["streams"].list() {
        let counts = ["packets", "lost", "reordered", "duplicates"].map(|name| stream[name].number());
        assert_eq!(counts, [each, 0, 0, 0], "{stream:?}");
    }
    let shares = shares(each);
    assert!(shares.iter().all(|share| *share > 0), "streams of the test on both CPUs: {shares:?}");
    let maps = maps(&bench);
    for child in 0..CHILDREN as u32 {
        let copies: Vec<u64> =
            maps.child_stats.get(&child, 0).unwrap().iter().map(|cpu| cpu.packets).collect();
        assert_eq!(copies[..2], shares, "child {child}: its copies by CPU: {copies:?}");
    }
    let programs = format!("{:?}", bench.cli().json("status").unwrap()["dataplane"]["programs"]);
    assert!(programs.contains("relay_spread") && programs.contains("relay_xdp_cpu"), "{programs}");
}

#[test]
fn what_is_not_media_reaches_the_stack_and_is_counted_once() {
    let lab = Lab::new("t-spreadstack-").unwrap();
    let bench = spread(&lab, 1);
    let relay = bench.topology.relay.clone();
    let sender = any_socket(&lab, "injection-1", false);
    let stun = &b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes"[..];
    // A receiver report and a PLI: from a stranger, on a wire where checksums are left unfinished.
    let report = &b"\x80\xc9\x00\x01\x00\x00\x00\x01"[..];
    let pli = &b"\x81\xce\x00\x02\x00\x00\x00\x01\x00\x00\x22\xb8"[..];
    for (what, packet, port, reason) in [
        ("STUN", stun, VIDEO, "not-rtp"),
        ("another port", stun, 9_999, "unknown-port"),
        ("a report", report, VIDEO, "rtcp-feedback"),
        ("a PLI", pli, VIDEO, "rtcp-feedback"),
    ] {
        let stack = socket(&lab, "relay-1", relay.v4(port));
        let before = bench.drops(reason);
        sender.send_to(packet, relay.v4(port)).unwrap();
        assert_eq!(receive(&stack).0, packet, "{what}");
        assert_eq!(bench.drops(reason), before + 1, "{what}");
    }
    lab.run("injection-1", &["ping", "-c", "2", "-i", "0.05", "-W", "2", &relay.v4.to_string()]).unwrap();
    // Media is not the stack's.
    let child = socket(&lab, "egress", bench.child(0).endpoint.v4(VIDEO));
    let stack = socket(&lab, "relay-1", relay.v4(VIDEO));
    let media = [&b"\x80\x60\x00\x01\x00\x00\x00\x00\x00\x00\x22\xb8"[..], &[7; 100]].concat();
    sender.send_to(&media, relay.v4(VIDEO)).unwrap();
    assert_eq!(receive(&child).0, media);
    stack.set_nonblocking(true).unwrap();
    assert!(stack.recv(&mut [0; 64]).is_err(), "media does not reach the stack");
    assert_eq!(packets(&bench), 1);
}

/// From one daemon to the next, also to one that spreads otherwise or not at all.
#[test]
fn a_restart_loses_nothing() {
    let lab = Lab::new("t-spreadagain-").unwrap();
    let mut bench = spread(&lab, 2);
    let sink = bench.sink(&[0, 1]);
    let source = Source::start(&lab, "injection-1", SourceConfig::new(streams(&bench), RATE)).unwrap();
    bench.wait_packets(&sink, 2 * STREAMS as usize, 100);
    for arguments in [&["--cpus", "2"][..], &["--cpus", "1-1"], &[], &["--cpus", "0,1"]] {
        bench.relay.kill9().unwrap();
        bench.wait_more(&sink, 100);
        bench.relay.restart_with(arguments).unwrap();
        bench.wait_more(&sink, 100);
    }
    let sent = source.stop();
    assert!(sink.wait_quiet(QUIET, TIMEOUT));
    let flows = sink.stop();
    let reordered: u64 = flows.iter().map(|flow| flow.reordered).sum();
    println!("reordered at four restarts: {reordered} of {} copies", 2 * sent.total());
    // What waits in the queue of before may be overtaken: there is no order between two queues.
    let flows: Vec<FlowReport> = flows.into_iter().map(|flow| FlowReport { reordered: 0, ..flow }).collect();
    bench.assert_all_of("both children", &flows, &sent);
    assert_eq!(packets(&bench), sent.total(), "{}", bench.diagnosis());
    assert_eq!(bench.drops("cpu-busy"), 0);
}

#[test]
fn detach_ends_the_queues_too() {
    let lab = Lab::new("t-spreadend-").unwrap();
    let before = queues();
    let bench = spread(&lab, 1);
    let sink = bench.sink(&[0]);
    let _source = Source::start(&lab, "injection-1", SourceConfig::new(streams(&bench), 1_000)).unwrap();
    bench.wait_packets(&sink, STREAMS as usize, 20);
    assert_eq!(queues().difference(&before).count(), 2, "a kernel thread for each CPU");
    bench.relay.kill9().unwrap();
    bench.wait_more(&sink, 20);
    bench.cli().ok(&["detach", "eth0"]).unwrap();
    assert!(sink.wait_quiet(QUIET, TIMEOUT), "nothing is forwarded any more");
    assert!(!bench.cli().pin_root().join("eth0").exists());
    eventually("the queues end", || queues().difference(&before).count() == 0);
    let shown = lab.run("relay-1", &["ip", "link", "show", "eth0"]).unwrap();
    assert!(!shown.contains("prog/xdp"), "{shown}");
}

/// A sender that leaves CPU 0 to nobody, not even to the thread that copies there.
#[test]
fn what_finds_its_cpu_s_queue_full_is_counted() {
    let lab = Lab::new("t-spreadbusy-").unwrap();
    let bench = attach(&lab, 1, "0-0");
    let to = bench.topology.relay.v4(VIDEO);
    let sent: u64 = 6_000;
    lab.in_namespace("injection-1", || hog_and_send(to, sent)).unwrap();
    eventually("every packet is forwarded or counted", || packets(&bench) + bench.drops("cpu-busy") >= sent);
    let (forwarded, busy) = (packets(&bench), bench.drops("cpu-busy"));
    println!("{sent} sent: {forwarded} forwarded, {busy} found the queue full");
    assert_eq!(forwarded + busy, sent, "{}", bench.diagnosis());
    assert!(busy > 0, "the queue holds 2048");
    assert!(forwarded >= 2048, "and those go out");
}

fn hog_and_send(to: SocketAddr, packets: u64) {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut packet = [0x5a; 60];
    packet[..2].copy_from_slice(&[0x80, 96]);
    packet[8..12].copy_from_slice(&[0, 0, 0, 7]);
    let mut first = CpuSet::new();
    first.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &first).unwrap();
    let parameters = libc::sched_param { sched_priority: 10 };
    // SAFETY: the parameters live until the call returns; the thread is this one, and ends after this.
    assert_eq!(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) }, 0);
    for sequence in 0..packets {
        packet[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        socket.send_to(&packet, to).unwrap();
    }
}

#[test]
fn elsewhere_than_in_xdp_it_is_refused_or_said() {
    let lab = Lab::new("t-spreadtc-").unwrap();
    let topology = Topology::one_nic(&lab, 1).unwrap();
    let child = v4_argument(&topology, 0);
    let cli = RelayCli::new(&lab, "relay-1");
    for (mode, cpus, word) in [
        ("tc", "2", "--mode tc"),
        ("userspace", "2", "--mode userspace"),
        ("xdp", "9999", "say how many"),
        ("xdp", "0,9999", "no CPU 9999"),
    ] {
        let answer = cli.run(&["attach", "eth0", "--mode", mode, "--cpus", cpus, "--child", &child]).unwrap();
        assert_eq!((answer.code, answer.stderr.lines().count()), (Some(BAD_CONFIGURATION), 1), "{answer:?}");
        assert!(answer.stderr.contains("--cpus") && answer.stderr.contains(word), "{answer:?}");
    }
    // A peer that takes no XDP frames: auto means tc.
    lab.set_feature("egress", "eth0", "gro", false).unwrap();
    let config = RelayConfig::new("relay-1", Mode::Auto, vec![child]).with(&["--cpus", "2"]);
    let bench = Bench::attach_with(&lab, topology, config);
    let status = bench.cli().json("status").unwrap();
    assert_eq!(status["dataplane"]["mode"].text(), "tc");
    let warnings = format!("{:?}", status["warnings"]);
    assert!(warnings.contains("--cpus has no effect in tc"), "{warnings}");
}
