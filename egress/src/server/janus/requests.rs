//! Keyframes that Janus wants: its PLIs for a mountpoint become requests up the tree.
//!
//! Janus sends its RTCP to whoever last sent something to the mountpoint's RTCP port: we do, again and again, because a
//! Janus that was started anew has forgotten. One socket serves all mountpoints: what comes from a mountpoint's RTCP port
//! is about that mountpoint.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use node::keyframe;
use node::media::Ssrc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::keyframe_age;
use crate::keyframes::Keyframes;
use crate::rtp;

/// How often Janus is told where we are.
const HELLO_EVERY: Duration = Duration::from_secs(5);
/// Largest packet that is read.
const MTU: usize = 1500;

/// The mountpoints' RTCP ports.
pub struct Requests {
    mountpoints: Mutex<HashMap<SocketAddr, Mountpoint>>,
    hellos: mpsc::UnboundedSender<SocketAddr>,
    keyframes: Arc<Keyframes>,
}

struct Mountpoint {
    ssrc: Ssrc,
    /// When Janus asked last.
    asked: Option<Duration>,
}

impl Requests {
    /// Begins, on a port of this address. `keyframes`: the way up the tree.
    pub async fn start(address: IpAddr, keyframes: Arc<Keyframes>) -> io::Result<Arc<Requests>> {
        let socket = UdpSocket::bind((address, 0)).await?;
        let (hellos, hello) = mpsc::unbounded_channel();
        let requests = Arc::new(Requests { mountpoints: Mutex::default(), hellos, keyframes });
        tokio::spawn(requests.clone().talk(socket, hello));
        Ok(requests)
    }

    /// A mountpoint's RTCP port; what Janus asks for there is about this SSRC.
    pub fn add(&self, port: SocketAddr, ssrc: Ssrc) {
        self.mountpoints().insert(port, Mountpoint { ssrc, asked: None });
        let _ = self.hellos.send(port);
    }

    /// There is no such mountpoint any more.
    pub fn remove(&self, ssrc: Ssrc) {
        self.mountpoints().retain(|_, mountpoint| mountpoint.ssrc != ssrc);
    }

    /// Tells Janus where we are, and hears what it wants.
    async fn talk(self: Arc<Self>, socket: UdpSocket, mut hello: mpsc::UnboundedReceiver<SocketAddr>) {
        let mut again = tokio::time::interval(HELLO_EVERY);
        let mut packet = [0; MTU];
        loop {
            tokio::select! {
                _ = again.tick() => {
                    let ports: Vec<SocketAddr> = self.mountpoints().keys().copied().collect();
                    for port in ports {
                        let _ = socket.send_to(&rtp::HELLO, port).await;
                    }
                }
                port = hello.recv() => match port {
                    Some(port) => drop(socket.send_to(&rtp::HELLO, port).await),
                    None => return,
                },
                received = socket.recv_from(&mut packet) => {
                    // An error is about a packet of ours that nobody took.
                    let Ok((length, from)) = received else { continue };
                    if !keyframe::asked_for(&packet[..length]).is_empty() {
                        self.janus_asks(from);
                    }
                }
            }
        }
    }

    fn janus_asks(&self, from: SocketAddr) {
        let now = self.keyframes.now();
        let request = self.mountpoints().get_mut(&from).map(|mountpoint| {
            (mountpoint.ssrc, keyframe_age::wanted_since(mountpoint.asked.replace(now), now))
        });
        if let Some((ssrc, since)) = request {
            self.keyframes.ask_since(ssrc, since);
        }
    }

    fn mountpoints(&self) -> MutexGuard<'_, HashMap<SocketAddr, Mountpoint>> {
        self.mountpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
