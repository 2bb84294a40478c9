//! The minimal loops in user space that the relay is compared with: receive, send to every child, nothing else. Run as a
//! process of its own: `bench copier sendmmsg 10.0.1.1:5002 10.0.2.11:5002 …`.
//!
//! GSO (UDP_SEGMENT) cuts one large buffer into datagrams for *one* destination, so it cannot carry one packet to many
//! children. What it can carry is several consecutive packets to each child, and only as many as have come together.

mod messages;
mod uring;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{SockaddrStorage, setsockopt, sockopt};

use messages::{Inbox, Outbox};

/// Everybody's receive buffer.
pub const BUFFER: usize = 8 << 20;
/// How long a predecessor's socket may stay.
const LET_GO: Duration = Duration::from_secs(5);
/// What it says when it is ready.
pub const READY: &str = "copying";

/// How datagrams are given to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One system call a datagram.
    Sendto,
    /// Up to 1024 datagrams a call.
    Sendmmsg,
    /// The same, each a child's share of all packets that came together.
    Gso,
    /// Requests in a ring, handed over by one call.
    Uring,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Sendto, Kind::Sendmmsg, Kind::Gso, Kind::Uring];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Sendto => "sendto",
            Kind::Sendmmsg => "sendmmsg",
            Kind::Gso => "gso",
            Kind::Uring => "io_uring",
        }
    }
}

/// Copies until it is killed.
pub fn run(arguments: &[String]) -> Result<()> {
    let [kind, listen, clients @ ..] = arguments else { bail!("copier KIND LISTEN CLIENT…") };
    let kind = Kind::ALL.into_iter().find(|other| other.name() == kind).context("no such copier")?;
    let clients = clients.iter().map(|client| client.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let socket = bind(listen).with_context(|| format!("binding {listen}"))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("SO_RCVBUFFORCE")?;
    setsockopt(&socket, sockopt::SndBuf, &BUFFER).context("SO_SNDBUF")?;
    println!("{READY} to {} clients by {}", clients.len(), kind.name());
    if kind == Kind::Sendto {
        return one_by_one(&socket, &clients);
    }
    let names: Vec<SockaddrStorage> = clients.into_iter().map(SockaddrStorage::from).collect();
    let mut inbox = Inbox::new();
    if kind == Kind::Uring {
        return uring::run(&socket, &names, &mut inbox);
    }
    let mut outbox = Outbox::new();
    loop {
        let packets = inbox.receive(&socket)?;
        if kind == Kind::Gso {
            outbox.send_segmented(&socket, packets, &names)?;
        } else {
            outbox.send_each(&socket, packets, &names)?;
        }
    }
}

/// The kernel takes an io_uring apart after its process has gone, and keeps the socket until then.
fn bind(listen: &str) -> std::io::Result<UdpSocket> {
    let deadline = Instant::now() + LET_GO;
    loop {
        match UdpSocket::bind(listen) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            bound => return bound,
        }
    }
}

fn one_by_one(socket: &UdpSocket, clients: &[SocketAddr]) -> Result<()> {
    let mut packet = [0; 2048];
    loop {
        let length = socket.recv(&mut packet)?;
        for client in clients {
            socket.send_to(&packet[..length], client)?;
        }
    }
}
