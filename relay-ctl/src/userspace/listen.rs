//! The listening sockets: which ones a [`Listen`] asks for, and from which of them a child's copy leaves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc;
use relay_common::layout::{AUDIO, VIDEO};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Listen, UserspaceError, outbox, socket};

/// Wanted size of a socket's buffers; without CAP_NET_ADMIN the kernel gives no more than `net.core.[rw]mem_max`.
const BUFFER: usize = 8 << 20;
/// Wanted size of a lane's send buffer: some 900 copies that are on their way to one child.
const LANE_BUFFER: usize = 1 << 20;
/// A receive buffer below this holds less than about 20 ms of a busy relay.
const SMALL_BUFFER: usize = 1 << 20;

/// IP version as an index of [`Endpoint::ways`].
pub const V4: usize = 0;
/// IP version as an index of [`Endpoint::ways`].
pub const V6: usize = 1;

/// One listening socket.
pub struct Endpoint {
    pub socket: Socket,
    pub local: SocketAddr,
    /// RTP port of the pair, which names the stream for RTP and RTCP.
    pub port: u16,
    /// This is the RTCP port of the pair.
    pub rtcp: bool,
    /// The endpoint of the same group that sends to children of each IP version: itself where it can.
    pub ways: [Option<usize>; 2],
    /// The kernel takes several packets in one message.
    pub segments: bool,
    /// Sends what goes up the tree, so that copies which are stuck on their way down cannot hold it up.
    pub upward: Option<Socket>,
    /// IP versions the socket itself can send.
    sends: [bool; 2],
}

/// All sockets of one port pair.
pub struct Group {
    pub kind: u8,
    pub endpoints: Vec<Endpoint>,
}

/// Opens every socket or none. `true`: IPv4 children are addressed as IPv4-mapped, through dual-stack sockets.
pub fn open(listen: &Listen) -> Result<([Group; 2], bool), UserspaceError> {
    let [audio, video] = listen.ports;
    if audio == 0 || video == 0 || audio == u16::MAX || video == u16::MAX || audio.abs_diff(video) < 2 {
        return Err(UserspaceError::Ports(listen.ports));
    }
    let (addresses, dual) = addresses(&listen.addresses);
    let groups = [group(AUDIO, audio, &addresses, dual)?, group(VIDEO, video, &addresses, dual)?];
    Ok((groups, dual))
}

/// The addresses to bind, and whether `::` among them takes IPv4 as well.
fn addresses(wanted: &[IpAddr]) -> (Vec<IpAddr>, bool) {
    if wanted.is_empty() {
        // A kernel without IPv6 refuses the socket itself (`ipv6.disable=1`).
        return match Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)) {
            Ok(_) => (vec![Ipv6Addr::UNSPECIFIED.into()], true),
            Err(_) => (vec![Ipv4Addr::UNSPECIFIED.into()], false),
        };
    }
    let mut addresses: Vec<IpAddr> = wanted.iter().map(IpAddr::to_canonical).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let any = addresses.contains(&IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let dual = any && !addresses.iter().any(IpAddr::is_ipv4);
    (addresses, dual)
}

fn group(kind: u8, port: u16, addresses: &[IpAddr], dual: bool) -> Result<Group, UserspaceError> {
    let mut endpoints = Vec::new();
    for rtcp in [false, true] {
        for address in addresses {
            let local = SocketAddr::new(*address, port + u16::from(rtcp));
            let sends = [address.is_ipv4() || dual, address.is_ipv6()];
            let socket = socket_at(local, dual).map_err(|error| UserspaceError::listen(local, error))?;
            let segments = outbox::segments(&socket);
            let mut endpoint =
                Endpoint { socket, local, port, rtcp, ways: [None; 2], segments, upward: None, sends };
            // Without it the common socket has to do.
            endpoint.upward = lane(&endpoint).ok();
            endpoints.push(endpoint);
        }
    }
    for index in 0..endpoints.len() {
        endpoints[index].ways = [V4, V6].map(|version| way(&endpoints, index, version));
    }
    Ok(Group { kind, endpoints })
}

/// Which endpoint sends the copies of packets that came to endpoint `from`: the source port must stay.
fn way(endpoints: &[Endpoint], from: usize, version: usize) -> Option<usize> {
    if endpoints[from].sends[version] {
        return Some(from);
    }
    endpoints.iter().position(|other| other.rtcp == endpoints[from].rtcp && other.sends[version])
}

/// A socket with all its options, bound.
///
/// It shares its port with the sockets that [`lane`] opens, so that their copies come from the port that media comes to
/// (RFC 4961); but all that comes to the port is its own: it is the first of their SO_REUSEPORT group, and a program says
/// that the group's packets go to the first. To bind it all the same needs the port for itself, as the option is not set
/// meanwhile: another program's socket on the port is an error here, and one that comes later gets nothing.
pub fn socket_at(local: SocketAddr, dual: bool) -> std::io::Result<Socket> {
    let udp = unbound(local, !dual)?;
    // Loops of relays end only because the hop count goes down.
    socket::set(&udp, libc::SOL_IP, libc::IP_RECVTTL, 1)?;
    if local.is_ipv6() {
        socket::set(&udp, libc::SOL_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
        optional(&udp, libc::SOL_IPV6, libc::IPV6_RECVTCLASS, "IPV6_RECVTCLASS");
        optional(&udp, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO");
    }
    optional(&udp, libc::SOL_IP, libc::IP_RECVTOS, "IP_RECVTOS");
    optional(&udp, libc::SOL_IP, libc::IP_PKTINFO, "IP_PKTINFO");
    optional(&udp, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS");
    buffers(&udp, local)?;
    udp.set_reuse_port(true)?;
    let leads = socket::all_to_the_first(&udp);
    udp.set_reuse_port(false)?;
    udp.bind(&local.into())?;
    match leads {
        Ok(()) => udp.set_reuse_port(true)?,
        Err(error) => tracing::debug!(%error, %local, "no other socket can send from this port"),
    }
    Ok(udp)
}

/// A socket that sends from an endpoint's address and port and gets nothing.
pub fn lane(endpoint: &Endpoint) -> std::io::Result<Socket> {
    let local = endpoint.local;
    let udp = unbound(local, local.is_ipv6() && endpoint.socket.only_v6()?)?;
    // Packets to one host go to the endpoint; broadcasts would go to every socket on the port.
    socket::drop_all(&udp)?;
    if socket::set(&udp, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, LANE_BUFFER as i32).is_err() {
        udp.set_send_buffer_size(LANE_BUFFER)?;
    }
    udp.set_reuse_port(true)?;
    udp.bind(&local.into())?;
    Ok(udp)
}

/// A socket with the options that sending needs, not bound yet.
fn unbound(local: SocketAddr, only_v6: bool) -> std::io::Result<Socket> {
    let udp = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    // An ICMP "port unreachable" from one child must not become an error of the next call for another (ip(7)).
    socket::set(&udp, libc::SOL_IP, libc::IP_RECVERR, 0)?;
    if local.is_ipv6() {
        udp.set_only_v6(only_v6)?;
        socket::set(&udp, libc::SOL_IPV6, libc::IPV6_RECVERR, 0)?;
    }
    // What comes together from one sender takes the way through the stack once. All sockets of a port have it: where
    // the kernel puts packets together it may look at any of them, whichever gets them in the end.
    optional(&udp, libc::SOL_UDP, libc::UDP_GRO, "UDP_GRO");
    udp.set_nonblocking(true)?;
    Ok(udp)
}

/// Options without which packets are still forwarded: DSCP, arrival times and captures are then less exact, or it costs more.
fn optional(udp: &Socket, level: i32, name: i32, text: &str) {
    if let Err(error) = socket::set(udp, level, name, 1) {
        tracing::debug!(%error, "socket option {text} is not available");
    }
}

fn buffers(udp: &Socket, local: SocketAddr) -> std::io::Result<()> {
    let wanted = BUFFER as i32;
    if socket::set(udp, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
        udp.set_recv_buffer_size(BUFFER)?;
    }
    if socket::set(udp, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted).is_err() {
        udp.set_send_buffer_size(BUFFER)?;
    }
    let granted = udp.recv_buffer_size()?;
    if granted < SMALL_BUFFER {
        tracing::warn!(
            %local,
            granted,
            "small receive buffer: bursts may be lost; raise it with `sysctl net.core.rmem_max={BUFFER}`"
        );
    }
    Ok(())
}
