//! Threads that shake hands. What a viewer's handshake costs, however long it takes and whoever it is, no thread that carries media
//! or reads the media port waits for it.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::dtls::{Association, Broken, Identity, Progress};
use super::farewell::Farewell;
use super::house::House;
use crate::peer::{Fingerprint, Seat};
use crate::send::Path;

/// Datagrams that wait for one thread at most: about a second of work.
const WAITING_MOST: usize = 2048;
/// How often it is looked whether a flight has got lost.
const TICK: Duration = Duration::from_millis(100);
/// How long an association is kept whole: a viewer that has not got our last flight asks for it again until then.
const WHOLE: Duration = Duration::from_secs(10);
/// Why somebody has gone who said so.
const GOODBYE: &str = "it said goodbye";
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
            while catch_unwind(AssertUnwindSafe(|| self.run(&identity, &house))).is_err() {
                tracing::error!(
                    "a handshake thread has panicked: whoever was shaking hands has to begin again"
                );
            }
        })
    }

    fn run(&self, identity: &Identity, house: &House) {
        let mut guests = Guests { identity, house, all: HashMap::new(), fresh: VecDeque::new() };
        let mut next = Instant::now() + TICK;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match self.tasks.recv_timeout(left) {
                Ok(Task::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(task) => {
                    if matches!(task, Task::Datagram(..)) {
                        self.waiting.fetch_sub(1, Relaxed);
                    }
                    guests.work(task, Instant::now());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if next <= now {
                next = now + TICK;
                guests.tick(now);
            }
        }
        for guest in guests.all.into_values() {
            guest.part(house);
        }
    }
}

/// All viewers of a thread.
struct Guests<'t> {
    identity: &'t Identity,
    house: &'t House,
    all: HashMap<Seat, Guest>,
    /// Whose associations are whole, since when; some may be gone.
    fresh: VecDeque<(Instant, Seat)>,
}

/// A viewer's DTLS, and where it is answered to.
struct Guest {
    dtls: Dtls,
    path: Path,
}

enum Dtls {
    Whole(Box<Association>),
    /// All that is to come is a goodbye.
    Over(Farewell),
}

impl Guests<'_> {
    fn work(&mut self, task: Task, now: Instant) {
        match task {
            Task::Begin { seat, begins, fingerprints, path } => {
                match self.identity.associate(begins, fingerprints) {
                    Ok(association) => {
                        self.all.insert(seat, Guest { dtls: Dtls::Whole(Box::new(association)), path });
                        self.fresh.push_back((now, seat));
                        self.step(seat, Association::tick);
                    }
                    Err(error) => self.house.parted(seat, error.to_string(), true),
                }
            }
            Task::Datagram(seat, path, datagram) => {
                if let Some(guest) = self.all.get_mut(&seat) {
                    guest.path = path;
                    self.step(seat, |association| association.receive(&datagram));
                    self.hear(seat, &datagram);
                }
            }
            Task::Part(seat) => {
                if let Some(guest) = self.all.remove(&seat) {
                    guest.part(self.house);
                }
            }
            Task::End => {}
        }
    }

    /// Flights that got lost are sent again, and associations that are not needed any more shrink.
    fn tick(&mut self, now: Instant) {
        while let Some((since, seat)) = self.fresh.front().copied()
            && since + WHOLE <= now
        {
            self.fresh.pop_front();
            if let Some(guest) = self.all.get_mut(&seat)
                && !guest.shrink()
            {
                self.fresh.push_back((now, seat));
            }
        }
        let seats: Vec<Seat> = self.fresh.iter().map(|(_, seat)| *seat).collect();
        for seat in seats {
            self.step(seat, Association::tick);
        }
    }

    /// Lets a viewer's association do something, sends what it has to say, and tells what came of it.
    fn step(&mut self, seat: Seat, what: impl FnOnce(&mut Association) -> Result<Progress, Broken>) {
        let Some(Guest { dtls: Dtls::Whole(association), path }) = self.all.get_mut(&seat) else { return };
        let shaking = !association.is_up();
        let progress = what(association);
        for datagram in association.output() {
            self.house.send(path, &datagram);
        }
        let why = match progress {
            Ok(Progress::Goes) => return,
            Ok(Progress::Up(keys)) => return self.house.shaken(seat, *keys, path),
            Ok(Progress::Closed) => GOODBYE.to_owned(),
            Err(broken) => broken.to_string(),
        };
        self.all.remove(&seat);
        self.house.parted(seat, why, shaking);
    }

    fn hear(&mut self, seat: Seat, datagram: &[u8]) {
        if let Some(Guest { dtls: Dtls::Over(farewell), .. }) = self.all.get(&seat)
            && farewell.is_in(datagram)
        {
            self.house.parted(seat, GOODBYE.to_owned(), false);
        }
    }
}

impl Guest {
    /// Says goodbye, if it got that far.
    fn part(mut self, house: &House) {
        let datagrams = match &mut self.dtls {
            Dtls::Whole(association) => {
                association.close();
                association.output()
            }
            Dtls::Over(farewell) => farewell.say().into_iter().collect(),
        };
        for datagram in datagrams {
            house.send(&self.path, &datagram);
        }
    }

    /// False: it is needed as a whole yet.
    fn shrink(&mut self) -> bool {
        let Dtls::Whole(association) = &self.dtls else { return true };
        let Some(farewell) = association.farewell() else { return false };
        self.dtls = Dtls::Over(farewell);
        true
    }
}
