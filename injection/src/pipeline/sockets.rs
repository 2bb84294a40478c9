//! The sockets that pipelines are given; they live longer than any pipeline.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use node::media::Kind;
use node::udp::{self, Versions};

use super::PipelineError;

/// Where media leaves: the node's RTP ports, audio and video.
pub struct Outlets {
    ports: [u16; 2],
    v4: [UdpSocket; 2],
    /// None where there is no IPv6.
    v6: Option<[UdpSocket; 2]>,
    /// RTCP ports.
    rtcp: Vec<UdpSocket>,
}

impl Outlets {
    /// Binds RTP and RTCP ports; the RTCP port is the one after.
    pub fn bind(ports: [u16; 2]) -> io::Result<Outlets> {
        let mut rtcp = Vec::new();
        let mut pair = |address: IpAddr| -> io::Result<[UdpSocket; 2]> {
            let pair = [bind(SocketAddr::new(address, ports[0]))?, bind(SocketAddr::new(address, ports[1]))?];
            for port in ports {
                rtcp.push(bind(SocketAddr::new(address, port + 1))?);
            }
            Ok(pair)
        };
        let v4 = pair(Ipv4Addr::UNSPECIFIED.into())?;
        let v6 = match pair(Ipv6Addr::UNSPECIFIED.into()) {
            Ok(pair) => Some(pair),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                tracing::info!("no IPv6 here ({error}); media goes out over IPv4 only");
                None
            }
        };
        Ok(Outlets { ports, v4, v6, rtcp })
    }

    /// The sockets on which receivers ask for keyframes and for what they have lost, each with what it is for: RTCP may also come to
    /// the RTP port (RFC 5761).
    pub fn feedback(&self) -> io::Result<Vec<(Kind, UdpSocket)>> {
        let all = self.v4.iter().chain(self.v6.iter().flatten()).chain(&self.rtcp);
        // Each list has audio and video by turns.
        Kind::BOTH
            .into_iter()
            .cycle()
            .zip(all)
            .map(|(kind, socket)| Ok((kind, socket.try_clone()?)))
            .collect()
    }

    /// The same ways, to send single packets by.
    pub fn ways(&self) -> io::Result<Ways> {
        let both = |pair: &[UdpSocket; 2]| Ok::<_, io::Error>([pair[0].try_clone()?, pair[1].try_clone()?]);
        Ok(Ways { ports: self.ports, v4: both(&self.v4)?, v6: self.v6.as_ref().map(both).transpose()? })
    }

    /// What is to be said of the buffers that the kernel gives.
    pub fn shortfall(&self) -> Option<String> {
        udp::shortfall(&self.v4[0])
    }

    /// One kind's sockets, for a pipeline: IPv4 and IPv6.
    pub(super) fn of(&self, kind: Kind) -> io::Result<(gio::Socket, Option<gio::Socket>)> {
        let of = |pair: &[UdpSocket; 2]| for_gstreamer(pair[usize::from(kind.number())].try_clone()?);
        Ok((of(&self.v4)?, self.v6.as_ref().map(of).transpose()?))
    }
}

/// Where single packets leave: from the ports, and so the addresses, that media leaves by.
pub struct Ways {
    ports: [u16; 2],
    v4: [UdpSocket; 2],
    v6: Option<[UdpSocket; 2]>,
}

impl Ways {
    /// The RTP port of a kind.
    pub fn port(&self, kind: Kind) -> u16 {
        self.ports[usize::from(kind.number())]
    }

    /// Sends without waiting.
    pub fn send(&self, kind: Kind, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let pair = if to.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        let pair = pair.ok_or_else(|| io::Error::other("there is no IPv6 here"))?;
        pair[usize::from(kind.number())].send_to(packet, to).map(drop)
    }
}

/// Where Janus sends a session's audio or video.
pub struct Inlet {
    pub(super) socket: UdpSocket,
    /// Its port.
    pub port: u16,
}

impl Inlet {
    /// On a port that is free.
    pub fn bind(address: IpAddr) -> Result<Inlet, PipelineError> {
        let failed =
            |error: io::Error| PipelineError(format!("no port for media from Janus on {address}: {error}"));
        let socket = bind(SocketAddr::new(address, 0)).map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        Ok(Inlet { socket, port })
    }

    /// The same socket, for a pipeline.
    pub(super) fn for_gstreamer(&self) -> io::Result<gio::Socket> {
        for_gstreamer(self.socket.try_clone()?)
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    udp::bind(address, Versions::One)
}

fn for_gstreamer(socket: UdpSocket) -> io::Result<gio::Socket> {
    // SAFETY: the descriptor is open, is a socket, and is given away: from here on it is GIO's to close.
    let socket = unsafe { gio::Socket::from_fd(OwnedFd::from(socket)) };
    socket.map_err(|error| io::Error::other(error.to_string()))
}
