//! [`Door`]: who is connected, and has a place for that.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::oneshot;

use super::Bounds;
use crate::http::Client;
use crate::http::limits::{Limit, Limits};
use crate::http::slots::{Entered, Full, Room, Slots};

/// Connections for those who watch the node, besides.
const SPARE: usize = 64;
/// Largest head of a request.
const HEAD_SIZE: usize = 32 * 1024;
/// Requests at once by one HTTP/2 connection.
const STREAMS: u32 = 128;
/// What HTTP/2 is sent of a body before it waits, of one request and of all of a connection.
const WINDOWS: [u32; 2] = [64 * 1024, 256 * 1024];
/// An HTTP/2 peer that answers no ping in that time is gone.
const PING: Duration = Duration::from_secs(20);

/// Who is connected. A connection whose sender is dropped ends.
pub(super) struct Door {
    pub bounds: Bounds,
    pub limits: Arc<Limits>,
    slots: Mutex<Slots<oneshot::Sender<()>>>,
    pub epoch: Instant,
    pub http1: http1::Builder,
    pub http2: http2::Builder<TokioExecutor>,
}

impl Door {
    /// Nobody has come yet.
    pub fn new(bounds: Bounds, limits: Arc<Limits>) -> Door {
        let room = Room { most: bounds.connections, most_of_one: bounds.client_connections, spare: SPARE };
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(HEAD_SIZE);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOWS[0])
            .initial_connection_window_size(WINDOWS[1])
            .max_header_list_size(HEAD_SIZE as u32)
            .max_send_buf_size(WINDOWS[0] as usize)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let slots = Mutex::new(Slots::new(room));
        Door { bounds, limits, slots, epoch: Instant::now(), http1, http2 }
    }

    /// Somebody connects: gives a place, and who is told when it gives way; or nothing.
    pub fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<(Place, oneshot::Receiver<()>)> {
        let (sender, gives_way) = oneshot::channel();
        // A proxy connects for many.
        let owner =
            (!self.limits.config().trusted.includes(peer.ip())).then(|| Client::new(peer.ip()).network());
        let mut slots = self.slots();
        let entered = slots.enter(owner, sender, self.epoch.elapsed());
        self.limits.connected(slots.len());
        drop(slots);
        match entered {
            Ok(Entered { id, spare, gone: _gone, met }) => {
                if let Some(full) = met {
                    self.limits.met(limit(full));
                }
                Some((Place { door: self.clone(), id, spare }, gives_way))
            }
            Err(full) => {
                self.refuse(peer, full);
                None
            }
        }
    }

    /// A proxy has said for whom it connects.
    pub fn turns_out(&self, id: u64, source: SocketAddr) -> io::Result<()> {
        let turned_out = self.slots().turns_out(id, Client::new(source.ip()).network(), self.epoch.elapsed());
        match turned_out {
            Ok(gone) => {
                if gone.is_some() {
                    self.limits.met(Limit::ClientConnections);
                }
                Ok(())
            }
            Err(full) => {
                self.refuse(source, full);
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    /// A connection has ended.
    pub fn leave(&self, id: u64) {
        let mut slots = self.slots();
        slots.leave(id);
        self.limits.connected(slots.len());
    }

    fn refuse(&self, client: SocketAddr, full: Full) {
        let most = match full {
            Full::All => self.bounds.connections,
            Full::OfOne => self.bounds.client_connections,
        };
        let limit = limit(full);
        self.limits.met(limit);
        let whose = if full == Full::All { "" } else { " that one client may have" };
        if self.limits.is_worth_a_line(limit) {
            tracing::warn!("{client}: all {most} connections{whose} are in use; see {}", limit.setting());
        }
    }

    /// The places.
    pub fn slots(&self) -> MutexGuard<'_, Slots<oneshot::Sender<()>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit(full: Full) -> Limit {
    match full {
        Full::All => Limit::Connections,
        Full::OfOne => Limit::ClientConnections,
    }
}

/// A connection's place.
#[derive(Clone)]
pub(super) struct Place {
    pub door: Arc<Door>,
    pub id: u64,
    pub spare: bool,
}
