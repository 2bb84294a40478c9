//! Threads that shake hands. What a viewer's handshake costs, however long it takes and whoever it is, no thread that carries media
//! or reads the media port waits for it.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::agenda::Agenda;
use super::dtls::{Association, Broken, Identity, Progress};
use super::farewell::Farewell;
use super::house::House;
use crate::peer::{Fingerprint, Seat};
use crate::send::Path;

/// Datagrams that wait for one thread at most: about a second of work.
const WAITING_MOST: usize = 2048;
/// How often it is looked whether a flight has got lost.
const TICK: Duration = Duration::from_millis(100);
/// How long a handshake may stand still, from when its player had all that we have to say, while others wait for its place.
const SLOW: Duration = Duration::from_secs(3);
/// How long an association is kept whole of a viewer that has sent nothing yet by its keys: if it has not got our last flight, it asks
/// for it again until then.
const WHOLE: Duration = Duration::from_secs(10);
/// Why somebody has gone who said so.
const GOODBYE: &str = "it said goodbye";
/// Handshake threads give way to those that carry media.
const NICENESS: libc::c_int = 5;

/// What a thread is told. All but datagrams is bounded by the number of seats.
pub(crate) enum Task {
    Begin {
        seat: Seat,
        begins: bool,
        fingerprints: Vec<Fingerprint>,
        path: Path,
    },
    Datagram(Seat, Path, Vec<u8>),
    /// It needs none of our flights again.
    Settled(Seat),
    Part(Seat),
}

impl Task {
    /// Whom it is about.
    pub(crate) fn seat(&self) -> Seat {
        match self {
            Task::Begin { seat, .. } | Task::Datagram(seat, ..) | Task::Settled(seat) | Task::Part(seat) => {
                *seat
            }
        }
    }
}

/// The threads' letterboxes; nothing: no more tasks come. A seat is always one thread's.
pub(crate) struct Pool {
    letterboxes: Vec<(Sender<Option<Task>>, Arc<AtomicUsize>)>,
}

/// The threads' side of [`Pool`].
pub(crate) struct Shaker {
    tasks: Receiver<Option<Task>>,
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
        letterbox.send(Some(task)).is_ok()
    }

    pub(crate) fn end(&self) {
        for (letterbox, _) in &self.letterboxes {
            let _ = letterbox.send(None);
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
            let mut agenda = Agenda::default();
            while catch_unwind(AssertUnwindSafe(|| self.run(&mut agenda, &identity, &house))).is_err() {
                tracing::error!(
                    "a handshake thread has panicked: whoever was shaking hands has to begin again"
                );
            }
        })
    }

    fn run(&self, agenda: &mut Agenda, identity: &Identity, house: &House) {
        let mut guests = Guests { identity, house, all: HashMap::new(), fresh: VecDeque::new() };
        let mut next = Instant::now() + TICK;
        while self.hear(agenda, next.saturating_duration_since(Instant::now())) {
            if let Some(task) = agenda.next() {
                if matches!(task, Task::Datagram(..)) {
                    self.waiting.fetch_sub(1, Relaxed);
                }
                guests.work(task, Instant::now());
            }
            let now = Instant::now();
            if next <= now {
                next = now + TICK;
                guests.tick(agenda, now);
            }
        }
        for guest in guests.all.into_values() {
            guest.part(house);
        }
    }

    /// Takes all that has come, so that what is most urgent of it is done first; waits so long for it if there is nothing else to do.
    /// `false`: no more comes.
    fn hear(&self, agenda: &mut Agenda, left: Duration) -> bool {
        let mut wait = if agenda.is_empty() { left } else { Duration::ZERO };
        loop {
            match self.tasks.recv_timeout(std::mem::take(&mut wait)) {
                Ok(Some(task)) => agenda.put(task),
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return false,
            }
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
    /// How far its handshake had come when it last came any further, and when that was.
    stage: &'static str,
    since: Instant,
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
                        let dtls = Dtls::Whole(Box::new(association));
                        self.all.insert(seat, Guest { dtls, path, stage: "", since: now });
                        self.fresh.push_back((now, seat));
                        self.step(seat, now, Association::tick);
                    }
                    Err(error) => self.house.parted(seat, error.to_string(), true),
                }
            }
            Task::Datagram(seat, path, datagram) => {
                if let Some(guest) = self.all.get_mut(&seat) {
                    guest.path = path;
                    self.step(seat, now, |association| association.receive(&datagram));
                    self.hear(seat, &datagram);
                }
            }
            Task::Settled(seat) => {
                // If it cannot be told what is needed of it, it stays whole.
                if let Some(guest) = self.all.get_mut(&seat) {
                    guest.shrink();
                }
            }
            Task::Part(seat) => {
                if let Some(guest) = self.all.remove(&seat) {
                    guest.part(self.house);
                }
            }
        }
    }

    /// Flights that got lost are sent again, and associations that are not needed any more shrink.
    fn tick(&mut self, agenda: &Agenda, now: Instant) {
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
            self.step(seat, now, Association::tick);
        }
        if self.house.others_wait() {
            self.make_room(agenda, now);
        }
    }

    /// Ends handshakes that stand still, the oldest first, one for each of those who wait. It is the player who must have let them
    /// stand still: not those count for whom there is something to do here.
    fn make_room(&mut self, agenda: &Agenda, now: Instant) {
        let waiting = agenda.waiting();
        let stands_still = |guest: &Guest| guest.is_shaking() && guest.since + SLOW <= now;
        let fresh = self.fresh.iter().map(|(_, seat)| *seat);
        let slow =
            fresh.filter(|seat| self.all.get(seat).is_some_and(stands_still) && !waiting.contains(seat));
        let slow: Vec<Seat> = slow.take_while(|_| self.house.makes_room()).collect();
        for seat in slow {
            self.all.remove(&seat);
            let why = "its DTLS handshake stood still while others waited";
            self.house.parted(seat, why.to_owned(), true);
        }
    }

    /// Lets a viewer's association do something, sends what it has to say, and tells what came of it.
    fn step(
        &mut self,
        seat: Seat,
        now: Instant,
        what: impl FnOnce(&mut Association) -> Result<Progress, Broken>,
    ) {
        let Some(guest) = self.all.get_mut(&seat) else { return };
        let Guest { dtls: Dtls::Whole(association), path, stage, since } = guest else { return };
        let shaking = !association.is_up();
        let progress = what(association);
        if *stage != association.stage() {
            (*stage, *since) = (association.stage(), now);
        }
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

    fn is_shaking(&self) -> bool {
        matches!(&self.dtls, Dtls::Whole(association) if !association.is_up())
    }

    /// False: it is needed as a whole yet.
    fn shrink(&mut self) -> bool {
        let Dtls::Whole(association) = &self.dtls else { return true };
        let Some(farewell) = association.farewell() else { return false };
        self.dtls = Dtls::Over(farewell);
        true
    }
}
