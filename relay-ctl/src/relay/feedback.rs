//! Requests for keyframes go up the tree: from a child to where the stream comes from.
//!
//! The data planes keep RTCP from children away from the other children and leave it to the host. In userspace mode the
//! data plane's own sockets have it; beside the kernel's data planes this module has sockets on the RTCP ports. Upwards it
//! is sent from the same ports: the relay above knows by them that it comes from a child (RFC 4961).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::keyframe::{self, Limiter};
use relay_common::layout::StreamKey;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::plane::Plane;
use super::{Relay, State, way};

/// Largest RTCP packet that is read whole.
const LARGEST: usize = 1500;
/// Sockets that could not be opened are tried again after this, and addresses of the relay's own interface that changed
/// are noticed.
const AGAIN: Duration = Duration::from_secs(2);
/// Packets that may wait.
const WAITING: usize = 64;

/// The sockets beside a kernel data plane, by the address and RTP port they belong to.
type Sockets = BTreeMap<(IpAddr, u16), Reader>;

/// A socket and the task that reads it, which ends with it.
struct Reader {
    socket: Arc<UdpSocket>,
    task: AbortHandle,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Runs until cancelled.
    pub async fn pass_feedback_up(self: Arc<Relay>) {
        let userspace = match &self.state.lock().await.plane {
            Plane::Userspace(sockets) => sockets.feedback(),
            Plane::Kernel(_) => None,
        };
        let (packets, inbox) = mpsc::channel(WAITING);
        let mut passing = Passing { limiter: Limiter::default(), started: Instant::now() };
        match userspace {
            Some(mut inbox) => {
                let none = Sockets::new();
                loop {
                    tokio::select! {
                        packet = inbox.recv() => match packet {
                            Some((port, packet)) => self.pass(&mut passing, &none, port, &packet).await,
                            None => return,
                        },
                        () = passing.due() => self.pass_late(&mut passing, &none).await,
                    }
                }
            }
            None => self.pass_beside_kernel(passing, packets, inbox).await,
        }
    }

    async fn pass_beside_kernel(
        &self,
        mut passing: Passing,
        packets: mpsc::Sender<(u16, Vec<u8>)>,
        mut inbox: mpsc::Receiver<(u16, Vec<u8>)>,
    ) {
        let mut sockets = Sockets::new();
        let mut again = tokio::time::interval(AGAIN);
        // A child may have come behind another interface, whose address it answers to.
        let mut applied = self.applied.subscribe();
        loop {
            tokio::select! {
                _ = again.tick() => self.keep_sockets(&mut sockets, &packets).await,
                Ok(()) = applied.changed() => self.keep_sockets(&mut sockets, &packets).await,
                Some((port, packet)) = inbox.recv() => self.pass(&mut passing, &sockets, port, &packet).await,
                () = passing.due() => self.pass_late(&mut passing, &sockets).await,
            }
        }
    }

    /// One socket for each of the relay's addresses and RTCP ports.
    async fn keep_sockets(&self, sockets: &mut Sockets, packets: &mpsc::Sender<(u16, Vec<u8>)>) {
        let addresses = self.state.lock().await.feedback_addresses();
        sockets.retain(|(address, _), _| addresses.contains(address));
        for address in addresses {
            for port in self.config.listen.ports {
                if sockets.contains_key(&(address, port)) {
                    continue;
                }
                match open(SocketAddr::new(address, port + 1)) {
                    Ok(socket) => {
                        let socket = Arc::new(socket);
                        let task = tokio::spawn(read(socket.clone(), port, packets.clone())).abort_handle();
                        sockets.insert((address, port), Reader { socket, task });
                    }
                    Err(error) => tracing::debug!("no feedback on {address}:{}: {error}", port + 1),
                }
            }
        }
    }

    async fn pass(&self, passing: &mut Passing, sockets: &Sockets, port: u16, packet: &[u8]) {
        for ssrc in keyframe::asked_for(packet) {
            let known = self.state.lock().await.plane.stream(&key(port, ssrc)).is_some();
            if known && passing.limiter.ask((port, ssrc), passing.started.elapsed()) {
                self.ask_above(sockets, port, ssrc).await;
            }
        }
    }

    /// Requests that came too soon, when their time has come.
    async fn pass_late(&self, passing: &mut Passing, sockets: &Sockets) {
        for (port, ssrc) in passing.limiter.take(passing.started.elapsed()) {
            self.ask_above(sockets, port, ssrc).await;
        }
    }

    async fn ask_above(&self, sockets: &Sockets, port: u16, ssrc: u32) {
        let state = self.state.lock().await;
        // It may have ended meanwhile.
        let Some(stream) = state.plane.stream(&key(port, ssrc)) else { return };
        let to = SocketAddr::new(way::unmapped(stream.source), stream.source_port.saturating_add(1));
        let request = keyframe::request(ssrc, ssrc);
        let sent = match &state.plane {
            Plane::Userspace(own) => own.send_feedback(port, to, &request),
            Plane::Kernel(_) => {
                let own = self.registered_address(&state).await;
                send(sockets, own, port, to, &request)
            }
        };
        match sent {
            Ok(()) => {
                self.counters.keyframe_asked();
                tracing::debug!("SSRC {ssrc}: asked {to} for a keyframe");
            }
            Err(error) => tracing::warn!("SSRC {ssrc}: cannot ask {to} for a keyframe: {error}"),
        }
    }
}

impl State {
    /// Where children send feedback to: where copies come from, and where media comes to.
    fn feedback_addresses(&self) -> BTreeSet<IpAddr> {
        let sources = self.children.values().filter_map(|member| Some(member.way.hop.as_ref()?.source));
        let all = self.addresses.iter().copied().chain(sources);
        all.filter(|address| !is_link_local(address)).collect()
    }
}

/// What is remembered from one request to the next.
struct Passing {
    /// By RTP port and SSRC.
    limiter: Limiter<(u16, u32)>,
    started: Instant,
}

impl Passing {
    /// Returns when a late request is due; never while there is none.
    async fn due(&self) {
        match self.limiter.due() {
            Some(due) => tokio::time::sleep_until((self.started + due).into()).await,
            None => std::future::pending().await,
        }
    }
}

fn key(port: u16, ssrc: u32) -> StreamKey {
    StreamKey { port, reserved: [0; 2], ssrc }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn open(local: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The predecessor of a daemon that takes over may not be gone altogether.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}

async fn read(socket: Arc<UdpSocket>, port: u16, packets: mpsc::Sender<(u16, Vec<u8>)>) {
    let mut buffer = [0; LARGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => {
                // Full: those who need a keyframe ask again.
                let _ = packets.try_send((port, buffer[..length].to_vec()));
            }
            // An ICMP error of an earlier send; the socket is as good as before.
            Err(error) => tracing::debug!("feedback on port {}: {error}", port + 1),
        }
    }
}

/// Sends from the address that the relay is known by where the stream comes from, or from another of that IP version.
fn send(
    sockets: &Sockets,
    own: Option<IpAddr>,
    port: u16,
    to: SocketAddr,
    packet: &[u8],
) -> std::io::Result<()> {
    let known = own.filter(|own| own.is_ipv4() == to.is_ipv4()).and_then(|own| sockets.get(&(own, port)));
    let any = || {
        let of_version = |(address, at): &(IpAddr, u16)| *at == port && address.is_ipv4() == to.is_ipv4();
        sockets.iter().find(|(key, _)| of_version(key)).map(|(_, reader)| reader)
    };
    let reader = known.or_else(any).ok_or_else(|| std::io::Error::other("no address of that IP version"))?;
    reader.socket.try_send_to(packet, to).map(drop)
}
