//! Requests for keyframes go up the tree: from a child to where the stream comes from.
//!
//! The data planes keep RTCP from children away from the other children and leave it to the host. In userspace mode the
//! data plane's own sockets have it; beside the kernel's data planes this module has sockets on the RTCP ports. Upwards it
//! is sent from the same ports: the relay above knows by them that it comes from a child (RFC 4961).
//!
//! By the same way packets that have not come are asked for (`repair`), and children ask for theirs.
//!
//! Only children ask: anybody else's request for a keyframe costs every viewer bandwidth and is for nobody. A child is known
//! by its address, whatever port it sends from.
//!
//! Upwards a request goes to the port after the one that media comes from (RFC 3550 section 11) and to that port itself,
//! where those senders hear it that have RTP and RTCP on one (RFC 5761), and those behind an address translation: it has a
//! way back for the ports that media goes between, and often for no others. Which of these a sender is cannot be told from
//! its packets, and one request too many costs nothing. A relay that hears both takes them for one.
//!
//! Of a stream that two parents send its own source is asked, and the other one as well when that seems to be silent.

mod answer;
mod ask;
mod past;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use node::keyframe::{self, Echoes, Limiter};
use node::media::Ssrc;
use node::repair::nack;
use node::sources::whom_to_ask;
use relay_common::layout::StreamKey;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use past::{Gaps, Past};

use super::plane::Plane;
use super::{Relay, State};
use crate::clock::monotonic_ns;
use crate::userspace::{Door, Heard, Mouth};

/// Largest RTCP packet that is read whole.
const LARGEST: usize = 1500;
/// Sockets that could not be opened are tried again after this, and addresses of the relay's own interface that changed
/// are noticed.
const CHECK_SOCKETS_EVERY: Duration = Duration::from_secs(2);

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

/// Whose packets are read beside a kernel data plane: addresses of children. Of the tasks that read.
type Known = Arc<std::sync::Mutex<BTreeSet<IpAddr>>>;

/// Passes requests for keyframes up. It has the relay for who is a child and where a stream comes from, and all else itself.
pub struct Uplink {
    relay: Arc<Relay>,
    /// Beside a kernel data plane; none in userspace mode, which has its own.
    sockets: Sockets,
    known: Known,
    /// By RTP port and SSRC.
    limiter: Limiter<(u16, Ssrc)>,
    /// By child, RTP port and SSRC.
    echoes: Echoes<(IpAddr, u16, Ssrc)>,
    /// The address that the relay is known by where media comes from, and when that was found out.
    known_by: Option<(Instant, Option<IpAddr>)>,
    /// The last packets. Never locked: who is shared may be sent, and this may not be shared.
    past: std::sync::Mutex<Past>,
    /// What sends in userspace mode; else `sockets` do.
    mouth: Option<Mouth>,
    started: Instant,
}

/// What is heard of the data plane.
struct Wires {
    /// RTCP from children; beside a kernel data plane from sockets of our own.
    inbox: mpsc::Receiver<Heard>,
    /// Where these put it.
    door: Option<Door>,
    gaps: Gaps,
}

impl Wires {
    fn of(plane: &mut Plane, asks: bool) -> Wires {
        let feedback = match plane {
            Plane::Userspace(sockets) => sockets.feedback(),
            Plane::Kernel(_) => None,
        };
        let gaps = if asks { Gaps::of(plane) } else { Gaps::Untold };
        match feedback {
            Some(inbox) => Wires { inbox, door: None, gaps },
            None => {
                let (door, inbox) = Door::new();
                Wires { inbox, door: Some(door), gaps }
            }
        }
    }
}

impl Uplink {
    /// For this relay.
    pub fn new(relay: Arc<Relay>) -> Uplink {
        Uplink {
            relay,
            sockets: Sockets::new(),
            known: Known::default(),
            limiter: Limiter::default(),
            echoes: Echoes::default(),
            known_by: None,
            past: Past::Kernel(None).into(),
            mouth: None,
            started: Instant::now(),
        }
    }

    /// Runs for as long as the daemon does, and begins again should it fail.
    pub fn keep(relay: &Arc<Relay>) {
        Uplink::new(relay.clone()).go_on(None);
    }

    fn go_on(self, wires: Option<Wires>) {
        let tasks = self.relay.tasks.clone();
        let parts = Arc::new(tokio::sync::Mutex::new((self, wires)));
        tasks.keep("asking for keyframes and lost packets, and answering children", move || {
            let parts = parts.clone();
            async move {
                let mut parts = parts.lock().await;
                let (uplink, wires) = &mut *parts;
                uplink.run(wires).await
            }
        });
    }

    /// Runs until cancelled, or until the data plane says no more. What it is told by is there only once.
    async fn run(&mut self, wires: &mut Option<Wires>) -> Result<(), String> {
        match wires {
            Some(wires) => {
                // What was in hand when it failed may not be right any more.
                self.relay.repairs().asker.begin_anew();
                self.limiter = Limiter::default();
                self.echoes = Echoes::default();
                self.listen(wires).await
            }
            None => {
                let relay = self.relay.clone();
                let mut state = relay.state.lock().await;
                let past = Past::of(&state.plane);
                (self.mouth, self.past) = (past.mouth().cloned(), past.into());
                let wires = wires.insert(Wires::of(&mut state.plane, !relay.config.repair_within.is_zero()));
                drop(state);
                self.listen(wires).await
            }
        }
    }

    async fn listen(&mut self, Wires { inbox, door, gaps }: &mut Wires) -> Result<(), String> {
        let mut check = tokio::time::interval(CHECK_SOCKETS_EVERY);
        // A child may have come behind another interface, whose address it answers to.
        let mut applied = self.relay.applied.subscribe();
        loop {
            tokio::select! {
                _ = check.tick() => self.keep_sockets(door.as_ref()).await,
                Ok(()) = applied.changed() => self.keep_sockets(door.as_ref()).await,
                packet = inbox.recv() => match packet {
                    Some(heard) => self.take(&heard).await,
                    // The sockets of the data plane are gone.
                    None => return Ok(()),
                },
                () = self.due() => self.pass_late().await,
                gaps = gaps.next() => self.miss(&gaps?),
                () = self.repair_due() => self.ask_for_missing().await,
            }
        }
    }

    /// The last packets, of who has it to himself.
    fn past(&mut self) -> &mut Past {
        self.past.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// One socket for each of the relay's addresses and RTCP ports; none in userspace mode, which has its own.
    async fn keep_sockets(&mut self, door: Option<&Door>) {
        let Some(door) = door else { return };
        let (addresses, children) = {
            let state = self.relay.state.lock().await;
            (state.feedback_addresses(), state.addresses_of_children())
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = children;
        self.sockets.retain(|(address, port), reader| {
            // It reads for ever, unless it has panicked.
            let is_read = !reader.task.is_finished();
            if !is_read {
                tracing::error!("nobody reads RTCP on {address}:{} any more; it is bound again", port + 1);
            }
            is_read && addresses.contains(address)
        });
        for address in addresses {
            for port in self.relay.config.listen.ports {
                if self.sockets.contains_key(&(address, port)) {
                    continue;
                }
                match open(SocketAddr::new(address, port + 1)) {
                    Ok(socket) => {
                        let socket = Arc::new(socket);
                        let ear = Ear {
                            relay: self.relay.clone(),
                            known: self.known.clone(),
                            door: door.clone(),
                            socket: socket.clone(),
                            port,
                        };
                        let task = tokio::spawn(ear.read()).abort_handle();
                        self.sockets.insert((address, port), Reader { socket, task });
                    }
                    Err(error) => tracing::debug!("no feedback on {address}:{}: {error}", port + 1),
                }
            }
        }
    }

    /// RTCP for us: whatever it asks for.
    async fn take(&mut self, heard: &Heard) {
        self.answer(heard).await;
        self.pass(heard).await;
    }

    async fn pass(&mut self, heard: &Heard) {
        let mut asked = keyframe::asked_for(&heard.packet);
        if asked.is_empty() {
            return;
        }
        {
            let state = self.relay.state.lock().await;
            if !state.is_child(heard.from) {
                tracing::debug!("{} is no child and asks for keyframes: not passed on", heard.from);
                return;
            }
            asked.retain(|ssrc| {
                !state.above(&key(heard.port, *ssrc), self.relay.config.listen.ports).is_empty()
            });
        }
        for ssrc in asked {
            let now = self.started.elapsed();
            let echo = self.echoes.is_one((heard.from, heard.port, ssrc), u16::from(heard.multiplexed), now);
            if !echo && self.limiter.ask((heard.port, ssrc), now) {
                self.ask_above(heard.port, ssrc).await;
            }
        }
    }

    /// Requests that came too soon, when their time has come.
    async fn pass_late(&mut self) {
        for (port, ssrc) in self.limiter.take(self.started.elapsed()) {
            self.ask_above(port, ssrc).await;
        }
    }

    async fn ask_above(&mut self, port: u16, ssrc: Ssrc) {
        let known_by = self.known_by().await;
        // None: it may have ended meanwhile.
        let above = self.relay.state.lock().await.above(&key(port, ssrc), self.relay.config.listen.ports);
        let request = keyframe::request(ssrc, ssrc);
        let mut asked = false;
        for (to, multiplexed) in above.into_iter().flat_map(ears) {
            let sent = self.send_up(known_by, port, multiplexed, to, &request);
            match sent {
                Ok(()) => tracing::debug!("SSRC {ssrc}: asked {to} for a keyframe"),
                Err(ref error) => tracing::warn!("SSRC {ssrc}: cannot ask {to} for a keyframe: {error}"),
            }
            asked |= sent.is_ok();
        }
        if asked {
            self.relay.counters.keyframe_asked();
        }
    }

    fn send_up(
        &self,
        known_by: Option<IpAddr>,
        port: u16,
        multiplexed: bool,
        to: SocketAddr,
        packet: &[u8],
    ) -> std::io::Result<()> {
        match &self.mouth {
            Some(mouth) => mouth.send_feedback(known_by, port, multiplexed, to, packet),
            None => send(&self.sockets, known_by, port, multiplexed, to, packet),
        }
    }

    /// Returns when a late request is due; never while there is none.
    async fn due(&self) {
        match self.limiter.due() {
            Some(due) => tokio::time::sleep_until((self.started + due).into()).await,
            None => std::future::pending().await,
        }
    }
}

impl State {
    fn is_child(&self, address: IpAddr) -> bool {
        self.children.values().any(|member| member.reach.address == Some(address))
    }

    fn addresses_of_children(&self) -> BTreeSet<IpAddr> {
        self.children.values().filter_map(|member| member.reach.address).collect()
    }

    /// Who is asked for a stream: whoever sends it, or the parents, who may send it though there is no entry for it.
    fn above(&self, key: &StreamKey, ports: [u16; 2]) -> Vec<SocketAddr> {
        let known = self.plane.stream(key).map(|stream| whom_to_ask(&stream, monotonic_ns()));
        known.filter(|known| !known.is_empty()).unwrap_or_else(|| self.parents_of(key, ports))
    }

    /// Where children send feedback to: where copies come from, and where media comes to.
    fn feedback_addresses(&self) -> BTreeSet<IpAddr> {
        let sources = self.children.values().filter_map(|member| Some(member.reach.hop.as_ref()?.source));
        let all = self.addresses.iter().copied().chain(sources);
        all.filter(|address| !is_link_local(address)).collect()
    }
}

fn key(port: u16, ssrc: Ssrc) -> StreamKey {
    StreamKey { port, reserved: [0; 2], ssrc: ssrc.0 }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn open(local: SocketAddr) -> std::io::Result<UdpSocket> {
    UdpSocket::from_std(bound(local)?.into())
}

fn bound(local: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The predecessor of a daemon that takes over may not be gone altogether.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// What comes to one of the sockets.
struct Ear {
    relay: Arc<Relay>,
    known: Known,
    door: Door,
    socket: Arc<UdpSocket>,
    port: u16,
}

impl Ear {
    async fn read(self) {
        let mut buffer = [0; LARGEST];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, from)) => self.heard(&buffer[..length], from),
                // An ICMP error of an earlier send; the socket is as good as before.
                Err(error) => tracing::debug!("feedback on port {}: {error}", self.port + 1),
            }
        }
    }

    /// Before it waits among those of others: strangers and who floods take no place there.
    fn heard(&self, packet: &[u8], from: SocketAddr) {
        // As it is: an IPv4 address in disguise at a socket for IPv6 is nobody's.
        let (from, from_port) = (from.ip(), from.port());
        let is_child = self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&from);
        if !is_child {
            let numbers = nack::count(packet);
            return self.relay.repairs().answerer.stranger(numbers);
        }
        let heard =
            || Heard { port: self.port, multiplexed: false, from, from_port, packet: packet.to_vec() };
        // Full: those who need something ask again.
        if !self.door.takes(from, monotonic_ns(), heard) {
            self.relay.repairs().unheard += 1;
        }
    }
}

/// Where a sender may hear RTCP, and whether that is its RTP port.
fn ears(source: SocketAddr) -> impl Iterator<Item = (SocketAddr, bool)> {
    let next = source.port().checked_add(1).map(|port| (SocketAddr::new(source.ip(), port), false));
    next.into_iter().chain([(source, true)])
}

/// Sends from the address that the relay is known by where the stream comes from, or from another of that IP version.
fn send(
    sockets: &Sockets,
    own: Option<IpAddr>,
    port: u16,
    multiplexed: bool,
    to: SocketAddr,
    packet: &[u8],
) -> std::io::Result<()> {
    let of_version = |(address, at): &(IpAddr, u16)| *at == port && address.is_ipv4() == to.is_ipv4();
    let known = own.map(|own| (own, port)).filter(of_version).and_then(|key| sockets.get_key_value(&key));
    let ((address, _), reader) = known
        .or_else(|| sockets.iter().find(|(key, _)| of_version(key)))
        .ok_or_else(|| std::io::Error::other("no address of that IP version"))?;
    // Between the ports that media goes between, if no program of the user's has a socket there for what is not media (STUN,
    // for one). That is also why there is none of ours but for this moment.
    if multiplexed && let Ok(socket) = bound(SocketAddr::new(*address, port)) {
        return socket.send_to(packet, &to.into()).map(drop);
    }
    reader.socket.try_send_to(packet, to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use node::repair::{History, Kept, StreamId};

    use super::*;
    use crate::relay::loopback;

    #[test]
    fn a_sender_hears_on_the_next_port_or_on_its_own() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(ears(at(5004)).collect::<Vec<_>>(), [(at(5005), false), (at(5004), true)]);
        assert_eq!(ears(at(65_535)).collect::<Vec<_>>(), [(at(65_535), true)]);
    }

    /// The first who looks for something finds a fault.
    struct Faulty {
        found: bool,
        looked_for: mpsc::UnboundedSender<u16>,
    }

    impl History for Faulty {
        fn find(&mut self, _: &StreamId, sequence: u16) -> Option<Kept> {
            assert!(std::mem::replace(&mut self.found, true), "a fault");
            self.looked_for.send(sequence).unwrap();
            None
        }
    }

    #[tokio::test]
    async fn a_fault_ends_repair_for_a_moment_and_is_said() {
        let relay = Arc::new(loopback::relay(&["egress-1=127.0.0.1:9:19"], &[]).await);
        loopback::send(&relay, 1, 7, [1, 2, 3]).await;
        let (looked_for, mut told) = mpsc::unbounded_channel();
        let mut uplink = Uplink::new(relay.clone());
        uplink.past = Past::Other(Box::new(Faulty { found: false, looked_for })).into();
        let wires = Wires::of(&mut relay.state.lock().await.plane, true);
        uplink.go_on(Some(wires));
        assert!(relay.sample().await.status.warnings.iter().all(|warning| !warning.contains("fault")));
        let child = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in [1, 2] {
            let request = nack::requests(Ssrc(9), Ssrc(7), &[number]).remove(0);
            child.send_to(&request, ("127.0.0.1", relay.config.listen.ports[1] + 1)).unwrap();
        }
        let next = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        assert_eq!(next, Ok(Some(2)), "what waited meanwhile is looked for");
        let said = relay.sample().await.status.warnings;
        assert!(
            said.iter().any(|warning| warning.contains("has failed once") && warning.contains("a fault")),
            "{said:?}"
        );
    }
}
