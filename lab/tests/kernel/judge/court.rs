//! The relay's kernel programs before the judge: frames go in, what becomes of them is compared byte by byte with what the
//! predicate says, and the books are balanced. Disagreements are collected by kind, each with its first example.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};
use relay_ctl::kernel::Mode;

use super::generator::{COMMON, Generator, ROUTED, ssrc};
use super::predicate::{self, Copy, Expected, Fate, Input, World, be16};
use crate::support::wire::{packet_socket, unfinished, with_header};
use crate::support::{
    AUDIO, Child, Ip, Kernel, RELAY_MAC, RELAY_V4, RELAY_V6, TC_NEXT, TC_REDIRECT, TC_SHOT, VIDEO, XDP_DROP,
    XDP_PASS, XDP_REDIRECT, nic_mac,
};

/// The relay's way in takes longer packets than the ways out.
const MTU_IN: &str = "2000";
const MTU_OUT: usize = 1_500;
/// Packets between two looks at the counters.
const CHUNK: u64 = 512;
/// A veth's ring has 256 slots.
const RING: usize = 150;
/// A copy that has not come by then does not come.
const PATIENCE: Duration = Duration::from_millis(500);

pub struct Court<'a, 'lab> {
    kernel: &'a mut Kernel<'lab>,
    mode: Mode,
    pub world: World,
    children: Vec<Child>,
    generator: Generator,
    way_in: File,
    ways_out: [File; 2],
    /// Copies that are to come, by child, each with what it is a copy of.
    due: HashMap<u32, VecDeque<(Copy, Vec<u8>)>>,
    books: Books,
    /// By kind: how often, and the first example.
    pub findings: BTreeMap<String, (u64, String)>,
    pub packets: u64,
    pub copies: u64,
}

/// What the counters should say, since they were looked at last.
#[derive(Default)]
struct Books {
    /// By reason: at least and at most so often.
    reasons: BTreeMap<&'static str, [u64; 2]>,
    /// Packets with a reason of their own.
    refused: u64,
    /// Copies that were not made.
    left_out: u64,
    /// Packets that are no media and went with it.
    alongside: u64,
    /// Frames in the place of copies that were not made.
    blanks: u64,
    /// By child: packets and bytes.
    sent: HashMap<u32, [u64; 2]>,
    packets: u64,
}

/// Behind both interfaces, of both families, with usual and unusual ports.
pub fn children() -> Vec<Child> {
    let rows = [
        (1, Ip::V4),
        (2, Ip::V6),
        (1, Ip::V6),
        (2, Ip::V4),
        (1, Ip::V4),
        (1, Ip::V4),
        (2, Ip::V6),
        (2, Ip::V4),
    ];
    let ports = |id: u16| if id.is_multiple_of(3) { [5002, 5004] } else { [6000 + 10 * id, 6004 + 10 * id] };
    (0..).zip(rows).map(|(id, (nic, ip))| Child { id, nic, ip, ports: ports(id as u16) }).collect()
}

/// Which children the streams with children of their own have.
const ROUTES: [&[u32]; ROUTED] = [&[], &[0], &[1], &[0, 1], &[3, 7], &[2, 6, 1], &[0, 1, 2, 3], &[7, 6]];

impl<'a, 'lab> Court<'a, 'lab> {
    pub fn new(kernel: &'a mut Kernel<'lab>, mode: Mode, seed: u64) -> Self {
        let (lab, children) = (kernel.lab, children());
        for ns in ["injection", "relay", "egress"] {
            // Nobody but us sends anything.
            lab.sysctl(ns, "ipv6/conf/all/disable_ipv6", "1").unwrap();
        }
        for ns in ["injection", "relay"] {
            lab.run(ns, &["ip", "link", "set", "eth0", "mtu", MTU_IN]).unwrap();
        }
        let mut routes = HashMap::new();
        let mut sets: Vec<(u32, Vec<Child>)> = Vec::new();
        for ip in [Ip::V4, Ip::V6] {
            for (number, members) in (COMMON..).zip(ROUTES) {
                routes.insert(ssrc(ip, number), members.to_vec());
                let subset = children.iter().filter(|child| members.contains(&child.id));
                sets.push((ssrc(ip, number), subset.copied().collect()));
            }
        }
        let sets: Vec<(u32, &[Child])> = sets.iter().map(|(ssrc, set)| (*ssrc, &set[..])).collect();
        kernel.children(&children, &sets);
        kernel.plane.attach().unwrap();
        let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap();
        let open = |ns: &str, name: &str| lab.in_namespace(ns, || packet_socket(index(name))).unwrap();
        let way_in = open("injection", "eth0");
        with_header(&way_in);
        let configured = |child: &Child| predicate::Child {
            id: child.id,
            macs: [child.mac(), nic_mac(child.nic)],
            source: child.source(),
            address: child.address(),
            ports: child.ports,
            mtu: MTU_OUT,
        };
        let world = World {
            xdp: mode == Mode::Xdp,
            mac: RELAY_MAC,
            addresses: [RELAY_V4.into(), RELAY_V6.into()],
            ports: [AUDIO, VIDEO],
            children: children.iter().map(configured).collect(),
            routes,
            sources: HashMap::new(),
            numbers: HashMap::new(),
        };
        let generator = Generator::new(seed, &children, world.xdp);
        let ways_out = [open("egress", "eth1"), open("egress", "eth2")];
        let (due, books, findings) = (HashMap::new(), Books::default(), BTreeMap::new());
        Self {
            kernel,
            mode,
            world,
            children,
            generator,
            way_in,
            ways_out,
            due,
            books,
            findings,
            packets: 0,
            copies: 0,
        }
    }

    /// Runs the ingress program on so many packets: verdict, bytes and counters. Copies of the tc program are really sent.
    pub fn run_programs(&mut self, packets: u64) {
        let mut ended = 0;
        while ended < packets {
            let before = self.look(false);
            let mut chunk = Vec::new();
            for _ in 0..CHUNK.min(packets - ended) {
                let input = self.generator.packet();
                self.run_program(&input);
                chunk.push(input);
            }
            ended += chunk.len() as u64;
            self.balance(&before, false);
        }
    }

    pub fn run_program(&mut self, input: &Input) {
        // A test run has no tag that the stack has taken and no checksum left to hardware, and wants an IP header.
        let tagged = [0x8100, 0x88a8].contains(&be16(&input.frame, 12));
        if self.mode == Mode::Tc && (tagged || input.partial || input.frame.len() < 54) {
            return;
        }
        let mut expected = self.world.judge(input);
        let senders = expected.left_out.iter().filter(|(_, why)| why.contains(&"child-is-sender")).count();
        if self.mode == Mode::Xdp {
            // Copies are made, and those for their sender turned into blanks, where a test run does not go.
            expected.copies.clear();
            expected.left_out.retain_mut(|(_, why)| {
                why.retain(|why| *why != "child-is-sender");
                !why.is_empty()
            });
        }
        self.note(&expected);
        let ran = self.kernel.run_uncounted(&input.frame);
        let (stack, dropped, copied) = match self.mode {
            Mode::Xdp => (XDP_PASS, XDP_DROP, XDP_REDIRECT),
            _ => (TC_NEXT, TC_SHOT, TC_REDIRECT),
        };
        let fate = match ran.verdict {
            verdict if verdict == stack => Fate::Stack,
            verdict if verdict == dropped => Fate::Dropped,
            verdict if verdict == copied => Fate::Copied,
            verdict => panic!("verdict {verdict}"),
        };
        // The tc program gives the packet itself to the last child, if that one gets a copy.
        let sent_all = self.mode == Mode::Tc && fate == Fate::Dropped && expected.fate == Fate::Copied;
        let blank = self.mode == Mode::Xdp && fate == Fate::Copied && senders > 0;
        if fate != expected.fate && !sent_all && !blank {
            let what = format!("{fate:?}, not {:?} {}", expected.fate, described(&expected));
            self.find(what, hex(&input.frame));
        } else if fate == Fate::Stack && ran.packet != input.frame {
            let example = format!("{}\n  became {}", hex(&input.frame), hex(&ran.packet));
            self.find("not untouched on its way to the stack".to_owned(), example);
        }
        if self.mode != Mode::Tc {
            return;
        }
        let mut copies = expected.copies;
        if fate == Fate::Copied && !copies.is_empty() {
            copies.sort_by_key(|copy| (self.child(copy.child).nic, copy.child));
            let last = copies.pop().unwrap();
            self.copies += 1;
            self.compare(&last, &ran.packet, &input.frame);
        }
        self.expect(copies, &input.frame);
        self.collect();
    }

    /// Sends so many packets as real frames, `buffers` of each hundred as buffers of several packets: copies and counters.
    pub fn run_frames(&mut self, packets: u64, buffers: u64) {
        let mut ended = 0;
        while ended < packets {
            let before = self.look(true);
            for at in 0..CHUNK.min(packets - ended) {
                let input =
                    if at % 100 < buffers { self.generator.buffer() } else { self.generator.packet() };
                self.send(&input);
                ended += 1;
            }
            self.collect();
            self.balance(&before, true);
        }
    }

    /// Sends these as real frames.
    pub fn run_these(&mut self, inputs: &[Input]) {
        let before = self.look(true);
        inputs.iter().for_each(|input| self.send(input));
        self.collect();
        self.balance(&before, true);
    }

    /// Sends one frame; its copies are compared by the next [`Court::collect`] at the latest.
    pub fn send(&mut self, input: &Input) {
        let expected = self.world.judge(input);
        let copies = expected.copies.len();
        if self.due.values().map(VecDeque::len).sum::<usize>() + copies > RING {
            self.collect();
        }
        self.note(&expected);
        self.expect(expected.copies, &input.frame);
        let header = match (input.partial, input.segment) {
            (false, _) => [0; 10],
            (true, 0) => unfinished(udp_at(&input.frame), 0, 0),
            // VIRTIO_NET_HDR_GSO_UDP_L4
            (true, segment) => unfinished(udp_at(&input.frame), 5, segment as u16),
        };
        let sent = self.way_in.write(&[&header[..], &input.frame].concat());
        assert_eq!(sent.unwrap(), input.frame.len() + 10, "{}", hex(&input.frame));
    }

    /// Nothing has been found.
    pub fn assert_agreement(&self, whose: &str) {
        let findings = self.findings.iter();
        let findings: Vec<String> =
            findings.map(|(what, (times, example))| format!("{times} times: {what}\n  {example}")).collect();
        assert!(findings.is_empty(), "{whose}:\n{}", findings.join("\n"));
    }

    fn child(&self, id: u32) -> &Child {
        &self.children[id as usize]
    }

    fn find(&mut self, what: String, example: String) {
        self.findings.entry(what).or_insert((0, example)).0 += 1;
    }

    fn expect(&mut self, copies: Vec<Copy>, frame: &[u8]) {
        for copy in copies {
            self.due.entry(copy.child).or_default().push_back((copy, frame.to_vec()));
        }
    }

    /// Takes the copies that are due off the wires, and whatever else is there.
    pub fn collect(&mut self) {
        let mut buffer = vec![0; 1 << 17];
        let mut last = Instant::now();
        loop {
            let mut idle = true;
            for nic in 0..2 {
                let fd = self.ways_out[nic].as_raw_fd();
                while let Ok(length) = recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                    (idle, last) = (false, Instant::now());
                    self.arrived(&buffer[..length], nic + 1);
                }
            }
            let missing = self.due.values().any(|due| !due.is_empty());
            if idle && (!missing || last.elapsed() > PATIENCE) {
                break;
            }
        }
        for (child, due) in std::mem::take(&mut self.due) {
            for (_, frame) in due {
                self.find(format!("no copy for child {child}"), hex(&frame));
            }
        }
    }

    fn arrived(&mut self, frame: &[u8], nic: usize) {
        let id = u32::from(be16(frame, 4));
        if self.world.xdp && is_blank(frame, nic_mac(nic)) {
            self.books.blanks += 1;
            return;
        }
        let known = frame[..4] == [0x02, 0xc0, 0, 0]
            && self.children.get(id as usize).is_some_and(|child| child.nic == nic);
        if !known {
            return self.find(format!("a frame on eth{nic} that is nobody's copy"), hex(frame));
        }
        let due = self.due.entry(id).or_default();
        // In its place; or some before it have not come; or it is not what it should be.
        let at = due.iter().position(|(copy, _)| is_copy(copy, frame)).unwrap_or(0);
        let missing: Vec<_> = due.drain(..at).collect();
        let found = due.pop_front();
        for (_, original) in missing {
            self.find(format!("no copy for child {id} before the next"), hex(&original));
        }
        match found {
            Some((copy, original)) => {
                self.copies += 1;
                self.compare(&copy, frame, &original);
            }
            None => self.find(format!("a frame more for child {id}"), hex(frame)),
        }
    }

    fn compare(&mut self, copy: &Copy, frame: &[u8], original: &[u8]) {
        if is_copy(copy, frame) {
            return;
        }
        let at = frame.iter().zip(&copy.frame).position(|(one, other)| one != other);
        let what = at.map_or("its length".to_owned(), |at| format!("byte {at}"));
        let example = format!("{}\n  became {}\n  not    {}", hex(original), hex(frame), hex(&copy.frame));
        self.find(format!("a copy is wrong from {what} on"), example);
    }

    fn note(&mut self, expected: &Expected) {
        let packets = expected.packets as u64;
        self.packets += packets;
        let books = &mut self.books;
        books.packets += packets;
        for reason in &expected.reasons {
            let [least, most] = books.reasons.entry(*reason).or_default();
            *least += if expected.reasons.len() == 1 { packets } else { 0 };
            *most += packets;
        }
        let [least, most] = books.reasons.entry("foreign-segment").or_default();
        *least += expected.alongside as u64;
        *most += expected.alongside as u64;
        books.alongside += expected.alongside as u64;
        books.refused += if expected.reasons.is_empty() { 0 } else { packets };
        for (_, why) in &expected.left_out {
            books.left_out += packets;
            for reason in why {
                let [least, most] = books.reasons.entry(reason).or_default();
                *least += if why.len() == 1 { packets } else { 0 };
                *most += packets;
            }
        }
        for copy in &expected.copies {
            let [sent, bytes] = books.sent.entry(copy.child).or_default();
            *sent += packets;
            *bytes += copy.bytes as u64;
        }
    }

    /// `real`: packets were redirected, so that copies were made; a test run of the program does not go there.
    fn look(&self, real: bool) -> (BTreeMap<&'static str, u64>, Vec<[u64; 2]>) {
        let stats = self.children.iter().map(|child| self.kernel.stats(child));
        let counters = if real { self.kernel.counters_with_copies() } else { self.kernel.counters() };
        (counters, stats.map(|stats| [stats.packets, stats.bytes]).collect())
    }

    /// Compares what the counters say with what they should.
    fn balance(&mut self, before: &(BTreeMap<&'static str, u64>, Vec<[u64; 2]>), real: bool) {
        let (counters, sent) = self.look(real);
        let books = std::mem::take(&mut self.books);
        let mut total = 0;
        for (reason, count) in &counters {
            let count = count - before.0[reason];
            total += count;
            let [least, most] = books.reasons.get(reason).copied().unwrap_or_default();
            if !(least..=most).contains(&count) {
                let what = if count < least { "too seldom" } else { "too often" };
                self.find(format!("{reason} is counted {what}"), format!("{count}, not {least} to {most}"));
            }
        }
        for (reason, [least, _]) in &books.reasons {
            if *least > 0 && !counters.contains_key(reason) {
                self.find(format!("there is no reason {reason}"), String::new());
            }
        }
        if total != books.refused + books.left_out + books.alongside {
            let example = format!("{total}, not {} packets + {} copies", books.refused, books.left_out);
            self.find("the reasons do not add up".to_owned(), example);
        }
        if books.blanks > books.left_out {
            let example = format!("{}, but {} copies were not made", books.blanks, books.left_out);
            self.find("too many blanks".to_owned(), example);
        }
        for (id, (now, before)) in (0..).zip(sent.iter().zip(&before.1)) {
            let [expected, bytes] = books.sent.get(&id).copied().unwrap_or_default();
            if [now[0] - before[0], now[1] - before[1]] != [expected, bytes] {
                let example = format!("{now:?} after {before:?}, not {expected} packets, {bytes} bytes more");
                self.find(format!("child {id}'s counters"), example);
            }
        }
    }
}

fn described(expected: &Expected) -> String {
    let reasons: Vec<&str> = expected.reasons.iter().copied().collect();
    format!("{reasons:?}")
}

/// The frame is that copy, padding aside.
fn is_copy(copy: &Copy, frame: &[u8]) -> bool {
    frame.strip_prefix(&copy.frame[..]).is_some_and(|rest| rest.is_empty() || rest == copy.padding)
}

/// A frame that no host acts on, which xdp sends where a copy must not go to its child: nothing from nobody to nobody.
fn is_blank(frame: &[u8], mac: [u8; 6]) -> bool {
    frame.len() <= 60
        && frame[..14] == *[&mac[..], &mac, &[0x88, 0xb5]].concat()
        && frame[14..].iter().all(|byte| *byte == 0)
}

fn udp_at(frame: &[u8]) -> usize {
    let mut at = 12;
    while [0x8100, 0x88a8].contains(&be16(frame, at)) {
        at += 4;
    }
    at + 2 + if be16(frame, at) == 0x0800 { 20 } else { 40 }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
