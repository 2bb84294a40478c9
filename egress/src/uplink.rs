//! The ways up the tree: from which socket to which port RTCP goes to whoever media comes from.
//!
//! A request goes to the port after the one that media comes from (RFC 3550 section 11), and from the port that media
//! comes in by to the port that it comes from: an address translation between the two has a way back for these, and for no
//! others. Who hears both takes them for one.
//!
//! It leaves from the address that this node is registered at (`--node-host`): a parent knows a child by that one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use node::port::{Transport, refusal};
use node::tasks::Tasks;
use node::udp;
use tokio::net::UdpSocket;

use crate::pipeline::Lane;

/// Largest packet that is read.
const MTU: usize = 1500;

/// Our RTCP port of one kind of media, bound before anything else begins.
pub struct Rtcp(UdpSocket);

impl Rtcp {
    /// The port after the RTP port.
    pub async fn bind(address: IpAddr, media: u16) -> Result<Rtcp, String> {
        let port =
            media.checked_add(1).ok_or_else(|| format!("port {media} has no port after it for RTCP"))?;
        let bound = UdpSocket::bind((address, port)).await;
        let socket = bound
            .map_err(|error| refusal(Transport::Udp, SocketAddr::new(address, port), &error))
            .map_err(|why| format!("cannot take RTCP on port {port}: {why}"))?;
        Ok(Rtcp(socket))
    }
}

/// To which ports of a sender's a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The one after that which media comes from.
    Rtcp,
    /// That one as well.
    Both,
}

/// The way up for one kind of media.
pub struct Uplink {
    /// What the parent knows us by, if that is an address.
    own: Option<IpAddr>,
    /// Our RTCP port.
    rtcp: Arc<UdpSocket>,
    /// Our RTP port. Only the pipeline reads it.
    media: UdpSocket,
}

impl Uplink {
    /// Begins, and goes on by `tasks`. `own`: the address that the parent knows us by; `lane`: what media of this kind comes in by.
    pub fn start(
        rtcp: Rtcp,
        own: Option<IpAddr>,
        lane: &Arc<Lane>,
        tasks: &Tasks,
    ) -> std::io::Result<Arc<Uplink>> {
        let (rtcp, media) = (Arc::new(rtcp.0), UdpSocket::from_std(lane.socket()?)?);
        let (socket, lane) = (rtcp.clone(), lane.clone());
        tasks.keep("reading RTCP of the parent", move || drain(socket.clone(), lane.clone()));
        Ok(Arc::new(Uplink { own, rtcp, media }))
    }

    /// Sends RTCP to whoever sends media from this address and port, without waiting. False: nothing could be sent.
    pub fn send(&self, packet: &[u8], source: SocketAddr, to: To) -> bool {
        let after =
            source.port().checked_add(1).map(|port| (&*self.rtcp, SocketAddr::new(source.ip(), port)));
        let same = (to == To::Both).then_some((&self.media, source));
        let mut sent = false;
        for (socket, to) in after.into_iter().chain(same) {
            match udp::send_from(socket, self.own, packet, to) {
                Ok(_) => sent = true,
                Err(error) => tracing::debug!("RTCP to {to}: {error}"),
            }
        }
        sent
    }
}

/// Takes what comes to our RTCP port; nothing of it is needed, but that it came from the parent.
async fn drain(socket: Arc<UdpSocket>, lane: Arc<Lane>) -> Result<(), String> {
    let mut packet = [0; MTU];
    loop {
        if let Ok((_, from)) = socket.recv_from(&mut packet).await {
            lane.came_beside(from);
        }
    }
}
