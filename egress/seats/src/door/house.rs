//! Does what [`Hall`] decides: the one place that door, handshake threads and the egress come together at. Nothing waits here.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use node::udp;

use super::drops::{Drops, Reason};
use super::hall::{Effect, Hall};
use super::pool::{Pool, Task};
use crate::peer::Seat;
use crate::send::{self, Path};
use crate::server::Notice;
use crate::srtp::Keys;
use crate::worker::{Notify, Workers};

pub(crate) struct House {
    hall: Mutex<Hall>,
    /// Whom a worker has no seat for any more. Apart from `hall`, so that no worker ever waits for that.
    pub(crate) risen: Arc<Mutex<Vec<Seat>>>,
    pub(crate) workers: Workers,
    pub(crate) pool: Pool,
    pub(crate) drops: Drops,
    /// For how many of those who wait for room to shake hands none has been made yet.
    waiting: AtomicUsize,
    socket: Arc<UdpSocket>,
    notify: Notify,
}

impl House {
    pub(crate) fn new(
        workers: Workers,
        risen: Arc<Mutex<Vec<Seat>>>,
        pool: Pool,
        socket: Arc<UdpSocket>,
        notify: Notify,
    ) -> House {
        House {
            hall: Mutex::default(),
            risen,
            workers,
            pool,
            drops: Drops::default(),
            waiting: AtomicUsize::new(0),
            socket,
            notify,
        }
    }

    pub(crate) fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides and does it, as one step for everybody else: no one's seat is given to a worker after it was taken away.
    pub(crate) fn with<T>(&self, decide: impl FnOnce(&mut Hall) -> (T, Vec<Effect>)) -> T {
        let mut hall = self.hall();
        let (result, effects) = decide(&mut hall);
        for effect in effects {
            self.perform(effect, None);
        }
        result
    }

    /// As [`Self::with`] without a result.
    pub(crate) fn act(&self, decide: impl FnOnce(&mut Hall) -> Vec<Effect>) {
        self.with(|hall| ((), decide(hall)));
    }

    /// A packet has come in by the media port. `hall` is locked once for many.
    pub(crate) fn came(&self, hall: &mut Hall, packet: &[u8], path: &Path, now: Instant) {
        for effect in hall.came(packet, path, now) {
            self.perform(effect, Some((packet, path)));
        }
    }

    /// From the handshake threads: there are keys.
    pub(crate) fn shaken(&self, seat: Seat, keys: Keys, path: &Path) {
        self.act(|hall| hall.shaken(seat, keys, path, Instant::now()));
    }

    /// From the handshake threads: there is no DTLS any more.
    pub(crate) fn parted(&self, seat: Seat, why: String, failed: bool) {
        self.act(|hall| hall.parted(seat, why, failed));
    }

    /// Time has passed.
    pub(crate) fn tick(&self, now: Instant) {
        let risen = std::mem::take(&mut *self.risen.lock().unwrap_or_else(PoisonError::into_inner));
        self.act(|hall| {
            let risen = risen.into_iter().flat_map(|seat| hall.risen(seat));
            let mut effects: Vec<Effect> = risen.collect();
            effects.extend(hall.tick(now));
            self.waiting.store(hall.waiting(), Relaxed);
            effects
        });
    }

    /// Somebody waits until there is room for his handshake.
    pub(crate) fn others_wait(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Room is made for one of them, if there is one for whom none has been made.
    pub(crate) fn makes_room(&self) -> bool {
        self.waiting.fetch_update(Relaxed, Relaxed, |waiting| waiting.checked_sub(1)).is_ok()
    }

    /// Sends what is no media.
    pub(crate) fn send(&self, path: &Path, packet: &[u8]) {
        let sent = match path {
            Path::Udp(_) | Path::UdpFrom(..) => send::datagram(&self.socket, path, packet).is_ok(),
            Path::Tcp(connection) => connection.send(&[packet]) == 1,
        };
        if !sent {
            self.drops.count(Reason::Unsent);
        }
    }

    /// What was dropped by the door, by reason.
    pub(crate) fn dropped(&self) -> Vec<(&'static str, u64)> {
        let mut dropped = self.drops.all();
        // What came while nobody could read it, the kernel knows.
        dropped.push(("receive_buffer_full", udp::drops(&*self.socket).unwrap_or(0).into()));
        dropped
    }

    fn perform(&self, effect: Effect, at_hand: Option<(&[u8], &Path)>) {
        match effect {
            Effect::Say(path, answer) => self.send(&path, &answer),
            Effect::Drop(reason) => self.drops.count(reason),
            Effect::Shake { seat, begins, fingerprints, path } => {
                let task = Task::Begin { seat, begins, fingerprints, path };
                self.pool.tell(seat, task);
            }
            Effect::Dtls(seat) => {
                if let Some((packet, path)) = at_hand {
                    self.datagram(seat, path.clone(), packet.to_vec());
                }
            }
            Effect::Kept(seat, path, packet) => self.datagram(seat, path, packet),
            Effect::Part(seat) => {
                self.pool.tell(seat, Task::Part(seat));
            }
            Effect::Sit(arrival) => self.workers.sit(*arrival),
            Effect::Settled(seat) => {
                self.pool.tell(seat, Task::Settled(seat));
            }
            Effect::Rise(seat) => self.workers.rise(seat),
            Effect::Heard(seat) => {
                if let Some((packet, _)) = at_hand {
                    self.workers.heard(seat, packet);
                }
            }
            Effect::Moved(seat, path) => self.workers.moved(seat, path),
            Effect::Gone(seat, why) => (self.notify)(Notice::Gone(seat, why)),
        }
    }

    fn datagram(&self, seat: Seat, path: Path, packet: Vec<u8>) {
        if !self.pool.tell(seat, Task::Datagram(seat, path, packet)) {
            self.drops.count(Reason::DtlsFlood);
        }
    }
}
