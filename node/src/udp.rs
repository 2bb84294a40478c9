//! UDP sockets for media: with as large a buffer as the kernel lets us have, and what came while it was full.
//!
//! A keyframe of a thousand viewers' worth of streams comes in one burst, and whoever reads may be kept from it for a moment.
//! What finds no room then is lost without a word, unless somebody asks the kernel ([`drops`]).

use std::fs;
use std::io::{self, IoSlice};
use std::mem::size_of_val;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::port::{Transport, refusal};

/// Asked of the kernel for bursts, in bytes; it may give less.
pub const BUFFER: usize = 4 << 20;
/// The most that it gives to a process without CAP_NET_ADMIN.
const LIMIT: &str = "/proc/sys/net/core/rmem_max";
/// How long a loss is worth a warning.
const RECENT: Duration = Duration::from_secs(60);

/// Whether an IPv6 socket takes IPv4 as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Only the version of the address.
    One,
    /// IPv4 too, mapped.
    Both,
}

/// A socket that does not block, with [`BUFFER`] in both directions as far as the kernel allows. An error names the address
/// and who has the port.
pub fn bind(address: SocketAddr, versions: Versions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(versions == Versions::One)?;
    }
    // With CAP_NET_ADMIN past the limit, without it up to there.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER);
    }
    if setsockopt(&socket, sockopt::SndBufForce, &BUFFER).is_err() {
        let _ = socket.set_send_buffer_size(BUFFER);
    }
    socket.set_nonblocking(true)?;
    let at = |error: io::Error| {
        io::Error::new(error.kind(), format!("UDP {address}: {}", refusal(Transport::Udp, address, &error)))
    };
    socket.bind(&address.into()).map_err(at)?;
    Ok(socket.into())
}

/// Sends without waiting, from the address `own` if that is one of this machine and of the IP version of `to`; else from the one
/// that the routing table chooses.
pub fn send_from(
    socket: &impl AsFd,
    own: Option<IpAddr>,
    packet: &[u8],
    to: SocketAddr,
) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    let send = |control: &[ControlMessage<'_>]| {
        let name = SockaddrStorage::from(to);
        sendmsg(fd, &[IoSlice::new(packet)], control, MsgFlags::MSG_DONTWAIT, Some(&name))
    };
    let is_mapped = matches!(to.ip(), IpAddr::V6(to) if to.to_ipv4_mapped().is_some());
    let chosen = match (own.map(|own| own.to_canonical()), to.ip()) {
        (Some(IpAddr::V4(own)), IpAddr::V4(_)) => {
            let from = libc::in_addr { s_addr: u32::from(own).to_be() };
            let any = libc::in_addr { s_addr: 0 };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: any };
            Some(send(&[ControlMessage::Ipv4PacketInfo(&info)]))
        }
        (Some(own), IpAddr::V6(_)) if own.is_ipv4() == is_mapped => {
            let own = match own {
                IpAddr::V4(own) => own.to_ipv6_mapped(),
                IpAddr::V6(own) => own,
            };
            let from = libc::in6_addr { s6_addr: own.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: from, ipi6_ifindex: 0 };
            Some(send(&[ControlMessage::Ipv6PacketInfo(&info)]))
        }
        _ => None,
    };
    // Refused most often because the address is none of this machine's.
    chosen.and_then(Result::ok).map_or_else(|| send(&[]), Ok).map_err(io::Error::from)
}

/// Bytes of a socket's receive buffer.
pub fn receive_buffer(socket: &impl AsFd) -> Option<usize> {
    // The kernel says twice what it gives: the other half is for its own books.
    Some(socket2::SockRef::from(socket).recv_buffer_size().ok()? / 2)
}

/// What to do when a socket has got a smaller buffer than it asked for; `None`: it has got it.
pub fn shortfall(socket: &UdpSocket) -> Option<String> {
    let given = receive_buffer(socket)?;
    let limit = fs::read_to_string(LIMIT).unwrap_or_default();
    (given < BUFFER).then(|| {
        format!(
            "the receive buffer has {given} bytes instead of {BUFFER} (net.core.rmem_max is {}): a burst of media may be lost; \
             `sysctl -w net.core.rmem_max={BUFFER}`, and start again",
            limit.trim()
        )
    })
}

/// Packets that the kernel dropped since the socket was opened, because nobody read them in time or their checksum was
/// wrong. The same counter as SO_RXQ_OVFL's, but as of now, and at no cost a packet.
pub fn drops(socket: &impl AsFd) -> io::Result<u32> {
    let mut values = [0u32; 16];
    let mut length = size_of_val(&values) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes to `values` and the length to `length`.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, values.as_mut_ptr().cast(), &raw mut length)
    };
    if result == 0 { Ok(values[libc::SK_MEMINFO_DROPS as usize]) } else { Err(io::Error::last_os_error()) }
}

/// What a socket has dropped, and whether that was just now. Pure: the counter and the time go in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overflow {
    packets: u64,
    at: Option<Duration>,
}

impl Overflow {
    /// The sum of what all sockets of a kind say now.
    pub fn saw(&mut self, packets: u64, now: Duration) {
        if packets > self.packets {
            self.at = Some(now);
        }
        // A socket that was closed takes its count with it; what was lost stays lost.
        self.packets = self.packets.max(packets);
    }

    /// All of them.
    pub fn packets(self) -> u64 {
        self.packets
    }

    /// Some of them were lost within the last minute.
    pub fn is_recent(self, now: Duration) -> bool {
        self.at.is_some_and(|at| now < at + RECENT)
    }

    /// What an operator should know of that: what was lost, and what to do. `buffer`: bytes of the smallest receive buffer.
    pub fn warning(self, what: &str, buffer: Option<usize>, now: Duration) -> Option<String> {
        let mend = match buffer.is_none_or(|bytes| bytes < BUFFER) {
            true => format!(
                "`sysctl -w net.core.rmem_max={BUFFER}` and start again, or give this machine more time"
            ),
            false => format!(
                "the receive buffer has the {BUFFER} bytes that it should: give this machine more time"
            ),
        };
        self.is_recent(now).then(|| {
            format!(
                "{what} came faster than it was read, and the kernel dropped {} packets since the start; {mend}",
                self.packets
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let socket = bind("127.0.0.1:0".parse().unwrap(), Versions::One).unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
        assert!(shortfall(&socket).unwrap().contains("rmem_max"));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(drops(&socket).unwrap(), 0);
        for _ in 0..50 {
            sender.send_to(&[0; 1200], socket.local_addr().unwrap()).unwrap();
        }
        let dropped = drops(&socket).unwrap();
        let mut kept = 0;
        while socket.recv(&mut [0; 1500]).is_ok() {
            kept += 1;
        }
        assert!(dropped > 0 && dropped + kept == 50, "{dropped} dropped, {kept} kept");
    }

    #[test]
    fn a_packet_leaves_from_the_address_that_was_chosen_if_it_is_one_of_this_machine() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let mapped = |to: SocketAddr| match to.ip() {
            IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            IpAddr::V6(_) => to,
        };
        let v4 = bind("0.0.0.0:0".parse().unwrap(), Versions::One).unwrap();
        let mut ways = vec![(v4, to)];
        // Where there is IPv6.
        ways.extend(bind("[::]:0".parse().unwrap(), Versions::Both).ok().map(|both| (both, mapped(to))));
        for (socket, to) in &ways {
            for (own, wanted) in [
                (None, "127.0.0.1"),
                (Some("127.0.0.9"), "127.0.0.9"),
                // Of nobody here, and of the other IP version.
                (Some("192.0.2.7"), "127.0.0.1"),
                (Some("::1"), "127.0.0.1"),
            ] {
                let own = own.map(|own| own.parse().unwrap());
                send_from(socket, own, b"packet", *to).unwrap();
                let (length, from) = receiver.recv_from(&mut [0; 16]).unwrap();
                assert_eq!((length, from.ip().to_string().as_str()), (6, wanted), "{own:?} {to}");
                assert_eq!(from.port(), socket.local_addr().unwrap().port());
            }
        }
    }

    #[test]
    fn a_port_that_is_taken_is_said_with_who_has_it() {
        let first = bind("127.0.0.1:0".parse().unwrap(), Versions::One).unwrap();
        let error = bind(first.local_addr().unwrap(), Versions::One).unwrap_err().to_string();
        assert!(error.contains(&format!("(PID {})", std::process::id())), "{error}");
    }

    #[test]
    fn a_loss_is_warned_of_for_a_minute_and_counted_for_ever() {
        let at = Duration::from_secs;
        let mut overflow = Overflow::default();
        overflow.saw(0, at(0));
        assert!(!overflow.is_recent(at(0)));
        overflow.saw(7, at(1));
        overflow.saw(7, at(50));
        assert!(overflow.is_recent(at(60)) && !overflow.is_recent(at(61)));
        overflow.saw(2, at(70));
        assert_eq!((overflow.packets(), overflow.is_recent(at(70))), (7, false), "the counter never falls");
        let said = |buffer| overflow.warning("audio", buffer, at(60)).unwrap();
        assert!(said(Some(BUFFER / 2)).contains("`sysctl -w net.core.rmem_max=4194304`"), "{}", said(None));
        assert!(!said(Some(BUFFER)).contains("sysctl") && overflow.warning("audio", None, at(61)).is_none());
    }
}
