use std::convert::Infallible;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use proptest::prelude::*;

use super::*;

struct Net {
    batch: Batch,
    viewers: Vec<UdpSocket>,
}

impl Net {
    /// A media port and viewers on this machine.
    fn new(media: &str, viewers: usize) -> Net {
        let socket = Arc::new(UdpSocket::bind(media).unwrap());
        let viewers = (0..viewers).map(|_| {
            let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
            viewer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            viewer
        });
        Net { batch: Batch::new(socket).unwrap(), viewers: viewers.collect() }
    }

    fn path(&self, viewer: usize) -> Path {
        Path::Udp(self.viewers[viewer].local_addr().unwrap())
    }

    fn push(&mut self, viewer: usize, packet: &[u8]) {
        let path = self.path(viewer);
        push(&mut self.batch, viewer, &path, packet);
    }

    fn received(&self, viewer: usize) -> Vec<u8> {
        let mut packet = vec![0; 70_000];
        let length = self.viewers[viewer].recv(&mut packet).unwrap();
        packet.truncate(length);
        packet
    }
}

fn push(batch: &mut Batch, seat: usize, path: &Path, packet: &[u8]) {
    let filled = batch.push(Seat(seat as u64), path, packet.len(), |room| {
        room.copy_from_slice(packet);
        Ok::<_, Infallible>(())
    });
    filled.unwrap();
}

/// Lengths as frames have them: equal ones and a shorter last one, a longer one after that, empty ones, one alone.
#[test]
fn each_viewer_gets_its_packets_as_they_were_put_in() {
    let mut net = Net::new("127.0.0.1:0", 3);
    let lengths =
        [[1000, 1000, 400, 900, 0, 0, 7], [1, 2, 3, 3, 3, 2, 1], [1200, 1200, 1200, 1200, 1200, 60, 60]];
    for (viewer, lengths) in lengths.into_iter().enumerate() {
        for (number, length) in lengths.into_iter().enumerate() {
            net.push(viewer, &vec![(viewer * 16 + number) as u8; length]);
        }
    }
    net.batch.flush();
    for (viewer, lengths) in lengths.into_iter().enumerate() {
        for (number, length) in lengths.into_iter().enumerate() {
            assert_eq!(net.received(viewer), vec![(viewer * 16 + number) as u8; length], "{viewer} {number}");
        }
    }
    let counts = net.batch.counts();
    assert_eq!((counts.packets, counts.dropped().map(|(_, count)| count)), (21, [0; 4]));
    assert_eq!(counts.bytes, lengths.iter().flatten().sum::<usize>() as u64);
    assert_eq!(counts.calls, 1);
    assert_eq!(net.batch.failed().count(), 0);
}

/// The kernel takes 64 packets and 64 KB at once, and there is room for so many: all more go with the next call.
#[test]
fn any_number_of_packets_is_sent() {
    let mut net = Net::new("127.0.0.1:0", 1);
    for (count, length) in [(200, 100), (3, 65_000), (60, 1200), (1100, 1)] {
        for number in 0..count {
            net.push(0, &vec![number as u8; length]);
            if number % 100 == 99 {
                // What a socket keeps for its reader is less than all of them.
                net.batch.flush();
                (number - 99..=number)
                    .for_each(|number| assert_eq!(net.received(0), vec![number as u8; length]));
            }
        }
        net.batch.flush();
        (count / 100 * 100..count).for_each(|number| assert_eq!(net.received(0), vec![number as u8; length]));
    }
    assert_eq!(net.batch.counts().packets, 200 + 3 + 60 + 1100);
}

#[test]
fn a_kernel_without_segments_gets_them_one_by_one() {
    let mut net = Net::new("127.0.0.1:0", 2);
    net.batch.way_out.segments = false;
    for number in 0..10 {
        net.push(number % 2, &[number as u8; 500]);
        net.push(number % 2, &[number as u8; 500]);
    }
    assert_eq!(net.batch.datagrams.len(), 20);
    net.batch.flush();
    for number in 0..10 {
        assert_eq!(net.received(number % 2), [number as u8; 500]);
        assert_eq!(net.received(number % 2), [number as u8; 500]);
    }
    assert_eq!(net.batch.counts().calls, 1);
}

/// What cannot be sent to one viewer is its loss alone.
#[test]
fn who_cannot_be_reached_keeps_nobody_from_media() {
    let mut net = Net::new("127.0.0.1:0", 2);
    let nowhere = [
        // A socket on the loopback address has no way out of the machine.
        Path::Udp(SocketAddr::from(([192, 0, 2, 1], 9))),
        // Of the other IP version.
        Path::Udp("[2001:db8::1]:9".parse().unwrap()),
    ];
    net.push(0, b"first");
    for (number, path) in nowhere.iter().enumerate() {
        push(&mut net.batch, 10 + number, path, b"lost");
        push(&mut net.batch, 10 + number, path, b"lost");
        net.push(1, &[number as u8]);
    }
    push(&mut net.batch, 20, &net.viewers[0].local_addr().map(Path::Udp).unwrap(), &[0; 65_001]);
    net.push(0, b"last");
    net.batch.flush();
    assert_eq!((net.received(0), net.received(0)), (b"first".to_vec(), b"last".to_vec()));
    (0..2).for_each(|number| assert_eq!(net.received(1), [number]));
    let counts = net.batch.counts();
    assert_eq!((counts.packets, counts.refused, counts.too_long), (4, 4, 1));
    let mut failed: Vec<_> = net.batch.failed().collect();
    failed.sort_unstable();
    assert_eq!(failed, [(Seat(10), 2), (Seat(11), 2), (Seat(20), 1)]);
    assert_eq!(net.batch.failed().count(), 0);
}

#[test]
fn a_packet_that_was_not_written_is_not_sent() {
    let mut net = Net::new("127.0.0.1:0", 1);
    let path = net.path(0);
    net.push(0, b"one");
    assert_eq!(net.batch.push(Seat(0), &path, 3, |_| Err("no")), Err("no"));
    net.push(0, b"two");
    net.batch.flush();
    assert_eq!((net.received(0), net.received(0)), (b"one".to_vec(), b"two".to_vec()));
}

#[test]
fn both_ip_versions_leave_by_one_port() {
    let mut net = Net::new("[::]:0", 1);
    let viewer = UdpSocket::bind("[::1]:0").unwrap();
    net.push(0, b"four");
    push(&mut net.batch, 1, &Path::Udp(viewer.local_addr().unwrap()), b"six");
    net.batch.flush();
    assert_eq!(net.received(0), b"four");
    let mut packet = [0; 9];
    let length = viewer.recv(&mut packet).unwrap();
    assert_eq!(&packet[..length], b"six");
}

fn connection() -> (Arc<Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, peer) = listener.accept().unwrap();
    (Arc::new(Connection::new(1, ours, peer).unwrap()), reader)
}

#[test]
fn connections_get_framed_packets() {
    let (connection, mut reader) = connection();
    let mut net = Net::new("127.0.0.1:0", 1);
    let path = Path::Tcp(connection);
    push(&mut net.batch, 1, &path, b"one");
    push(&mut net.batch, 1, &path, b"three");
    net.push(0, b"beside");
    push(&mut net.batch, 1, &path, b"");
    net.batch.flush();
    assert_eq!(net.received(0), b"beside");
    let mut frames = [0; 14];
    reader.read_exact(&mut frames).unwrap();
    assert_eq!(&frames, b"\0\x03one\0\x05three\0\0");
    let counts = net.batch.counts();
    assert_eq!((counts.packets, counts.bytes, counts.slow), (4, 14, 0));
}

/// Nobody reads: what is lost is that viewer's, and counted.
#[test]
fn a_slow_connection_keeps_nobody_from_media() {
    let (connection, _reader) = connection();
    let mut net = Net::new("127.0.0.1:0", 1);
    let path = Path::Tcp(connection);
    for number in 0..200 {
        // Together more than both sides' buffers hold.
        (0..100).for_each(|_| push(&mut net.batch, 1, &path, &[7; 1200]));
        net.push(0, &[number]);
        net.batch.flush();
        assert_eq!(net.received(0), [number]);
    }
    let lost: usize =
        net.batch.failed().map(|(seat, packets)| if seat == Seat(1) { packets } else { 0 }).sum();
    let counts = net.batch.counts();
    assert!(lost > 0);
    assert_eq!((counts.slow, counts.packets), (lost as u64, 200 + 20_000 - lost as u64));
}

#[test]
fn the_kernels_refusals_are_understood() {
    for (errno, packets, wanted) in [
        (libc::EAGAIN, 1, Verdict::Wait),
        (libc::EAGAIN, 9, Verdict::Wait),
        (libc::EINTR, 1, Verdict::Again),
        (libc::EIO, 9, Verdict::Apart { for_good: true }),
        (libc::EIO, 1, Verdict::Drop(Failure::Refused)),
        (libc::EINVAL, 9, Verdict::Apart { for_good: false }),
        (libc::EINVAL, 1, Verdict::Drop(Failure::Refused)),
        (libc::EMSGSIZE, 9, Verdict::Apart { for_good: false }),
        (libc::EMSGSIZE, 1, Verdict::Drop(Failure::TooLong)),
        (libc::ENOBUFS, 9, Verdict::Drop(Failure::Full)),
        (libc::ENETUNREACH, 9, Verdict::Drop(Failure::Refused)),
        (libc::EPERM, 1, Verdict::Drop(Failure::Refused)),
    ] {
        assert_eq!(judge(&io::Error::from_raw_os_error(errno), packets), wanted, "{errno} {packets}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lengths follow each other, for whomever, and whenever it is sent: each viewer gets its packets in order.
    #[test]
    fn nothing_is_lost_or_changes_places(
        packets in prop::collection::vec((0..3_usize, prop_oneof![0..4_usize, 1190..1200_usize]), 1..50),
        flush in prop::collection::vec(any::<bool>(), 50),
        segments: bool,
    ) {
        let mut net = Net::new("127.0.0.1:0", 3);
        net.batch.way_out.segments &= segments;
        for (number, (viewer, length)) in packets.iter().enumerate() {
            net.push(*viewer, &vec![number as u8; *length]);
            if flush[number] {
                net.batch.flush();
            }
        }
        net.batch.flush();
        for (number, (viewer, length)) in packets.iter().enumerate() {
            prop_assert_eq!(net.received(*viewer), vec![number as u8; *length]);
        }
        prop_assert_eq!(net.batch.counts().packets, packets.len() as u64);
    }
}
