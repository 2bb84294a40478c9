//! Copies leave at once, whatever the mix of children: one burst is sent, nothing after it, and all of its copies come. The
//! kernel flushes a driver's ring only with the last bulk (16 copies) of a poll, and not at all when the devmap program drops
//! every copy in that bulk; so whoever gets no copy of a packet must not have a slot in its devmap.
//!
//! `MEDIA_TREE_MIXES=all` (or `cargo xtask judge`) tries every mix of 1 to 40 children; otherwise some drawn by a seed.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use crate::support::frames::rtp;
use crate::support::wire::Tap;
use crate::support::{Child, Ip, Kernel, RELAY_V4, RELAY_V6, VIDEO, with_kernel};
use lab::random::Random;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt, sockopt};
use relay_common::reason::Reason;
use relay_ctl::kernel::Mode;

/// Bytes of RTP in each packet.
const SEGMENT: usize = 100;
/// More copies on one interface than this at once overflow a veth's ring, which holds 256.
const RING: usize = 200;
const MOST: usize = 40;
const SEED: u64 = 13;
/// Slower than this is counted and printed: on a machine with other work it is not the relay's fault.
const LATE: Duration = Duration::from_millis(5);
/// What has not come by then waits for the next packet.
const STUCK: Duration = Duration::from_millis(500);

/// How a sender gives a burst to its kernel.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// One call for each packet.
    Each,
    /// One call for all (`sendmmsg`).
    Together,
    /// One message that is all packets (UDP_SEGMENT).
    Segments,
}

const FORMS: [Form; 3] = [Form::Each, Form::Together, Form::Segments];

#[derive(Clone, Debug)]
struct Case {
    children: Vec<Child>,
    media: Ip,
    /// The child that sends the media itself, from its own address and port.
    sender: Option<Child>,
    /// Form and number of packets.
    bursts: Vec<(Form, usize)>,
}

impl Case {
    /// Children in the order that they are in the devmap, if behind one interface.
    fn new(families: &[Ip], interfaces: usize, media: Ip) -> Self {
        let child = |(id, ip): (usize, &Ip)| Child {
            id: id as u32,
            nic: 1 + id % interfaces,
            ip: *ip,
            ports: [5002, 5004],
        };
        let children = families.iter().enumerate().map(child).collect();
        Self { children, media, sender: None, bursts: Vec::new() }
    }

    fn sent_by_the_last(mut self) -> Self {
        self.sender = self.children.iter().rfind(|child| child.ip == self.media).copied();
        self
    }

    fn bursts(mut self, form: Form, packets: usize, times: usize) -> Self {
        self.bursts = vec![(form, packets); times];
        self
    }

    fn gets_copies(&self, child: &Child) -> bool {
        child.ip == self.media && self.sender != Some(*child)
    }

    fn receivers(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().filter(|child| self.gets_copies(child))
    }
}

/// A mix of so many children of each family, in any order, any sender and any bursts.
fn drawn(random: &mut Random, v4: usize, v6: usize, interfaces: usize) -> Case {
    let mut families = [vec![Ip::V4; v4], vec![Ip::V6; v6]].concat();
    for at in (1..families.len()).rev() {
        families.swap(at, random.below(at + 1));
    }
    let mut case = Case::new(&families, interfaces, if random.below(2) == 0 { Ip::V4 } else { Ip::V6 });
    let own: Vec<Child> = case.children.iter().filter(|child| child.ip == case.media).copied().collect();
    if !own.is_empty() && random.below(2) == 0 {
        case.sender = Some(own[random.below(own.len())]);
    }
    let most = (RING / case.receivers().count().max(1)).min(64);
    let burst = |form| (form, [1, 2, 3, 5, 11, 15, 16, 17, 33, 64][random.below(10)].min(most));
    case.bursts = FORMS.map(burst).to_vec();
    case
}

fn cases() -> Vec<Case> {
    let mut random = Random::new(SEED);
    let all = std::env::var("MEDIA_TREE_MIXES").is_ok_and(|mixes| mixes == "all");
    let mut cases = Vec::new();
    for interfaces in [1, 2] {
        for v4 in 0..=MOST {
            for v6 in usize::from(v4 == 0)..=MOST - v4 {
                // Those around whole bulks are the ones that matter most.
                let edge =
                    [15, 16, 17, 32, 33].contains(&v4) && v6 <= 1 || [(2, 1), (1, 16)].contains(&(v4, v6));
                if all || edge || random.below(20) == 0 {
                    cases.push(drawn(&mut random, v4, v6, interfaces));
                }
            }
        }
    }
    cases
}

/// Sockets of the sender's host, and what comes to the children.
struct Bench<'a, 'lab> {
    kernel: &'a mut Kernel<'lab>,
    taps: [Tap; 2],
    sequence: u16,
    ssrc: u32,
    copies: u64,
    late: u64,
}

impl<'a, 'lab> Bench<'a, 'lab> {
    fn new(kernel: &'a mut Kernel<'lab>) -> Self {
        kernel.plane.attach().unwrap();
        let mut commands = String::from(
            "address add 10.0.1.2/24 dev eth0\naddress add fd00:0:0:1::2/64 dev eth0 nodad\n\
             neighbour replace 10.0.1.1 lladdr 02:00:00:00:01:01 dev eth0\n\
             neighbour replace fd00:0:0:1::1 lladdr 02:00:00:00:01:01 dev eth0\n",
        );
        // Whichever child sends does so from this host.
        for id in 0..=MOST as u32 {
            for (nic, ip) in [(1, Ip::V4), (2, Ip::V4), (1, Ip::V6), (2, Ip::V6)] {
                let address = Child { id, nic, ip, ports: [0; 2] }.address();
                let nodad = if address.is_ipv6() { " nodad" } else { "" };
                commands += &format!("address add {address} dev lo{nodad}\n");
            }
        }
        let file = kernel.lab.directory().join("addresses");
        std::fs::write(&file, commands).unwrap();
        kernel.lab.run("injection", &["ip", "-batch", file.to_str().unwrap()]).unwrap();
        let taps = [1, 2].map(|nic| Tap::open(kernel.lab, nic));
        Self { kernel, taps, sequence: 0, ssrc: 0, copies: 0, late: 0 }
    }

    /// Sends the case's bursts, each of them alone.
    fn run(&mut self, case: &Case) -> Result<(), String> {
        self.kernel.children(&case.children, &[]);
        self.ssrc += 1;
        let (from, to): (SocketAddr, SocketAddr) = match case.media {
            Ip::V4 => (([10, 0, 1, 2], 40_000).into(), (RELAY_V4, VIDEO).into()),
            Ip::V6 => (([0xfd00, 0, 0, 1, 0, 0, 0, 2], 40_000).into(), (RELAY_V6, VIDEO).into()),
        };
        let from = case.sender.map_or(from, |child| child.goal(VIDEO));
        let socket = self.kernel.lab.in_namespace("injection", || UdpSocket::bind(from)).unwrap().unwrap();
        socket.connect(to).unwrap();
        for (form, packets) in &case.bursts {
            self.burst(case, &socket, *form, *packets).map_err(|error| {
                let count = |ip| case.children.iter().filter(|child| child.ip == ip).count();
                format!(
                    "{} IPv4 and {} IPv6 children, {:?} media from {:?}, {packets} packets by {form:?}: {error}",
                    count(Ip::V4),
                    count(Ip::V6),
                    case.media,
                    case.sender.map(|child| child.id)
                )
            })?;
        }
        Ok(())
    }

    fn burst(&mut self, case: &Case, socket: &UdpSocket, form: Form, packets: usize) -> Result<(), String> {
        let reasons = [Reason::OtherFamily, Reason::ChildIsSender];
        let before = reasons.map(|reason| self.kernel.count(reason));
        let sequences: Vec<u16> = (0..packets as u16).map(|at| self.sequence.wrapping_add(at)).collect();
        self.sequence = self.sequence.wrapping_add(packets as u16);
        let payloads: Vec<Vec<u8>> =
            sequences.iter().map(|sequence| rtp(self.ssrc, *sequence, SEGMENT)).collect();
        let sent = Instant::now();
        send(socket, form, &payloads);
        let expected: BTreeMap<u32, Vec<u16>> =
            case.receivers().map(|child| (child.id, sequences.clone())).collect();
        let wanted = expected.len() * packets;
        let mut arrived: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
        let mut copies = 0;
        while copies < wanted && sent.elapsed() < STUCK {
            for tap in &mut self.taps {
                while let Some(frame) = tap.next(0) {
                    let found = sequences_of(&frame, case.media, self.ssrc);
                    if found.is_empty() {
                        continue;
                    }
                    copies += found.len();
                    self.late += if sent.elapsed() > LATE { found.len() as u64 } else { 0 };
                    let child = u32::from(frame[4]) << 8 | u32::from(frame[5]);
                    arrived.entry(child).or_default().extend(found);
                }
            }
            std::thread::yield_now();
        }
        self.copies += copies as u64;
        if copies < wanted {
            return Err(format!("{copies} of {wanted} copies within {STUCK:?}"));
        }
        if arrived != expected {
            return Err(format!("copies are not what was sent: {arrived:?}"));
        }
        let left_out = case.children.iter().filter(|child| child.ip != case.media).count();
        let expected = [left_out, usize::from(case.sender.is_some())].map(|count| (count * packets) as u64);
        let counted = [0, 1].map(|at| self.kernel.count(reasons[at]) - before[at]);
        // Packets that nobody is there for at all may have a reason of their own.
        if wanted > 0 && counted != expected {
            return Err(format!("{reasons:?}: {counted:?}, not {expected:?}"));
        }
        Ok(())
    }
}

/// The sequence numbers in a copy, which may be several packets; none if it was stuck since a case before.
fn sequences_of(frame: &[u8], media: Ip, ssrc: u32) -> Vec<u16> {
    let payload = &frame[14 + if media == Ip::V4 { 28 } else { 48 }..];
    let own = payload.chunks(SEGMENT).filter(|packet| packet[8..12] == ssrc.to_be_bytes());
    own.map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect()
}

fn send(socket: &UdpSocket, form: Form, payloads: &[Vec<u8>]) {
    match form {
        Form::Each => {
            for payload in payloads {
                assert_eq!(socket.send(payload).unwrap(), SEGMENT);
            }
        }
        Form::Together => {
            let slices: Vec<[IoSlice<'_>; 1]> =
                payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
            let to = vec![None; slices.len()];
            let sent =
                sendmmsg(socket.as_raw_fd(), &mut headers, &slices, to, [], MsgFlags::empty()).unwrap();
            assert_eq!(sent.count(), payloads.len());
        }
        Form::Segments => {
            setsockopt(socket, sockopt::UdpGsoSegment, &(SEGMENT as i32)).unwrap();
            assert_eq!(socket.send(&payloads.concat()).unwrap(), SEGMENT * payloads.len());
            setsockopt(socket, sockopt::UdpGsoSegment, &0).unwrap();
        }
    }
}

fn check(name: &str, mode: Mode, cases: &[Case]) {
    with_kernel(name, mode, |kernel| {
        let mut bench = Bench::new(kernel);
        let failed: Vec<String> = cases.iter().filter_map(|case| bench.run(case).err()).take(5).collect();
        assert!(failed.is_empty(), "{mode}, after {} copies:\n{}", bench.copies, failed.join("\n"));
        println!(
            "{mode}: {} mixes, {} copies, {} later than {LATE:?}",
            cases.len(),
            bench.copies,
            bench.late
        );
    });
}

fn in_both_modes(name: &str, case: &Case) {
    for mode in [Mode::Xdp, Mode::Tc] {
        check(name, mode, std::slice::from_ref(case));
    }
}

/// Reported from the field: bursts of one packet, at a low rate.
#[test]
fn sixteen_ipv4_children_and_one_ipv6_child() {
    let families = [vec![Ip::V4; 16], vec![Ip::V6]].concat();
    let case = Case::new(&families, 1, Ip::V4).bursts(Form::Each, 1, 300);
    in_both_modes("16-1", &case);
}

#[test]
fn two_ipv4_children_and_one_ipv6_child_with_messages_of_eleven_packets() {
    let case = Case::new(&[Ip::V4, Ip::V4, Ip::V6], 1, Ip::V4).bursts(Form::Segments, 11, 100);
    in_both_modes("2-1", &case);
}

#[test]
fn seventeen_ipv4_children_of_which_the_last_is_the_sender() {
    let case = Case::new(&[Ip::V4; 17], 1, Ip::V4).sent_by_the_last().bursts(Form::Each, 1, 300);
    in_both_modes("17", &case);
}

#[test]
fn one_ipv4_child_and_sixteen_ipv6_children() {
    let families = [vec![Ip::V4], vec![Ip::V6; 16]].concat();
    let case = Case::new(&families, 1, Ip::V4).bursts(Form::Each, 1, 300);
    in_both_modes("1-16", &case);
}

#[test]
fn any_mix_of_children_in_xdp_mode() {
    check("mixes", Mode::Xdp, &cases());
}

#[test]
fn any_mix_of_children_in_tc_mode() {
    check("mixes", Mode::Tc, &cases());
}
