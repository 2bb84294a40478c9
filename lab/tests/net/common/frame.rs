//! Ethernet frames built by hand and sent as they are, for what no UDP socket can send.

use std::fs::File;
use std::io::Write as _;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV6};
use std::os::fd::FromRawFd as _;

use lab::{Endpoint, Lab};

/// A packet socket bound to one interface of a namespace.
pub struct RawLink {
    socket: File,
}

impl RawLink {
    pub fn open(lab: &Lab, endpoint: &Endpoint) -> Self {
        let index = interface_index(lab, endpoint);
        let socket = lab.in_namespace(&endpoint.namespace, || packet_socket(index)).unwrap();
        Self { socket }
    }

    pub fn send(&mut self, frame: &[u8]) {
        assert_eq!(self.socket.write(frame).unwrap(), frame.len());
    }
}

fn packet_socket(index: i32) -> File {
    // SAFETY: no memory is passed; protocol 0 receives nothing.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is open and nobody else's.
    let socket = unsafe { File::from_raw_fd(fd) };
    // SAFETY: plain integers and bytes, for which all zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index;
    let length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: an open descriptor, and an address that lives through the call with its right length.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), length) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
    socket
}

fn interface_index(lab: &Lab, endpoint: &Endpoint) -> i32 {
    // "2: eth0@if3: <BROADCAST,…> …"
    let line = lab.run(&endpoint.namespace, &["ip", "-o", "link", "show", &endpoint.interface]).unwrap();
    line.split_once(':').unwrap().0.trim().parse().unwrap()
}

/// The MAC address of an interface.
pub fn mac(lab: &Lab, endpoint: &Endpoint) -> [u8; 6] {
    let line = lab.run(&endpoint.namespace, &["ip", "-o", "link", "show", &endpoint.interface]).unwrap();
    let text = line.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Where a frame comes from and goes to.
#[derive(Clone, Copy)]
pub struct Path {
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    pub source: (Ipv4Addr, u16),
    pub destination: (Ipv4Addr, u16),
}

/// An IPv4 UDP frame with right checksums, tagged with a VLAN id (802.1Q) or not.
pub fn udp4(path: Path, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let udp_length = (8 + payload.len()) as u16;
    let mut udp =
        [path.source.1.to_be_bytes(), path.destination.1.to_be_bytes(), udp_length.to_be_bytes(), [0; 2]]
            .concat();
    udp.extend_from_slice(payload);
    let addresses = [path.source.0.octets(), path.destination.0.octets()].concat();
    let pseudo = [&addresses[..], &[0, 17], &udp_length.to_be_bytes(), &udp].concat();
    udp[6..8].copy_from_slice(&checksum(&pseudo).to_be_bytes());

    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + udp_length).to_be_bytes());
    // No fragment (RFC 791: don't fragment), TTL 64, UDP.
    ip.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend_from_slice(&addresses);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    let mut frame = [path.destination_mac, path.source_mac].concat();
    if let Some(id) = vlan {
        frame.extend_from_slice(&[0x81, 0x00]);
        frame.extend_from_slice(&id.to_be_bytes());
    }
    frame.extend_from_slice(&[0x08, 0x00]);
    [frame, ip, udp].concat()
}

/// An IPv6 UDP frame with a right checksum. `macs`: source, destination.
pub fn udp6(macs: [[u8; 6]; 2], source: SocketAddrV6, destination: SocketAddrV6, payload: &[u8]) -> Vec<u8> {
    let length = ((8 + payload.len()) as u16).to_be_bytes();
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let addresses = [source.ip().octets(), destination.ip().octets()].concat();
    let sum = checksum(&[&addresses[..], &[0, 17], &length, &ports, &length, &[0, 0], payload].concat());
    let ethernet = [&macs[1][..], &macs[0], &[0x86, 0xdd]].concat();
    // Version 6, no class and no label; UDP, hop limit 64.
    let ip = [&[0x60, 0, 0, 0][..], &length, &[17, 64], &addresses].concat();
    [&ethernet[..], &ip, &ports, &length, &sum.to_be_bytes(), payload].concat()
}

/// The Internet checksum (RFC 1071); a UDP sum of 0 goes out as ffff (RFC 768).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}
