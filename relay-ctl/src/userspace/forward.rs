//! A forwarding thread: read a batch from one socket, classify it, find what goes together, send every child its copies.
//!
//! One thread serves both ports of a pair, so a stream's packets are sent in the order in which they came.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use relay_common::reason::Reason;

use super::Shared;
use super::classify::{self, classify};
use super::fanout::{self, FanOut, Job, Post, Run, Troubles};
use super::listen::{Endpoint, Group};
use super::runs::Runs;
use super::socket::{Inbox, Received};
use super::tap::Tapped;
use crate::address::unmapped;

/// So many packets are forwarded before more are looked at, be there as many in a message as there may: a change of children
/// does not wait long then, and a packet's run is soon found.
const PORTION: usize = 128;

/// What a thread keeps from batch to batch.
struct Desk {
    inbox: Inbox,
    runs: Runs,
    troubles: Troubles,
    posts: [Post; 2],
}

/// Works until the other end of `stop` is closed.
pub fn run(group: &Group, shared: &Shared, stop: &UnixStream) {
    let (inbox, posts) = (Inbox::new(), [Post::new(), Post::new()]);
    let mut desk = Desk { inbox, runs: Runs::default(), troubles: Troubles::default(), posts };
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
            batch(group, endpoint, shared, &mut desk);
        }
    }
}

fn batch(group: &Group, endpoint: &Endpoint, shared: &Shared, desk: &mut Desk) {
    let received = match desk.inbox.receive(&endpoint.socket) {
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
    let mut next = 0;
    while next < received {
        next = portion(group, endpoint, shared, desk, next..received);
    }
}

/// Forwards some of the messages that were received; gives where to go on.
fn portion(
    group: &Group,
    endpoint: &Endpoint,
    shared: &Shared,
    desk: &mut Desk,
    messages: Range<usize>,
) -> usize {
    let Desk { inbox, runs, troubles, posts } = desk;
    // Only now: whatever arrives after a `publish` has returned is read after it, and so goes by the new plan.
    let plan = shared.plan.load();
    let books = &shared.books[usize::from(group.kind)];
    let clock = Clock::now();
    let tapped = !shared.taps.none();
    let context = classify::Context { endpoint, kind: group.kind, plan: &plan, books, known: &shared.known };
    let mut jobs = Vec::with_capacity(messages.len());
    let mut streams = books.streams();
    let (mut next, end) = (messages.start, messages.end);
    while next < end && jobs.len() < PORTION {
        for packet in inbox.packets(next) {
            match classify(&packet, clock.arrival(packet.time), &context, &mut streams) {
                Ok(media) => {
                    let tapped = tapped && shared.taps.wanted(&media.key);
                    jobs.push(Job { packet, media, tapped });
                }
                Err(reason) => {
                    if reason == Reason::RtcpFromChild {
                        shared.feedback.give(endpoint, &packet);
                    }
                    books.drop(reason, 1);
                }
            }
        }
        next += 1;
    }
    drop(streams);
    shared.repair.note(jobs.iter().map(|job| (&job.packet, &job.media)));
    let found = runs.group(jobs.iter().map(Job::piece));
    let order = found.order();
    let payloads: Vec<_> = order.iter().map(|job| IoSlice::new(jobs[*job].packet.payload)).collect();
    let runs: Vec<_> =
        found.spans().map(|span| Run::new(&jobs[order[span.start]], &payloads[span])).collect();
    let context = fanout::Context { group, endpoint, plan: &plan, books, now: clock.monotonic };
    let mut fan_out = FanOut::new(context, &runs, troubles, posts);
    for (index, run) in runs.iter().enumerate() {
        if run.first.tapped {
            shared.taps.give(&run.first.media.key, &incoming(&run.first.packet, endpoint));
        }
        fan_out.copies(index, &shared.taps);
    }
    fan_out.finish();
    next
}

fn incoming(packet: &Received<'_>, endpoint: &Endpoint) -> Tapped {
    let time = packet.time.map_or_else(SystemTime::now, |ns| UNIX_EPOCH + Duration::from_nanos(ns));
    let to = packet.destination.map_or(endpoint.local.ip(), unmapped);
    Tapped {
        time,
        outgoing: false,
        source: (unmapped(packet.source), packet.source_port).into(),
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
