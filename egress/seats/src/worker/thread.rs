//! A worker's thread.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::message::{Inbox, Message};
use super::mountpoint::{Mountpoint, Took};
use super::{Arrival, Published, Shared, reasons};
use crate::peer::Seat;
use crate::send::{Batch, Counts, Path};
use crate::server::Notice;
use crate::viewer::{Asks, Moment};

/// How often reports, requests and what is kept are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// How often figures are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// Most messages between two looks at what is due.
const MOST_MESSAGES: usize = 256;

/// One of the threads, with all that is its own.
pub struct Worker {
    inbox: Inbox,
    batch: Batch,
    shared: Arc<Shared>,
    published: Published,
    mountpoints: HashMap<u64, Mountpoint>,
    /// Which mountpoint the viewer in a seat watches.
    seats: HashMap<Seat, u64>,
    counted: Counts,
    housekeeping_at: Duration,
    publish_at: Duration,
}

impl Worker {
    pub fn new(inbox: Inbox, batch: Batch, shared: Arc<Shared>, published: Published) -> Worker {
        Worker {
            inbox,
            batch,
            shared,
            published,
            mountpoints: HashMap::new(),
            seats: HashMap::new(),
            counted: Counts::default(),
            housekeeping_at: Duration::ZERO,
            publish_at: Duration::ZERO,
        }
    }

    /// Works until it is told to end.
    pub fn run(mut self) {
        loop {
            let mut next = match self.inbox.wait(self.until_due()) {
                Ok(next) => next,
                Err(()) => return,
            };
            for _ in 0..MOST_MESSAGES {
                match next {
                    Some(Message::End) => return,
                    Some(message) => self.told(message),
                    None => break,
                }
                next = self.inbox.next();
            }
            if let Some(message) = next {
                self.told(message);
            }
            self.work();
        }
    }

    /// How long there is nothing to do.
    fn until_due(&self) -> Duration {
        let rounds = self.mountpoints.values().filter_map(Mountpoint::due);
        let due = rounds.fold(self.housekeeping_at, Duration::min);
        due.saturating_sub(self.shared.clock.now())
    }

    fn told(&mut self, message: Message) {
        match message {
            Message::Open { mountpoint, opening } => {
                self.mountpoints.insert(mountpoint, Mountpoint::new(opening, self.shared.keep));
            }
            Message::Close(mountpoint) => self.close(mountpoint),
            Message::Media { mountpoint, opening, kind, packet } => {
                let now = self.shared.clock.now();
                let known = self.mountpoints.get_mut(&mountpoint).filter(|known| known.opening == opening);
                match known.map(|known| known.take(kind, packet, now)) {
                    Some(Took::Keyframe) => self.shared.wishes.served(mountpoint, now),
                    Some(Took::Dropped(reason)) => self.shared.reasons.count(reason, 1),
                    Some(Took::Media) | None => {}
                }
            }
            Message::Sit(arrival) => self.sit(*arrival),
            Message::Rise(seat) => self.rise(seat),
            Message::Heard(seat, packet) => self.heard(seat, packet),
            Message::Moved(seat, path) => self.moved(seat, path),
            Message::End => {}
        }
    }

    fn close(&mut self, number: u64) {
        let Some(mountpoint) = self.mountpoints.remove(&number) else { return };
        for seat in mountpoint.end(&mut self.batch, &self.shared) {
            self.seats.remove(&seat);
            (self.shared.notify)(Notice::Gone(seat, "the mountpoint has ended".into()));
        }
    }

    fn sit(&mut self, arrival: Arrival) {
        let (seat, number) = (arrival.seat, arrival.mountpoint);
        self.rise(seat);
        let at = self.shared.clock.moment();
        let sat = match self.mountpoints.get_mut(&number) {
            Some(mountpoint) => mountpoint.sit(arrival, at, &self.shared),
            None => Err("the mountpoint has ended".into()),
        };
        match sat {
            Ok(waits) => {
                self.seats.insert(seat, number);
                (self.shared.notify)(Notice::Up(seat));
                if waits {
                    self.want_keyframe(number, at);
                }
            }
            Err(why) => (self.shared.notify)(Notice::Gone(seat, why)),
        }
    }

    fn rise(&mut self, seat: Seat) {
        if let Some(mountpoint) =
            self.seats.remove(&seat).and_then(|number| self.mountpoints.get_mut(&number))
        {
            mountpoint.rise(seat);
        }
    }

    fn heard(&mut self, seat: Seat, mut packet: Box<[u8]>) {
        let number = self.seats.get(&seat).copied();
        let Some((number, mountpoint)) =
            number.and_then(|number| Some((number, self.mountpoints.get_mut(&number)?)))
        else {
            return self.shared.reasons.count(reasons::FEEDBACK_NO_SEAT, 1);
        };
        let at = self.shared.clock.moment();
        let Asks { keyframe, .. } = mountpoint.hears(seat, &mut packet, at, &mut self.batch, &self.shared);
        if keyframe {
            self.want_keyframe(number, at);
        }
    }

    fn moved(&mut self, seat: Seat, path: Path) {
        let mountpoint = self.seats.get(&seat).and_then(|number| self.mountpoints.get_mut(number));
        if let Some(sitting) = mountpoint.and_then(|mountpoint| mountpoint.viewer(seat)) {
            sitting.moved(path);
        }
    }

    fn want_keyframe(&self, mountpoint: u64, at: Moment) {
        if self.shared.wishes.ask(mountpoint, at.now) {
            (self.shared.notify)(Notice::KeyframeWanted(mountpoint));
        }
    }

    /// Does what is due.
    fn work(&mut self) {
        let at = self.shared.clock.moment();
        for mountpoint in self.mountpoints.values_mut() {
            mountpoint.round(at, &mut self.batch, &self.shared);
        }
        if at.now >= self.housekeeping_at {
            self.housekeeping_at = at.now + HOUSEKEEPING;
            let mut due = self.shared.wishes.due(at.now);
            for (number, mountpoint) in &mut self.mountpoints {
                let wanted = mountpoint.housekeeping(at, &mut self.batch, &self.shared);
                // Requests get lost on their way, too.
                if wanted && self.shared.wishes.ask(*number, at.now) {
                    due.push(*number);
                }
            }
            for mountpoint in due {
                (self.shared.notify)(Notice::KeyframeWanted(mountpoint));
            }
        }
        self.flush();
        if at.now >= self.publish_at {
            self.publish_at = at.now + PUBLISH;
            let sitting = self.mountpoints.values().flat_map(Mountpoint::viewers);
            let figures = sitting.map(|(_, sitting)| sitting.figures()).collect();
            *self.published.lock().unwrap_or_else(PoisonError::into_inner) = figures;
        }
    }

    /// Sends what has been collected, and has those know whose packets did not go out.
    fn flush(&mut self) {
        self.batch.flush();
        for (seat, packets) in self.batch.failed() {
            let mountpoint = self.seats.get(&seat).and_then(|number| self.mountpoints.get_mut(number));
            if let Some(sitting) = mountpoint.and_then(|mountpoint| mountpoint.viewer(seat)) {
                sitting.dropped(packets);
            }
        }
        let counts = self.batch.counts();
        self.shared.reasons.sent(self.counted, counts);
        self.counted = counts;
    }
}
