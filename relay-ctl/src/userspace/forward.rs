//! A forwarding thread: read a batch from one socket, classify it, send every child its copies.
//!
//! One thread serves both ports of a pair, so a stream's packets are sent in the order in which they came.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use relay_common::reason::Reason;

use super::Shared;
use super::classify::{Context, classify};
use super::fanout::{FanOut, Job};
use super::listen::{Endpoint, Group};
use super::plan::address;
use super::socket::{Inbox, Outbox, Received};
use super::tap::Tapped;

/// Works until the other end of `stop` is closed.
pub fn run(group: &Group, shared: &Shared, stop: &UnixStream) {
    let mut inbox = Inbox::new();
    let mut outboxes = [Outbox::new(), Outbox::new()];
    let mut ready: Vec<_> = group.endpoints.iter().map(|endpoint| endpoint.socket.as_fd()).collect();
    ready.push(stop.as_fd());
    let mut ready: Vec<_> = ready.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    loop {
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return tracing::error!(%error, "forwarding has stopped: poll failed"),
        }
        if ready.last().and_then(PollFd::any) == Some(true) {
            return;
        }
        for (endpoint, _) in group.endpoints.iter().zip(&ready).filter(|(_, ready)| ready.any() == Some(true))
        {
            batch(group, endpoint, shared, stop, &mut inbox, &mut outboxes);
        }
    }
}

fn batch(
    group: &Group,
    endpoint: &Endpoint,
    shared: &Shared,
    stop: &UnixStream,
    inbox: &mut Inbox,
    outboxes: &mut [Outbox; 2],
) {
    let received = match inbox.receive(&endpoint.socket) {
        Ok(received) => received,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return;
        }
        Err(error) => {
            tracing::warn!(%error, local = %endpoint.local, "cannot receive");
            // Most likely out of memory: do not make it worse by spinning.
            return std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Only now: whatever arrives after a `publish` has returned is read after it, and so goes by the new plan.
    let plan = shared.plan.load();
    let books = &shared.books[usize::from(group.kind)];
    let clock = Clock::now();
    let tapped = !shared.taps.none();
    let context = Context { endpoint, kind: group.kind, plan: &plan, books, known: &shared.known };
    let mut jobs = Vec::with_capacity(received);
    let mut streams = books.streams();
    for packet in (0..received).map(|index| inbox.packet(index)) {
        match classify(&packet, clock.arrival(packet.time), &context, &mut streams) {
            Ok(media) => jobs.push(Job::new(packet, media, tapped.then_some(&shared.taps))),
            Err(reason) => {
                if reason == Reason::RtcpFromChild {
                    shared.feedback.give(endpoint.port, packet.payload);
                }
                books.drop(reason);
            }
        }
    }
    drop(streams);
    let mut fan_out = FanOut::new(group, endpoint, &plan, books, stop, outboxes);
    for job in &jobs {
        if job.tapped {
            shared.taps.give(&job.media.key, &incoming(&job.packet, endpoint));
        }
        fan_out.copies(job, &shared.taps);
    }
    fan_out.finish();
}

fn incoming(packet: &Received<'_>, endpoint: &Endpoint) -> Tapped {
    let time = packet.time.map_or_else(SystemTime::now, |ns| UNIX_EPOCH + Duration::from_nanos(ns));
    let to = packet.destination.map_or(endpoint.local.ip(), address);
    Tapped {
        time,
        outgoing: false,
        source: (address(packet.source), packet.source_port).into(),
        destination: (to, endpoint.local.port()).into(),
        payload: packet.payload.to_vec(),
    }
}

/// Both clocks at one moment. The kernel stamps arrivals with the time of day; statistics want CLOCK_MONOTONIC. With
/// the time of reading instead, a full batch would look like jitter.
struct Clock {
    monotonic: u64,
    realtime: u64,
}

impl Clock {
    fn now() -> Clock {
        Clock { monotonic: read(ClockId::CLOCK_MONOTONIC), realtime: read(ClockId::CLOCK_REALTIME) }
    }

    fn arrival(&self, stamp: Option<u64>) -> u64 {
        let age = stamp.map_or(0, |stamp| self.realtime.saturating_sub(stamp));
        // Nothing waits for a second; the time of day was changed.
        if age < 1_000_000_000 { self.monotonic.saturating_sub(age) } else { self.monotonic }
    }
}

/// These two clocks always exist.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
