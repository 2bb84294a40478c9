//! What comes from below by RTCP. Requests for keyframes are passed on to Janus: the sockets around [`node::keyframe`]. Requests for
//! what was lost are for [`Answers`].

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use node::keyframe::{self, Echoes, Limiter};
use node::media::{Kind, Ssrc};
use node::tasks::Tasks;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use crate::answers::Answers;

/// Largest packet that is looked at; a datagram on an Ethernet is smaller.
const PACKET: usize = 2048;

/// Who asks for keyframes, and who is asked.
pub struct Feedback {
    /// What Janus says by RTCP comes here, and requests go out from here.
    janus: UdpSocket,
    /// Its port.
    pub port: u16,
    inner: Mutex<Inner>,
    waits: Notify,
    started: Instant,
    asked: AtomicU64,
    passed_on: AtomicU64,
}

#[derive(Default)]
struct Inner {
    limiter: Limiter<Ssrc>,
    echoes: Echoes<(IpAddr, Ssrc)>,
    /// Where Janus takes requests, by SSRC.
    publishers: HashMap<Ssrc, SocketAddr>,
}

impl Feedback {
    /// Begins to listen on the sockets that receivers send feedback to, and goes on by `tasks`.
    pub fn start(
        janus: std::net::UdpSocket,
        below: Vec<(Kind, std::net::UdpSocket)>,
        answers: &Arc<Answers>,
        tasks: &Tasks,
    ) -> io::Result<Arc<Feedback>> {
        janus.set_nonblocking(true)?;
        let feedback = Arc::new(Feedback {
            port: janus.local_addr()?.port(),
            janus: UdpSocket::from_std(janus)?,
            inner: Mutex::default(),
            waits: Notify::new(),
            started: Instant::now(),
            asked: AtomicU64::new(0),
            passed_on: AtomicU64::new(0),
        });
        for (kind, socket) in below {
            socket.set_nonblocking(true)?;
            let socket = Arc::new(UdpSocket::from_std(socket)?);
            let (feedback, answers) = (feedback.clone(), answers.clone());
            let what = match kind {
                Kind::Audio => "answering children that lack audio",
                Kind::Video => "answering children that lack video",
            };
            tasks.keep(what, move || feedback.clone().listen(socket.clone(), kind, answers.clone()));
        }
        let [drains, passes] = [(); 2].map(|()| feedback.clone());
        tasks.keep("reading what Janus says by RTCP", move || drains.clone().drain());
        tasks.keep("passing on requests for keyframes", move || passes.clone().pass_on_late());
        Ok(feedback)
    }

    /// Keyframes of a stream are asked for there from now on; or of nobody.
    pub fn publisher(&self, ssrc: Ssrc, at: Option<SocketAddr>) {
        let mut inner = self.lock();
        match at {
            Some(at) => inner.publishers.insert(ssrc, at),
            None => inner.publishers.remove(&ssrc),
        };
    }

    /// Requests that came, and that were passed on.
    pub fn counts(&self) -> [u64; 2] {
        [&self.asked, &self.passed_on].map(|counter| counter.load(Ordering::Relaxed))
    }

    async fn listen(
        self: Arc<Self>,
        socket: Arc<UdpSocket>,
        kind: Kind,
        answers: Arc<Answers>,
    ) -> Result<(), String> {
        let mut packet = [0; PACKET];
        let port = socket.local_addr().map_or(0, |address| address.port());
        loop {
            match socket.recv_from(&mut packet).await {
                Ok((length, from)) => {
                    answers.hear(&packet[..length], from, kind);
                    for ssrc in keyframe::asked_for(&packet[..length]) {
                        self.ask(ssrc, from.ip(), port).await;
                    }
                }
                // An ICMP error about something sent earlier; the socket is fine.
                Err(error) => {
                    tracing::debug!("feedback: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    async fn ask(&self, ssrc: Ssrc, from: IpAddr, port: u16) {
        let now = self.started.elapsed();
        let to = {
            let mut inner = self.lock();
            // Whoever asks for a stream that is not there is not remembered.
            let Some(to) = inner.publishers.get(&ssrc).copied() else { return };
            // A relay that does not know at which port it is heard asks at both.
            if inner.echoes.is_one((from, ssrc), port, now) {
                return;
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            if !inner.limiter.ask(ssrc, now) {
                self.waits.notify_one();
                return;
            }
            to
        };
        self.send(ssrc, to).await;
    }

    /// A keyframe is needed, whether or not anybody below asks.
    pub async fn want(&self, ssrc: Ssrc) {
        let to = {
            let mut inner = self.lock();
            let Some(to) = inner.publishers.get(&ssrc).copied() else { return };
            if !inner.limiter.ask(ssrc, self.started.elapsed()) {
                self.waits.notify_one();
                return;
            }
            to
        };
        self.send(ssrc, to).await;
    }

    async fn send(&self, ssrc: Ssrc, to: SocketAddr) {
        match self.janus.send_to(&keyframe::request(ssrc, ssrc), to).await {
            Ok(_) => {
                self.passed_on.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("SSRC {ssrc}: asked {to} for a keyframe");
            }
            Err(error) => tracing::debug!("keyframe of SSRC {ssrc}: {error}"),
        }
    }

    /// Those that came too early, when their time has come.
    async fn pass_on_late(self: Arc<Self>) -> Result<(), String> {
        loop {
            let due = self.lock().limiter.due();
            match due {
                Some(due) => tokio::time::sleep_until((self.started + due).into()).await,
                None => self.waits.notified().await,
            }
            let late: Vec<(Ssrc, SocketAddr)> = {
                let mut inner = self.lock();
                let late = inner.limiter.take(self.started.elapsed());
                late.into_iter().filter_map(|ssrc| Some((ssrc, *inner.publishers.get(&ssrc)?))).collect()
            };
            for (ssrc, to) in late {
                self.send(ssrc, to).await;
            }
        }
    }

    /// What Janus says is of no interest, but must not fill the socket.
    async fn drain(self: Arc<Self>) -> Result<(), String> {
        let mut packet = [0; PACKET];
        loop {
            if self.janus.recv_from(&mut packet).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
