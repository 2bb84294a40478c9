use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why the user-space path cannot start. Each message says what to look at or do.
#[derive(Debug, thiserror::Error)]
pub enum UserspaceError {
    #[error(
        "ports {} (audio) and {} (video) do not make two pairs: each pair is a port for RTP and the next one for RTCP, \
         from 1 to 65535, and the pairs may not overlap",
        .0[0], .0[1]
    )]
    Ports([u16; 2]),

    #[error(
        "UDP port {} of {} is {}: stop it, or listen on other ports",
        .0.port(), .0.ip(), node::port::in_use_by(node::port::Transport::Udp, .0.port())
    )]
    InUse(SocketAddr),

    #[error("{0} is not an address of this host (see `ip address`)")]
    NotLocal(IpAddr),

    #[error(
        "no right to listen on UDP port {}: choose ports from 1024 up, or lower `sysctl net.ipv4.ip_unprivileged_port_start`",
        .0.port()
    )]
    Denied(SocketAddr),

    #[error("cannot listen on {at} (UDP): {source}")]
    Listen { at: SocketAddr, source: io::Error },

    #[error("cannot start a forwarding thread: {0}")]
    Thread(#[source] io::Error),
}

impl UserspaceError {
    /// What the kernel's refusal to listen `at` an address means.
    pub(super) fn listen(at: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => UserspaceError::InUse(at),
            io::ErrorKind::AddrNotAvailable => UserspaceError::NotLocal(at.ip()),
            io::ErrorKind::PermissionDenied if at.port() < 1024 => UserspaceError::Denied(at),
            _ => UserspaceError::Listen { at, source },
        }
    }
}
