//! Threads that shake hands. What a viewer's handshake costs, however long it takes and whoever it is, no thread that carries media
//! or reads the media port waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::dtls::{Association, Broken, Identity, Progress};
use super::house::House;
use crate::peer::{Fingerprint, Seat};
use crate::send::Path;

/// Datagrams that wait for one thread at most: some tenths of a second of work.
const WAITING_MOST: usize = 1024;
/// How often it is looked whether a flight has got lost.
const TICK: Duration = Duration::from_millis(100);
/// Handshake threads give way to those that carry media.
const NICENESS: libc::c_int = 10;

/// What a thread is told. All but datagrams is bounded by the number of seats.
pub(crate) enum Task {
    Begin {
        seat: Seat,
        begins: bool,
        fingerprints: Vec<Fingerprint>,
        path: Path,
    },
    Datagram(Seat, Path, Vec<u8>),
    Part(Seat),
    /// No more tasks come.
    End,
}

/// The threads' letterboxes. A seat is always one thread's.
pub(crate) struct Pool {
    letterboxes: Vec<(Sender<Task>, Arc<AtomicUsize>)>,
}

/// The threads' side of [`Pool`].
pub(crate) struct Shaker {
    tasks: Receiver<Task>,
    waiting: Arc<AtomicUsize>,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> (Pool, Vec<Shaker>) {
        let (letterboxes, shakers) = (0..threads)
            .map(|_| {
                let (letterbox, tasks) = channel();
                let waiting = Arc::new(AtomicUsize::new(0));
                let shaker = Shaker { tasks, waiting: waiting.clone() };
                ((letterbox, waiting), shaker)
            })
            .unzip();
        (Pool { letterboxes }, shakers)
    }

    /// False: there are too many datagrams already, and this one is lost.
    pub(crate) fn tell(&self, seat: Seat, task: Task) -> bool {
        let at = seat.0 % self.letterboxes.len() as u64;
        let (letterbox, waiting) = &self.letterboxes[at as usize];
        if matches!(task, Task::Datagram(..)) && waiting.fetch_add(1, Relaxed) >= WAITING_MOST {
            waiting.fetch_sub(1, Relaxed);
            return false;
        }
        // Without a thread the server is about to end.
        letterbox.send(task).is_ok()
    }

    pub(crate) fn end(&self) {
        for (letterbox, _) in &self.letterboxes {
            let _ = letterbox.send(Task::End);
        }
    }
}

/// A viewer's DTLS, and where it is answered to.
struct Guest {
    association: Association,
    path: Path,
}

impl Shaker {
    pub(crate) fn spawn(
        self,
        number: usize,
        identity: Arc<Identity>,
        house: Arc<House>,
    ) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(format!("handshake-{number}")).spawn(move || {
            // SAFETY: no memory is involved; 0 is this thread. That it may not is no matter.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
            self.run(&identity, &house);
        })
    }

    fn run(self, identity: &Identity, house: &House) {
        let mut guests = HashMap::new();
        let mut shaking: Vec<Seat> = Vec::new();
        let mut next = Instant::now() + TICK;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match self.tasks.recv_timeout(left) {
                Ok(Task::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(task) => {
                    if let Task::Begin { seat, .. } = task {
                        shaking.push(seat);
                    }
                    self.work(task, &mut guests, identity, house);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if next <= Instant::now() {
                next = Instant::now() + TICK;
                shaking.retain(|seat| guests.get(seat).is_some_and(|g| !g.association.is_up()));
                for seat in &shaking {
                    step(*seat, &mut guests, house, Association::tick);
                }
            }
        }
        for mut guest in guests.into_values() {
            guest.association.close();
            guest.send(house);
        }
    }

    fn work(&self, task: Task, guests: &mut HashMap<Seat, Guest>, identity: &Identity, house: &House) {
        match task {
            Task::Begin { seat, begins, fingerprints, path } => {
                match identity.associate(begins, fingerprints) {
                    Ok(association) => {
                        guests.insert(seat, Guest { association, path });
                        step(seat, guests, house, Association::tick);
                    }
                    Err(error) => house.parted(seat, error.to_string(), true),
                }
            }
            Task::Datagram(seat, path, datagram) => {
                self.waiting.fetch_sub(1, Relaxed);
                if let Some(guest) = guests.get_mut(&seat) {
                    guest.path = path;
                    step(seat, guests, house, |a| a.receive(&datagram));
                }
            }
            Task::Part(seat) => {
                if let Some(mut guest) = guests.remove(&seat) {
                    guest.association.close();
                    guest.send(house);
                }
            }
            Task::End => {}
        }
    }
}

impl Guest {
    fn send(&mut self, house: &House) {
        for datagram in self.association.output() {
            house.send(&self.path, &datagram);
        }
    }
}

/// Lets a viewer's DTLS do something, sends what it has to say, and tells what came of it.
fn step(
    seat: Seat,
    guests: &mut HashMap<Seat, Guest>,
    house: &House,
    what: impl FnOnce(&mut Association) -> Result<Progress, Broken>,
) {
    let Some(guest) = guests.get_mut(&seat) else {
        return;
    };
    let shaking = !guest.association.is_up();
    let progress = what(&mut guest.association);
    guest.send(house);
    let why = match progress {
        Ok(Progress::Goes) => return,
        Ok(Progress::Up(keys)) => return house.shaken(seat, *keys, &guest.path),
        Ok(Progress::Closed) => "it said goodbye".to_owned(),
        Err(broken) => broken.to_string(),
    };
    guests.remove(&seat);
    house.parted(seat, why, shaking);
}
