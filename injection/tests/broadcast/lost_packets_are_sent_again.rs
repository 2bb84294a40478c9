use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Lab;
use node::media::Ssrc;
use node::media::rtp::Header;
use node::repair::nack;
use serde_json::json;

use crate::common::{Scene, until};

/// A child that keeps all bytes of every packet of video, and how often it came.
struct Child {
    rtcp: UdpSocket,
    came: Arc<Mutex<Came>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Came {
    packets: HashMap<u16, Vec<Vec<u8>>>,
    newest: Option<u16>,
    /// Where each came from.
    from: Vec<String>,
}

impl Child {
    fn at(lab: &Lab, address: &'static str) -> Child {
        let bind = |port: u16| lab.in_namespace("far", || UdpSocket::bind((address, port)).unwrap()).unwrap();
        let (rtp, rtcp, came) = (bind(5004), bind(5005), Arc::<Mutex<Came>>::default());
        let ended = Arc::<AtomicBool>::default();
        let (over, coming) = (ended.clone(), came.clone());
        rtp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = rtp.recv_from(&mut packet) else { continue };
                let packet = &packet[..length];
                let sequence = Header::read(packet).unwrap().sequence;
                let mut came = coming.lock().unwrap();
                came.packets.entry(sequence).or_default().push(packet.to_vec());
                came.newest = Some(sequence);
                came.from.push(from.to_string());
            }
        });
        Child { rtcp, came, ended, thread: Some(thread) }
    }

    /// Asks as relays do, from the RTCP port to the RTCP port.
    fn asks(&self, numbers: &[u16]) {
        for request in nack::requests(Ssrc(1), Ssrc(2222), numbers) {
            self.rtcp.send_to(&request, ("10.77.0.1", 5005)).unwrap();
        }
    }

    /// How often each of these came.
    fn times(&self, numbers: &[u16]) -> Vec<usize> {
        let came = self.came.lock().unwrap();
        numbers.iter().map(|number| came.packets.get(number).map_or(0, Vec::len)).collect()
    }

    fn newest(&self) -> Option<u16> {
        self.came.lock().unwrap().newest
    }

    /// The last numbers that came, so many.
    fn last(&self, count: u16) -> Vec<u16> {
        let newest = self.newest().unwrap();
        (0..count).map(|back| newest.wrapping_sub(back)).collect()
    }

    fn packets(&self) -> usize {
        self.came.lock().unwrap().from.len()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn repair(scene: &Scene, what: &str) -> u64 {
    scene.status()["repair"][what].as_u64().unwrap()
}

fn refused(scene: &Scene, reason: &str) -> u64 {
    let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
    let start =
        format!("media_tree_injection_repair_refused_total{{node_id=\"injection-1\",reason=\"{reason}\"");
    let line = metrics.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// With media on its way to one child.
fn scene(name: &str, environment: &[(&str, &str)]) -> (Scene, Child, lab::Process) {
    // Longer than this machine may take to answer.
    let scene = Scene::with(name, &[&[("REPAIR_WITHIN", "5000")], environment].concat());
    scene.create("s1");
    scene.lab.address("far", "e0", "10.77.0.3/24").unwrap();
    scene.child();
    let child = Child::at(scene.lab, "10.77.0.2");
    let publisher = scene.publisher("s1", "vp8");
    until("media", || child.packets() > 50);
    (scene, child, publisher)
}

#[test]
fn to_the_child_that_asks_byte_by_byte_and_to_nobody_else() {
    let (scene, child, _publisher) = scene("again", &[]);
    // Another child gets the same, and has lost nothing.
    scene.redis.egress("egress-2", "10.77.0.3", [5002, 5004]).unwrap();
    scene.redis.cli(&["SADD", "children:injection-1", "egress-2"]).unwrap();
    let other = Child::at(scene.lab, "10.77.0.3");
    until("both are sent to", || other.packets() > 20);
    let lost = other.last(10);
    until("both have them", || child.times(&lost) == [1; 10]);
    child.asks(&lost);
    until("they come again", || child.times(&lost) == [2; 10]);
    assert_eq!(other.times(&lost), [1; 10], "to the child that asks only");
    {
        let came = child.came.lock().unwrap();
        for number in &lost {
            let [first, second] = &came.packets[number][..] else { panic!("{number}") };
            assert_eq!(first, second, "{number}: the same in every byte");
        }
        assert!(came.from.iter().all(|from| from == "10.77.0.1:5004"), "from where the stream comes from");
    }
    // Others than these, which have come twice.
    until("more have come", || child.last(3).iter().all(|number| !lost.contains(number)));
    // From a port behind an address translation, to the port that media comes from.
    let translated = scene.lab.in_namespace("far", || UdpSocket::bind(("10.77.0.2", 0)).unwrap()).unwrap();
    let lost = child.last(3);
    for request in nack::requests(Ssrc(1), Ssrc(2222), &lost) {
        translated.send_to(&request, ("10.77.0.1", 5004)).unwrap();
    }
    until("they come to where the stream goes", || child.times(&lost) == [2; 3]);
    assert_eq!((repair(&scene, "asked"), repair(&scene, "answered"), repair(&scene, "refused")), (13, 13, 0));
    let metrics = scene.ask_with("GET", "/metrics", &[], "").body;
    for (name, child, wanted) in [("wanted", 1, 13), ("answered", 1, 13), ("refused", 1, 0), ("wanted", 2, 0)]
    {
        let start = format!("media_tree_injection_child_repair_{name}_total{{child=\"egress-{child}\"");
        let line =
            metrics.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{metrics}"));
        assert!(line.ends_with(&format!(" {wanted}")), "{line}");
    }
}

#[test]
fn a_stranger_is_sent_nothing() {
    let (scene, child, _publisher) = scene("again-not", &[]);
    let stranger = Child::at(scene.lab, "10.77.0.3");
    let lost = child.last(5);
    // From its own address, and by any of the ports; of streams that there are, and that there are not.
    for ssrc in [2222, 1111, 9999] {
        for port in 5002..=5005 {
            for request in nack::requests(Ssrc(1), Ssrc(ssrc), &lost) {
                stranger.rtcp.send_to(&request, ("10.77.0.1", port)).unwrap();
            }
        }
    }
    until("all are refused", || refused(&scene, "stranger") == 3 * 4 * 5);
    // What a child asks for that is none of its streams, or was never sent.
    for request in nack::requests(Ssrc(1), Ssrc(9999), &lost) {
        child.rtcp.send_to(&request, ("10.77.0.1", 5005)).unwrap();
    }
    until("refused", || refused(&scene, "no_stream") == 5);
    child.asks(&[child.newest().unwrap().wrapping_add(20_000)]);
    until("refused", || refused(&scene, "unknown") == 1);
    assert_eq!((stranger.packets(), child.times(&lost)), (0, vec![1; 5]));
    // Whoever is a child no more is one of them.
    scene.redis.cli(&["SREM", "children:injection-1", "egress-1"]).unwrap();
    until("the child is gone", || scene.status()["pipeline"]["childrenCount"] == 0);
    let before = refused(&scene, "stranger");
    child.asks(&lost);
    until("refused", || refused(&scene, "stranger") == before + 5);
    assert_eq!((child.times(&lost), repair(&scene, "answered")), (vec![1; 5], 0));
}

/// A child asks for everything that it can think of, as fast as it can; another loses nothing by it.
#[test]
fn a_flood_is_answered_in_bounds_and_nobody_suffers() {
    let (scene, child, _publisher) = scene("again-flood", &[]);
    scene.redis.egress("egress-2", "10.77.0.3", [5002, 5004]).unwrap();
    scene.redis.cli(&["SADD", "children:injection-1", "egress-2"]).unwrap();
    let other = Child::at(scene.lab, "10.77.0.3");
    until("both are sent to", || other.packets() > 20);
    let (began, first) = (Instant::now(), other.newest().unwrap());
    let (mut asked, mut asking_bytes) = (0, 0);
    let sent = || scene.session("s1")["streams"][1]["bytes"].as_u64().unwrap();
    let before = sent();
    while began.elapsed() < Duration::from_secs(3) {
        for request in nack::requests(Ssrc(1), Ssrc(2222), &child.last(400)) {
            child.rtcp.send_to(&request, ("10.77.0.1", 5005)).unwrap();
            asking_bytes += request.len() as u64;
        }
        asked += 400;
        std::thread::sleep(Duration::from_micros(500));
    }
    let streamed = sent() - before;
    let answered = repair(&scene, "bytes");
    println!("{asked} numbers asked in {asking_bytes} bytes; answered {answered} bytes, streamed {streamed}");
    // Ten times what asks, the stream's own rate, and what that may have saved up before.
    assert!(answered <= 10 * asking_bytes + 2 * streamed + 100_000, "{answered}");
    assert!(refused(&scene, "over_budget") + refused(&scene, "repeated") > asked / 2);
    let last = other.newest().unwrap();
    let others: Vec<u16> = (0..last.wrapping_sub(first)).map(|number| first.wrapping_add(number)).collect();
    assert!(others.len() > 30, "{}", others.len());
    assert!(other.times(&others).iter().all(|times| *times == 1), "each once, none missing");
    assert_eq!(scene.status()["healthy"], json!(true));
}

#[test]
fn none_is_sent_again_without_a_history() {
    let (scene, child, _publisher) = scene("again-off", &[("HISTORY", "0")]);
    let lost = child.last(5);
    child.asks(&lost);
    until("refused", || refused(&scene, "unknown") == 5);
    assert_eq!((child.times(&lost), repair(&scene, "answered")), (vec![1; 5], 0));
}
